"""The kill switch holds in the order of the store: no order is submitted after a HALTED commit, and none is sent.

The order of the store is the store's own word. In SQLite, triggers note each change of the account and each order's
step to SUBMITTED, inside the transaction that makes it; write transactions come one after the other. In Firestore, both
stand in one batch or two, and each batch has its commit time, which never goes backwards for one document.
"""

import json
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.adapters.firestore.store import Again, Store
from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.domain.risk.controls import Controls, TradingState
from app.simulator import Fault, FaultKind, Simulator
from tests.emulators import firestore_project  # noqa: F401
from tests.gateway import Gateway, alert
from tests.instances import at_once, insist, instances, posts, simulated_account
from tests.waiting import finish

SETTINGS = {
    "WEBHOOK_MAX_QTY": "5",
    "MAX_LOTS_OPEN": "100000",
    "MAX_ORDERS_PER_DAY": "100000",
    "MAX_DAILY_LOSS": "0",
    "ALERT_MAX_AGE_SECONDS": "600",
}
SENDERS = 8
STATES = (TradingState.HALTED, TradingState.ACTIVE, TradingState.REDUCING, TradingState.ACTIVE)


@pytest.fixture
def account() -> Iterator[Simulator]:
    with simulated_account() as account:
        yield account


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit in store order: a state of the account, or the tag of an order that was submitted."""

    state: str | None = None
    tag: str | None = None
    covers: bool = False


def watch_sqlite(path: Path) -> Callable[[], list[Commit]]:
    """Lets the database itself write down what is committed, in its order."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            """
            CREATE TABLE history (number INTEGER PRIMARY KEY AUTOINCREMENT, state TEXT, tag TEXT, covers INTEGER);
            CREATE TRIGGER states AFTER INSERT ON account BEGIN
                INSERT INTO history (state) VALUES (json_extract(NEW.document, '$.state'));
            END;
            CREATE TRIGGER changed_states AFTER UPDATE ON account BEGIN
                INSERT INTO history (state) VALUES (json_extract(NEW.document, '$.state'));
            END;
            CREATE TRIGGER orders_out AFTER UPDATE ON orders
                WHEN NEW.status = 'SUBMITTED' AND OLD.status = 'RECEIVED' BEGIN
                INSERT INTO history (tag, covers) VALUES
                    (json_extract(NEW.document, '$.tag'), json_extract(NEW.document, '$.ticket.covers'));
            END;
            """
        )

    def history() -> list[Commit]:
        with closing(sqlite3.connect(path)) as db:
            rows = db.execute("SELECT state, tag, covers FROM history ORDER BY number")
            return [Commit(state, tag, bool(covers)) for state, tag, covers in rows]

    return history


class Switches:
    """Flips the switch, over HTTP and in the ledger, while alerts come in; remembers each answer to an alert."""

    def __init__(self, gates: list[Gateway]) -> None:
        self.gates = gates
        self.answers: list[Any] = []
        self.flips: Counter[str] = Counter()
        self._done = threading.Event()

    def run(self, flips: int, flippers: int = 4) -> None:
        senders = [threading.Thread(target=self._send, args=(self.gates[n % 2],)) for n in range(SENDERS)]
        for sender in senders:
            sender.start()
        try:
            at_once([partial(self._flip, number, flips // flippers) for number in range(flippers)])
        finally:
            self._done.set()
            finish(*senders, within=60)

    def _send(self, gate: Gateway) -> None:
        number = 0
        while not self._done.is_set():
            number += 1
            self.answers.append(gate.send(action="BUY" if number % 5 == 0 else "SELL"))

    def _flip(self, number: int, times: int) -> None:
        """Every other one flips over HTTP, the rest in the ledger; what is turned away is no flip."""
        gate = self.gates[number % 2]
        for step in range(number, number + times):
            state = STATES[step % len(STATES)]
            if number < 2:
                answer = gate.operate("POST", "/trading-state", {"state": state, "reason": "a test"})
                self.flips[state] += answer.status_code == 200
            else:
                self._change(gate, state)

    def _change(self, gate: Gateway, state: TradingState) -> None:
        def switch(account: Controls) -> Controls:
            return account.switched(state, "a test", "me", gate.desk.clock.now())

        with suppress(NotNow):
            gate.desk.ledger.change_controls(switch, gate.deadline(30))
            self.flips[state] += 1


def submitted_against_the_switch(history: list[Commit]) -> list[Commit]:
    """Orders whose commit came while the store's last word was HALTED, and entries while it was REDUCING."""
    state, against = "ACTIVE", []
    for commit in history:
        if commit.state is not None:
            state = commit.state
        elif state == "HALTED" or (state == "REDUCING" and not commit.covers):
            against.append(commit)
    return against


def check_posts(history: list[Commit], account: Simulator) -> None:
    """Each POST is of an order that the store has as submitted; there is no other way to the broker."""
    tags = Counter(entry.body["orderTag"].lower() for entry in posts(account))
    assert set(tags) <= {commit.tag for commit in history if commit.tag}
    assert set(tags.values()) == {1}


def test_a_thousand_flips_amid_traffic_let_no_order_through(tmp_path: Path, account: Simulator) -> None:
    with instances(tmp_path, account, 2, **SETTINGS) as gates:
        read = watch_sqlite(tmp_path / "ledger.db")
        switches = Switches(gates)
        switches.run(1000)
        history = read()
    submitted = [commit for commit in history if commit.tag]
    assert submitted_against_the_switch(history) == []
    check_posts(history, account)
    reasons = Counter(answer.json["reason"] for answer in switches.answers)
    changes = sum(one.state != two.state for one, two in zip(states(history), states(history)[1:], strict=False))
    assert sum(switches.flips.values()) >= 900
    assert changes > 300  # most flips really changed the state
    assert len(submitted) > 20
    assert reasons["TRADING_HALTED"] > 20
    assert reasons["EXITS_ONLY"] > 5
    assert any(commit.covers for commit in submitted)


def states(history: list[Commit]) -> list[Commit]:
    return [commit for commit in history if commit.state is not None]


def test_the_watch_would_see_an_order_that_slipped_through(tmp_path: Path, account: Simulator) -> None:
    """The judge is judged: a gateway whose switch is read before the commit is found out."""
    with instances(tmp_path, account, count=1, **SETTINGS) as [gate]:
        read = watch_sqlite(tmp_path / "ledger.db")
        gate.operate("POST", "/trading-state", {"state": "ACTIVE", "reason": "a beginning"})
        submit = gate.desk.ledger.submit
        remembered = gate.desk.ledger.controls(gate.deadline())
        ledger: Any = gate.desk.ledger
        ledger.submit = lambda order, decide, deadline: submit(order, lambda _: decide(remembered), deadline)
        gate.operate("POST", "/trading-state", {"state": "HALTED", "reason": "a test"})
        gate.send()
        assert len(submitted_against_the_switch(read())) == 1


def test_flips_amid_traffic_let_no_order_through_in_firestore(
    tmp_path: Path,
    account: Simulator,
    firestore_project: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commits = watch_firestore(monkeypatch)
    with instances(tmp_path, account, 2, **SETTINGS | {"LEDGER_URL": f"firestore://{firestore_project}"}) as gates:
        switches = Switches(gates)
        switches.run(80)
    history = commits()
    assert submitted_against_the_switch(history) == []
    check_posts(history, account)
    assert sum(switches.flips.values()) >= 40
    assert len([commit for commit in history if commit.tag]) > 3
    assert Counter(answer.json["reason"] for answer in switches.answers)["TRADING_HALTED"] > 3


def watch_firestore(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Commit]]:
    """Notes what each batch holds and when it was committed, as Google's client hands both over.

    A batch whose reply was lost has no known time: its order is known to be submitted, and is held against no switch.
    """
    seen: list[tuple[Any, Commit]] = []
    lost: list[Commit] = []
    commit_batch = Store.commit

    def commit(self: Store, batch: Any, deadline: Deadline) -> list[datetime]:
        written = [found for write in batch._write_pbs if (found := _written(write)) is not None]
        try:
            versions = commit_batch(self, batch, deadline)
        except Again as problem:
            if problem.reason is not Reason.LEDGER_CONTENDED:
                lost.extend(found for found in written if found.tag)
            raise
        # The order of a batch before its account: its own state is what the next one has to go by.
        seen.extend(((batch.commit_time, found.state is not None), found) for found in written)
        return versions

    monkeypatch.setattr(Store, "commit", commit)
    return lambda: [found for _, found in sorted(seen, key=lambda one: one[0])] + [Commit(state="ACTIVE"), *lost]


def _written(write: Any) -> Commit | None:
    """What one write of a batch says about the switch, if anything."""
    name, fields = write.update.name, write.update.fields
    if "/account/" in name:
        return Commit(state=json.loads(fields["account"].string_value)["state"])
    if "/orders/" in name and fields["status"].string_value == "SUBMITTED":
        order = json.loads(fields["order"].string_value)
        if order["reason"] is None:  # the step to it, and not a doubt that came later
            return Commit(tag=order["tag"], covers=order["ticket"]["covers"])
    return None


# -- what a halt means to who is in the middle of something


def test_a_halt_that_was_answered_holds_for_every_alert_that_comes_after(tmp_path: Path, account: Simulator) -> None:
    with instances(tmp_path, account, 2, **SETTINGS) as [one, two]:
        for _ in range(20):
            one.operate("POST", "/trading-state", {"state": "ACTIVE", "reason": "a test"})
            assert two.send().json["status"] == "ACCEPTED"
            one.operate("POST", "/trading-state", {"state": "HALTED", "reason": "a test"})
            sent = len(posts(account))
            said = two.send()
            assert (said.status_code, said.json["reason"]) == (422, "TRADING_HALTED")
            assert "a test" in said.json["message"]
            assert len(posts(account)) == sent


def test_a_halt_while_an_alert_reads_the_market_stops_it(tmp_path: Path, account: Simulator) -> None:
    with instances(tmp_path, account, 2, **SETTINGS) as [one, two]:
        account.fault("quotes", Fault(FaultKind.LATENCY, seconds=0.4))
        answers: list[Any] = []
        sender = threading.Thread(target=lambda: answers.append(one.send()))
        sender.start()
        time.sleep(0.15)
        two.operate("POST", "/trading-state", {"state": "HALTED", "reason": "a test"})
        finish(sender)
        assert answers[0].json["reason"] == "TRADING_HALTED"
        assert posts(account) == []


def test_an_alert_that_was_halted_is_finished_and_not_sent_when_trading_goes_on(
    tmp_path: Path, account: Simulator
) -> None:
    with instances(tmp_path, account, 2, **SETTINGS) as [one, two]:
        one.operate("POST", "/trading-state", {"state": "HALTED", "reason": "a test"})
        body = alert()
        one.send(body)
        one.operate("POST", "/trading-state", {"state": "ACTIVE", "reason": "a test"})
        again = two.send(body).json
        assert (again["status"], again["reason"], again["duplicate"]) == ("DENIED", "TRADING_HALTED", True)
        assert posts(account) == []


@pytest.mark.parametrize("damage", ["not json", '{"state": "ACT', "{}", '{"state": "ACTIVE"}', "[]", "null"])
def test_a_state_that_cannot_be_read_is_halted(tmp_path: Path, account: Simulator, damage: str) -> None:
    with ExitStack() as stack:
        [gate] = stack.enter_context(instances(tmp_path, account, count=1, **SETTINGS))
        assert gate.send().json["status"] == "ACCEPTED"
        with closing(sqlite3.connect(tmp_path / "ledger.db")) as db, db:
            db.execute("UPDATE account SET document = ?", (damage,))
        assert gate.send().json["reason"] == "TRADING_HALTED"
        assert gate.send(action="BUY").json["reason"] == "TRADING_HALTED"
        assert gate.operate("GET", "/trading-state").json["state"] == "HALTED"
        gate.operate("POST", "/trading-state", {"state": "ACTIVE", "reason": "looked"})
        assert insist(gate, alert()).json["status"] == "ACCEPTED"


def test_an_account_document_of_an_older_version_trades_on(tmp_path: Path, account: Simulator) -> None:

    with instances(tmp_path, account, count=1, **SETTINGS) as [gate]:
        gate.send()
        with closing(sqlite3.connect(tmp_path / "ledger.db")) as db, db:
            [text] = db.execute("SELECT document FROM account").fetchone()
            older = {name: value for name, value in json.loads(text).items() if name not in ("failures", "open_until")}
            db.execute("UPDATE account SET document = ?", (json.dumps(older),))
        assert gate.send().json["status"] == "ACCEPTED"


def test_a_switch_survives_the_night(tmp_path: Path, account: Simulator) -> None:
    with instances(tmp_path, account, count=1, **SETTINGS) as [gate]:
        gate.operate("POST", "/trading-state", {"state": "HALTED", "reason": "over the weekend"})
        now = gate.desk.clock.now
        gate.desk.clock.now = lambda: now() + timedelta(days=3)  # type: ignore[method-assign]
        assert gate.send(timenow=None).json["reason"] in ("TRADING_HALTED", "NO_QUOTE")
        assert gate.operate("GET", "/trading-state").json["state"] == "HALTED"
