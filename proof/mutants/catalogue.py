"""The planted bugs, one sentence each. A bug whose text no longer stands in the code is an error: plant it anew."""

from proof.mutants.planting import Edit, Mutant

SIM, SQL, WIRE, RIVALS = ("simulation",), ("simulation over sqlite",), ("broker faults",), ("rivals",)
FIRESTORE, LOGINS, SENDERS, SERVED = ("firestore contract",), ("logins",), ("slow senders",), ("costly wire",)
_FLOW, _RISK, _RECONCILE = "app.flow.execution", "app.domain.risk.check", "app.flow.reconcile.evidence"
_LEDGER, _CHANGES = "app.adapters.firestore.ledger", "app.adapters.firestore.documents"
_SQLITE, _CLASSIFY, _NOTICE = "app.adapters.sqlite.ledger", "app.adapters.fyers.classify", "app.domain.notice"
_WEBHOOK = "app.web.webhook"

_GATE = "if stored is None or stored[:2] != (OrderStatus.RECEIVED, order.sequence):"
_ANY_STEP = Edit(_SQLITE, " AND sequence = ?", " AND ? >= 0")
_TAKEN = "    if order.status is not OrderStatus.RECEIVED:\n        return _seen_before"
_FROM_SUBMITTED = "frozenset({_S.RECEIVED, _S.ACCEPTED,"
_READS_ON = Edit(
    "app.runtime.worker",
    "        part = bytes(self.request.head[:size])\n",
    "        part = bytes(self.request.head[:size]) or self.sock.recv(size)\n",
)
_GUNICORNS = 'io.BytesIO(environ["wsgi.input"].read(MOST_BODY))'
_SENT = "        return desk.broker.place(order, deadline.within(SEND_WINDOW), deadline)\n"


def _one(name: str, sentence: str, module: str, old: str, new: str, caught_by: tuple[str, ...] = SIM) -> Mutant:
    return Mutant(name, sentence, (Edit(module, old, new),), caught_by)


MUTANTS: tuple[Mutant, ...] = (
    # -- the gate
    Mutant(
        "no-compare-and-set",
        "submit takes an order whatever has become of it",
        (Edit(_SQLITE, _GATE, "if False:"), _ANY_STEP),
        SQL,
    ),
    Mutant(
        "status-alone-compared",
        "submit looks at the status and not at the sequence, so an order that came back unsent is sent by two",
        (Edit(_SQLITE, _GATE, "if stored[0] != OrderStatus.RECEIVED:"), _ANY_STEP),
        RIVALS,
    ),
    Mutant(
        "record-over-any-step",
        "record writes whatever step it is given over whatever is stored",
        (_ANY_STEP,),
        RIVALS,
    ),
    _one(
        "post-before-commit",
        "the order is sent first and submitted afterwards",
        _FLOW,
        "        submitted = _submit(receipt.order, market, reads, desk, deadline)\n",
        "        early = _place(receipt.order.submitted(desk.clock.now()), desk, deadline)\n"
        "        submitted = _submit(receipt.order, market, reads, desk, deadline)\n",
    ),
    Mutant(
        "dedupe-after-success",
        "an alert is taken for known only once its order was accepted",
        (
            Edit(_SQLITE, "if window is None and self._quickly(_INSERT, _row(order), deadline):", "if False:"),
            Edit(
                _SQLITE,
                "            if window is None:\n                return _expected(db, order.key)\n",
                "            if window is None:\n"
                "                known = _stored(db, order.key)\n"
                '                if known is not None and known.status not in ("RECEIVED", "SUBMITTED"):\n'
                "                    return known\n"
                '                db.execute("DELETE FROM orders WHERE key = ?", (order.key,))\n'
                "                db.execute(_INSERT, _row(order))\n"
                "                return order\n",
            ),
        ),
        SQL,
    ),
    Mutant(
        "take-over-after-a-lease",
        "an order that was submitted ten seconds ago and has no outcome is taken over and sent again",
        (
            Edit(
                _FLOW,
                _TAKEN,
                "    lease = desk.clock.now() - (order.submitted_at or order.received_at)\n"
                "    if order.status is not OrderStatus.RECEIVED and not (\n"
                "        order.status is OrderStatus.SUBMITTED and lease > timedelta(seconds=10)\n"
                "    ):\n        return _seen_before",
            ),
            Edit(_SQLITE, _GATE, "if stored[1] != order.sequence:"),
            Edit(
                "app.domain.order.status",
                _FROM_SUBMITTED,
                "frozenset({_S.SUBMITTED, _S.RECEIVED, _S.ACCEPTED,",
            ),
        ),
        SQL,
    ),
    # -- sending
    _one(
        "retry-on-time-out",
        "an order whose reply did not come is sent once more",
        _FLOW,
        _SENT,
        "        outcome = desk.broker.place(order, deadline.within(SEND_WINDOW), deadline)\n"
        "        if isinstance(outcome, Unresolved):\n"
        "            outcome = desk.broker.place(order, deadline.within(SEND_WINDOW), deadline)\n"
        "        return outcome\n",
    ),
    _one(
        "resend-the-unresolved",
        "the adapter tries an order again after any failure of the line",
        "app.adapters.fyers.broker",
        "        outcome = classify(result, self._line.secrets(token), PLACE)\n",
        "        if isinstance(classify(result), Unresolved):\n"
        "            result = self._line.ask(lambda model: model.place_order(payload), token, total, window=window)\n"
        "        outcome = classify(result, self._line.secrets(token), PLACE)\n",
    ),
    _one(
        "second-attempt-after-429",
        "an order that was turned away is sent again by the same request",
        _CLASSIFY,
        "retry_after=reply.retry_after, again=False,",
        "retry_after=reply.retry_after, again=True,",
    ),
    _one(
        "window-not-handed-down",
        "the adapter does not tell the transport until when the order may be sent",
        "app.adapters.fyers.broker",
        "token, total, window=window)",
        "token, total, window=None)",
    ),
    _one(
        "window-not-looked-at",
        "the transport sends although the window is over",
        "app.adapters.http.connections",
        "if self._window is not None and self._window.left() <= 0:",
        "if False:",
        ("send window",),
    ),
    _one("age-not-looked-at", "a stale alert is sent", _FLOW, "    if age > allowed:\n", "    if False:\n"),
    _one(
        "age-since-arrival",
        "the age of an alert counts from its arrival although it says when it fired",
        _FLOW,
        "alert_at=alert.fired(now),",
        "alert_at=now,",
    ),
    # -- what came of it
    _one(
        "502-is-a-refusal",
        "a 5xx with a pinned code is taken for a refusal",
        _CLASSIFY,
        "not 400 <= reply.status < 500)",
        "not 400 <= reply.status < 600)",
    ),
    _one(
        "page-is-a-refusal",
        "a reply that is not the broker's JSON is taken for a refusal",
        _CLASSIFY,
        '        return Unresolved(f"HTTP {result.status} with a body that is not the broker\'s")\n',
        '        return Rejected(0, f"HTTP {result.status}")\n',
    ),
    _one(
        "time-out-is-not-sent",
        "a read time-out is taken for proof that nothing was sent",
        _CLASSIFY,
        "return Unresolved(result.why) if result.wrote else NotSent(result.why)",
        "return NotSent(result.why)",
    ),
    _one(
        "first-byte-forgotten",
        "the transport does not write down that a byte has left",
        "app.adapters.http.connections",
        "            self.wrote = True\n",
        "            self.wrote = False\n",
        WIRE,
    ),
    _one(
        "unknown-code-is-a-refusal",
        "an unexplained error code is taken for a refusal",
        _CLASSIFY,
        "    return Refusal.ORDER if by_risk or code in call.refusals else None\n",
        "    return Refusal.ORDER\n",
    ),
    _one(
        "proxy-is-a-refusal",
        "\"Bad request\" with -99, the SDK's word for any failure, is taken for the broker's",
        _CLASSIFY,
        "(said and said not in _SDK_FAILURES)",
        "said",
    ),
    _one(
        "201-is-accepted",
        '"no acknowledgement" and other codes are taken for acceptance',
        _CLASSIFY,
        'body.get("s") != "ok" or _code(body) != call.code:',
        'body.get("s") != "ok":',
    ),
    _one(
        "accepted-without-an-id",
        "ok without an id is taken for acceptance",
        _CLASSIFY,
        "    broker_id = call.names or _id(body)\n",
        '    broker_id = call.names or _id(body) or "unknown"\n',
    ),
    _one(
        "429-of-anybody-is-not-sent",
        "a 429 page that is not the broker's is taken for proof that nothing was placed",
        _CLASSIFY,
        "or not (of_the_broker or reply.says_wait):",
        "or False:",
        WIRE,
    ),
    _one(
        "our-own-fault-is-not-sent",
        "an exception while sending is taken for proof that nothing was sent",
        _FLOW,
        '        return Unresolved("a fault in the gateway while the order was being sent")\n',
        '        return NotSent("a fault in the gateway while the order was being sent")\n',
    ),
    _one(
        "unresolved-is-rejected",
        "an order in doubt is written down as rejected",
        "app.domain.order",
        "                return self.unresolved(at, outcome.why)\n",
        "                return self.moved(OrderStatus.REJECTED, at, message=outcome.why)\n",
    ),
    _one(
        "answer-503-when-submitted",
        "an order that may be at the broker is answered 503, so the sender comes again",
        "app.web.answers",
        "OrderStatus.SUBMITTED: 202,",
        "OrderStatus.SUBMITTED: 503,",
    ),
    _one(
        "raise-after-sending",
        'an outcome that cannot be written down becomes "try again"',
        _FLOW,
        "        return _not_recorded(submitted, outcome, desk, deadline)\n",
        "        raise\n",
    ),
    # -- the switch and the limits
    _one(
        "switch-remembered",
        "the trading state is read once and remembered",
        _RISK,
        "def _check_state(ticket: Ticket, controls: Controls) -> None:\n",
        "_seen: dict[str, Controls] = {}\n\n\n"
        "def _check_state(ticket: Ticket, controls: Controls) -> None:\n"
        '    controls = _seen.setdefault("controls", controls)\n',
    ),
    _one("switch-ignored", "HALTED halts nothing", _RISK, "    _check_state(ticket, controls)\n", "    pass\n"),
    _one(
        "limits-outside-the-commit",
        "the limits are checked against controls that were read before the commit",
        _FLOW,
        "    return desk.ledger.submit(order, partial(_decide, order, market, desk), deadline)\n",
        "    stale = desk.ledger.controls(deadline)\n"
        "    return desk.ledger.submit(order, lambda _: _decide(order, market, desk, stale), deadline)\n",
    ),
    _one(
        "counted-twice-is-once",
        "orders of the last seconds that neither book nor positions show are forgotten",
        _RISK,
        "    holdings = holdings.with_sent(controls.sent_since(now - limits.venue.book_lag))\n",
        "",
    ),
    Mutant(
        "cover-more-than-the-short",
        "a cover buys what the alert asks for, whatever is short",
        (
            Edit("app.domain.ticket", "min(wanted, left)", "wanted"),
            Edit(
                _RISK,
                "    room = holding.left(ticket.side) - ticket.quantity\n",
                "    room = max(0, holding.left(ticket.side) - ticket.quantity)\n",
            ),
        ),
        SIM,
    ),
    _one(
        "doubt-gives-back",
        "an order in doubt gives the day's counters back",
        "app.domain.risk.controls",
        "GIVES_BACK = frozenset({",
        "GIVES_BACK = frozenset({OrderStatus.SUBMITTED, ",
    ),
    # -- identity
    _one(
        "key-without-account",
        "the key leaves the account out, so two accounts share orders",
        "app.domain.alert.identity",
        "_digest(VERSION, account, str(tier), *parts)",
        "_digest(VERSION, str(tier), *parts)",
        ("identity",),
    ),
    _one(
        "tag-not-from-key",
        "the tag is made up, so a restart does not find the order again",
        "app.domain.alert.identity",
        'digest = hmac.digest(b"tag/" + VERSION.encode(), bytes.fromhex(key), "sha256")',
        'digest = __import__("os").urandom(32)',
        ("identity",),
    ),
    _one(
        "clock-buckets",
        "alerts without identity are told apart by the minute on the clock, not by a window from the first",
        _SQLITE,
        "now - datetime.fromisoformat(row[1]) >= timedelta(seconds=window.seconds):",
        "now.minute != datetime.fromisoformat(row[1]).minute:",
        SQL,
    ),
    _one(
        "window-for-ever",
        "an alert without identity is suppressed for ever after its first firing",
        _SQLITE,
        "now - datetime.fromisoformat(row[1]) >= timedelta(seconds=window.seconds):",
        "False:",
        SQL,
    ),
    _one(
        "any-order-for-an-id",
        "another order under a known id is answered with the first one",
        _FLOW,
        "    if order.fingerprint != received.fingerprint:\n",
        "    if False:\n",
    ),
    # -- reconcile
    _one(
        "absence-is-not-placed",
        "one reading of the order book without the order is taken for proof that it is not there",
        _RECONCILE,
        "    if valid and final:\n",
        "    if valid:\n",
    ),
    _one(
        "absence-from-half-a-book",
        "a reading that lacks orders the ledger knows counts all the same",
        _RECONCILE,
        "    valid = not run.not_shown(book)\n",
        "    valid = True\n",
    ),
    Mutant(
        "lapse-the-submitted",
        "an order that may be at the broker lapses when it is old",
        (
            Edit(
                _RECONCILE,
                "        if order.status is not _S.RECEIVED:\n            continue\n        covers",
                "        if order.status not in (_S.RECEIVED, _S.SUBMITTED):\n            continue\n        covers",
            ),
            Edit(
                "app.domain.order.status",
                _FROM_SUBMITTED,
                "frozenset({_S.LAPSED, _S.RECEIVED, _S.ACCEPTED,",
            ),
        ),
        SIM,
    ),
    _one(
        "never-lapse",
        "an alert that could not be sent waits for ever",
        _RECONCILE,
        "        if run.now() - order.alert_at > allowed + SETTLE:\n",
        "        if False:\n",
    ),
    _one(
        "never-found",
        "an order in doubt is not looked for in the order book",
        _RECONCILE,
        "    rows = {row.tag: row for row in book if row.protects is None}\n",
        "    rows: dict[str, BookRow] = {}\n",
    ),
    # -- telling
    _one(
        "no-outbox-row",
        "a step is stored without the notice that it needs",
        _SQLITE,
        "    if (notice := notice_of(order)) is not None:\n",
        "    if (notice := notice_of(order)) is not None and False:\n",
        SQL,
    ),
    _one(
        "doubt-in-silence",
        "an order in doubt publishes no notice",
        _NOTICE,
        "    if order.status is OrderStatus.SUBMITTED and not _doubt_is_news(order):\n",
        "    if order.status is OrderStatus.SUBMITTED:\n",
    ),
    _one(
        "duplicate-in-silence",
        "a second firing is suppressed and no notice is published",
        _FLOW,
        "    post(duplicate_notice(",
        "    0 and post(duplicate_notice(",
    ),
    _one(
        "secret-in-the-log",
        "the body of an alert is logged, with the secret in it",
        "app.web.webhook",
        "            body = _body(request)\n",
        '            body = _body(request)\n            log.info("alert", extra={"body": repr(body)})\n',
        WIRE,
    ),
    # -- whose login it is
    _one(
        "any-account-may-log-in",
        "the login of whatever account at Fyers is taken",
        "app.login.holder",
        "        if account is not None and account.strip().upper() != self._client_id:\n",
        "        if False:\n",
        LOGINS,
    ),
    _one(
        "any-token-in-the-store",
        "a token in the store is used without asking whose it is",
        "app.login.current",
        "        if self.problem_of(token) is not None or self._holder.knows(token):\n",
        "        if True:\n",
        LOGINS,
    ),
    _one(
        "any-seal-will-do",
        "a token in the store that bears any seal is used",
        "app.login.holder",
        "return token.seal is not None and hmac.compare_digest(token.seal, self._seal(token.access_token))",
        "return token.seal is not None",
        LOGINS,
    ),
    _one(
        "links-outlive-a-login",
        "a login leaves the links open that were issued before it",
        "app.login.login",
        "        self._links.end_all(deadline)\n",
        "",
        LOGINS,
    ),
    _one(
        "another-s-newer-token-stays",
        "a token of another account that says it is newer keeps the owner's login out",
        "app.adapters.tokens",
        "    return stored if token.is_older_than(stored) and knows(stored) else None\n",
        "    return stored if token.is_older_than(stored) else None\n",
        LOGINS,
    ),
    # -- who sends slowly
    Mutant(
        "head-read-in-a-thread",
        "a request takes a thread as soon as its first byte is here, and the thread reads the rest",
        (
            Edit("app.runtime.worker", "return request.whole or request.broken or not said", "return True"),
            Edit(
                "app.runtime.worker",
                "        if conn.sock.request.whole:\n",
                "        if conn.sock.began is not None:\n",
            ),
            _READS_ON,
        ),
        SENDERS,
    ),
    Mutant(
        "body-read-in-a-thread",
        "a request takes a thread as soon as its head is here, and the thread reads the body",
        (
            Edit("app.runtime.arriving", "self.whole = wanted <= len(data) or", "self.whole = True or"),
            Edit("app.runtime.worker", "io.BytesIO(inbound.request.body)", _GUNICORNS),
            _READS_ON,
        ),
        SENDERS,
    ),
    _one(
        "chunks-byte-by-byte",
        "chunks are read byte by byte, since then it would be known where they end",
        "app.runtime.arriving",
        'for part, left in ((data[:-1], data[-1:]), (data[-1:], b"")):',
        "for part, left in ((data[at : at + 1], data[at + 1 :]) for at in range(len(data))):",
        SERVED,
    ),
    _one(
        "requests-ahead-without-end",
        "a connection on which thousands of requests were sent ahead has them all answered",
        "app.runtime.worker",
        "if inbound.request.last or inbound.ahead >= MOST_AHEAD:",
        "if inbound.request.last:",
        SERVED,
    ),
    # -- strangers
    _one(
        "doubled-names-collected",
        "every value of a name that stands thousands of times is kept, each time in a new list",
        "app.domain.json_decoder",
        "            document[name] = twice(name) if name in document else value\n",
        "            document[name] = [*document[name], value] if isinstance(document.get(name), list) else [value]\n",
        ("costly bodies",),
    ),
    _one(
        "told-before-the-answer",
        "the operator is told of a refused body first, and its sender sees by the time that the secret was right",
        _WEBHOOK,
        "            response.call_on_close(partial(copy_context().run, _afterwards, work))\n",
        "            work()\n",
        ("refused bodies",),
    ),
    _one(
        "broken-bodies-do-not-count",
        "a body that is not JSON is no wrong secret, so any number of them is decoded",
        _WEBHOOK,
        "        except Malformed as malformed:\n            self._strikes.add(peer)\n",
        "        except Malformed as malformed:\n",
        ("refused bodies",),
    ),
    _one(
        "count-not-looked-at",
        "however often an address was wrong, its next body is decoded",
        _WEBHOOK,
        "        if self._strikes.over(peer) and not self._holds_secret(body):\n",
        "        if False:\n",
        ("refused bodies",),
    ),
    # -- the shared ledger
    _one(
        "no-precondition",
        "Firestore's commit does not depend on the versions that it was decided on",
        _CHANGES,
        "self._batch.update(basis.reference, fields, option=version)",
        "self._batch.update(basis.reference, fields)",
        FIRESTORE,
    ),
    _one(
        "controls-over-any-version",
        "the controls are written over whatever a rival has written meanwhile",
        _CHANGES,
        "        self.put(basis, shared(controls, self._word))\n",
        "        self._batch.set(basis.reference, shared(controls, self._word))\n",
        FIRESTORE,
    ),
    _one(
        "own-submit-is-a-rivals",
        "a submit whose reply was lost does not know its own write again, so the order is never sent",
        _LEDGER,
        "        if wrote(word, stored):\n            return current\n",
        "",
        FIRESTORE,
    ),
    _one(
        "submit-again-after-a-lost-reply",
        "a submit whose reply was lost is made once more on what it has itself left behind",
        _LEDGER,
        "        if (current.status, current.sequence) != (OrderStatus.RECEIVED, order.sequence):\n"
        "            raise Overtaken(current)\n",
        "",
        FIRESTORE,
    ),
    _one(
        "own-claim-not-read-back",
        "a claim that meets a document, its own perhaps, does not read it",
        _LEDGER,
        "                if not stored.exists:\n                    raise\n                return stored\n",
        "                raise\n",
        FIRESTORE,
    ),
    _one(
        "lost-race-not-looked-at",
        "a commit that lost its race is given up without a look at who won, perhaps itself",
        "app.adapters.firestore.store",
        "            raise Again(Reason.LEDGER_CONTENDED, str(error)) from error\n",
        "            raise NotNow(Reason.LEDGER_CONTENDED) from error\n",
        FIRESTORE,
    ),
    _one(
        "any-step-on-firestore",
        "a step is recorded on whatever step is stored",
        _LEDGER,
        "    if current.sequence != order.sequence - 1:\n",
        "    if False:\n",
        FIRESTORE,
    ),
    _one(
        "no-notice-in-the-commit",
        "a step is committed to Firestore without the notice that it needs",
        _CHANGES,
        "            if notice is not None:\n",
        "            if False:\n",
        FIRESTORE,
    ),
)
