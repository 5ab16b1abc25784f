"""The checks of doctor, preflight and /readyz: each looks at one thing that orders need.

A check sends no order and no notice. One that does not finish in time has failed.
"""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import datetime, time, timedelta
from functools import partial
from typing import TypeVar

from app.domain.calendar import IST, ist_day
from app.domain.deadline import SEND_WINDOW, Deadline
from app.domain.errors import AlertError, NotNow
from app.domain.instrument import Option
from app.domain.risk.controls import TradingState
from app.flow.hours import ADVICE, RULE, differences, last_minute, stopped_by
from app.flow.ports import Clock
from app.login.current import said
from app.operations.back_office import BackOffice
from app.operations.check import Check, Mark

log = logging.getLogger("gateway.checks")
_Result = TypeVar("_Result")

SKEW_MATTERS = 2.0  # seconds between this machine's clock and the broker's
SKEW_STOPS = 10.0
HOLIDAYS_NEEDED = timedelta(days=45)
_LONGER_LIST = "install a later version; EXTRA_HOLIDAYS closes one day, EXTRA_SESSIONS gives one its hours"
_NAMED = 3  # facts that a finding names
SLOW = 300.0  # milliseconds; an alert's deadline leaves little more for each call (app/domain/deadline.py)

Look = Callable[[BackOffice, Deadline], Check]

_MEND = {
    "login": "log in: POST /refresh-token sends the link to the phone, `token url` shows it",
    "ledger": "check that the database of LEDGER_URL is up and writable",
    "symbols": "run `symbols refresh` and read its report",
    "broker": "check that Fyers is up, and that this machine's address is the registered one",
    "clock": "check that Fyers can be reached",
}


def look_at(looks: Mapping[str, Look], office: BackOffice, deadline: Deadline) -> list[Check]:
    """Runs the checks side by side. None is waited for beyond the deadline."""
    begun = {name: office.desk.readers.submit(look, office, deadline) for name, look in looks.items()}
    return [_finished(name, answer, deadline) for name, answer in begun.items()]


def _finished(name: str, answer: "Future[Check]", deadline: Deadline) -> Check:
    try:
        return answer.result(max(0.0, deadline.left()))
    except AlertError as error:
        found = error.message
    except TimeoutError:
        found = "no answer in time"
    except Exception:
        log.exception("a check failed unexpectedly", extra={"check": name})
        found = "a fault in the gateway; see its log"
    return Check(name, Mark.FAIL, found, _MEND.get(name, "read the log, and check that the ledger is up"))


def login(office: BackOffice, deadline: Deadline) -> Check:
    if office.login is None:
        return Check("login", Mark.OK, "paper trading needs none")
    today = ist_day(office.desk.clock.now())
    session = office.desk.calendar.session_on(today)
    ends = datetime.combine(today, session.closes, IST) if session else None
    status = office.login.status(deadline, needed_until=ends)
    if status.problem is not None:
        return Check("login", Mark.FAIL, status.problem, _MEND["login"])
    return Check("login", Mark.OK, f"ends {said(status.ends_at)}")


def ledger(office: BackOffice, deadline: Deadline) -> Check:
    """Anyone may call /readyz. It reuses its answer for ten seconds, which bounds what this writes."""
    office.desk.ledger.controls(deadline)
    office.desk.ledger.try_out(deadline)
    return Check("ledger", Mark.OK, "it can be read and written")


def ledger_round_trip(office: BackOffice, deadline: Deadline) -> Check:
    desk = office.desk
    desk.ledger.try_out(deadline, whole=True)
    name = f"doctor:{desk.clock.now().isoformat()}"
    wrote, first = _timed(desk.clock, lambda: desk.ledger.once(name, deadline))
    read, again = _timed(desk.clock, lambda: desk.ledger.once(name, deadline))
    found = f"written in {wrote:.0f} ms, read back in {read:.0f} ms"
    if not first or again:
        return Check("ledger", Mark.FAIL, "what was written did not come back", _MEND["ledger"])
    if max(wrote, read) > SLOW:
        return Check("ledger", Mark.WARN, found, "keep the database in the region of the service")
    return Check("ledger", Mark.OK, found)


def symbols(office: BackOffice, deadline: Deadline) -> Check:  # noqa: ARG001 -- they are in memory
    desk = office.desk
    as_of, today = desk.symbols.as_of, ist_day(desk.clock.now())
    latest = desk.calendar.latest_trading_day(today)
    found = f"{desk.symbols.rows} contracts as of {as_of}"
    if as_of < desk.calendar.trading_day_before(latest):
        return Check("symbols", Mark.FAIL, f"{found}: too old to open a position by", _MEND["symbols"])
    if desk.symbols.problem is not None:
        return Check("symbols", Mark.WARN, f"{found}; {desk.symbols.problem}", _MEND["symbols"])
    if as_of < latest:
        return Check("symbols", Mark.WARN, f"{found}, not of {latest}", _MEND["symbols"])
    return Check("symbols", Mark.OK, found)


def broker(office: BackOffice, deadline: Deadline) -> Check:
    """Reads the positions. Without a login Fyers is not called, since that would notify the operator."""
    if login(office, deadline).mark is Mark.FAIL:
        return Check("broker", Mark.FAIL, "not asked, since there is no login", _MEND["login"])
    took, _ = _timed(office.desk.clock, lambda: office.desk.broker.positions(deadline))
    who = "Fyers" if office.login else "the simulator"
    mark, advice = (Mark.WARN, "run the service near Mumbai (asia-south1)") if took > SLOW else (Mark.OK, "")
    return Check("broker", mark, f"{who} answered in {took:.0f} ms", advice)


def clock(office: BackOffice, deadline: Deadline) -> Check:
    before = office.desk.clock.now()
    theirs = office.server_time(deadline)
    here = before + (office.desk.clock.now() - before) / 2
    if theirs is None:
        mark = Mark.OK if office.login is None else Mark.WARN
        return Check("clock", mark, "the broker's answers carry no time", "compare this machine's clock by hand")
    skew = (here - theirs).total_seconds()
    found = f"{abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} the broker's"
    advice = "set this machine's clock (chrony or systemd-timesyncd): alerts are judged by their age"
    if abs(skew) > SKEW_STOPS:
        return Check("clock", Mark.FAIL, found, advice)
    return Check("clock", Mark.WARN, found, advice) if abs(skew) > SKEW_MATTERS else Check("clock", Mark.OK, found)


def trading_state(office: BackOffice, deadline: Deadline) -> Check:
    controls = office.desk.ledger.controls(deadline)
    found = f"{controls.state} by {controls.author} ({controls.reason})" if controls.reason else str(controls.state)
    match controls.state:
        case TradingState.ACTIVE:
            return Check("trading state", Mark.OK, found)
        case TradingState.REDUCING:
            return Check("trading state", Mark.WARN, f"{found}: covers only", "`trading-state active --reason …`")
        case TradingState.HALTED:
            return Check("trading state", Mark.FAIL, f"{found}: nothing is sent", "`trading-state active --reason …`")


def doubts(office: BackOffice, deadline: Deadline) -> Check:
    count = office.desk.ledger.unresolved(office.desk.clock.now() - timedelta(seconds=SEND_WINDOW), deadline)
    if not count:
        return Check("orders", Mark.OK, "none in doubt")
    found = f"{count} with an unknown outcome"
    return Check("orders", Mark.WARN, found, "`reconcile`; then look at Fyers, and `orders resolve`")


def outbox(office: BackOffice, deadline: Deadline) -> Check:
    waiting = len(office.desk.ledger.outbox(deadline))
    if not waiting:
        return Check("outbox", Mark.OK, "no notice waits")
    found = f"{waiting} notices wait in the outbox"
    return Check("outbox", Mark.WARN, found, "reconcile sends them each minute; the log says which sink fails")


def holidays(office: BackOffice, deadline: Deadline) -> Check:  # noqa: ARG001
    desk = office.desk
    today = ist_day(desk.clock.now())
    until = desk.calendar.known_until
    if until - today >= HOLIDAYS_NEEDED:
        return Check("holidays", Mark.OK, f"known until {until}")
    doubt = "each weekday after it that no setting names is assumed to be a trading day, on which"
    if desk.calendar.is_assumed(today):
        doubt = "today may be one, so"
    found = f"known until {until} only: {doubt} entries need Fyers' market status"
    return Check("holidays", Mark.WARN, found, _LONGER_LIST)


def facts(office: BackOffice, deadline: Deadline) -> Check:  # noqa: ARG001 -- they are in the code
    from app.operations.register import REGISTER, due

    late = due(ist_day(office.desk.clock.now()))
    if not late:
        return Check("facts", Mark.OK, f"{len(REGISTER)} outside facts, none due for review")
    names = ", ".join(dict.fromkeys(fact.name for fact in late[:_NAMED]))
    more = ", …" if len(late) > _NAMED else ""
    found = f"{len(late)} of {len(REGISTER)} outside facts are due for review: {names}{more}"
    return Check("facts", Mark.WARN, found, "`facts --due` shows each with its source; install a later version")


def hours(office: BackOffice, deadline: Deadline) -> Check:  # noqa: ARG001
    """Whether the dated table and the symbol master agree on today's hours."""
    desk = office.desk
    calendar, today = desk.calendar, ist_day(desk.clock.now())
    if calendar.always:
        return Check("hours", Mark.OK, "MARKET_HOURS=always overrides the dated table: any hour counts as open")
    if calendar.override is not None:
        found = f"MARKET_HOURS ({calendar.override}) overrides the dated table and the symbol master"
        return Check("hours", Mark.WARN, found, "leave MARKET_HOURS empty unless both are wrong")
    session = calendar.session_on(today)
    if session is None:
        return Check("hours", Mark.OK, "no session today")
    try:
        found = "; ".join(differences(desk.symbols, calendar, today))
        silent = all(kind.session is None for kind in desk.symbols.kinds(today))
    except NotNow as problem:
        return Check("hours", Mark.WARN, f"{session} by the dated table alone: {problem.message}", _MEND["symbols"])
    if found:
        return Check("hours", Mark.WARN, f"{found}: {RULE}", ADVICE)
    if silent and calendar.goes_by_table(today):
        found = f"{session} by the dated table alone: the symbol master gives no hours"
        return Check("hours", Mark.WARN, found, _MEND["symbols"])
    return Check("hours", Mark.OK, f"{session} today")


def square_off(at: time | None, office: BackOffice, deadline: Deadline) -> Check:
    """Whether all contracts still trade at SQUARE_OFF_AT; names the open positions that do not."""
    desk = office.desk
    if at is None:
        return Check("square-off", Mark.OK, "SQUARE_OFF_AT is not set")
    today = ist_day(desk.clock.now())
    try:
        late = stopped_by(at, desk.symbols, desk.calendar, today)
    except NotNow as problem:
        return Check("square-off", Mark.WARN, f"not known: {problem.message}", _MEND["symbols"])
    session = desk.calendar.session_on(today)
    if session is not None and at <= session.opens:
        found = f"SQUARE_OFF_AT {at:%H:%M} is too early: today's session is {session}"
        return Check("square-off", Mark.WARN, found, "set SQUARE_OFF_AT within the session, or close by hand")
    if not late:
        return Check("square-off", Mark.OK, f"at {at:%H:%M} IST")
    found = f"SQUARE_OFF_AT {at:%H:%M} is too late: {'; '.join(late)}"
    if stays := _left_open(at, office, deadline):
        found = f"{found}; open now: {', '.join(stays)}"
    return Check("square-off", Mark.WARN, found, "set SQUARE_OFF_AT some minutes earlier, or close by hand before then")


def _left_open(at: time, office: BackOffice, deadline: Deadline) -> list[str]:
    """The open positions that have stopped trading by that time; none if the broker does not answer."""
    desk = office.desk
    if login(office, deadline).mark is Mark.FAIL:
        return []
    try:
        positions = desk.broker.positions(deadline)
    except NotNow:
        return []
    today = ist_day(desk.clock.now())
    listed = (desk.symbols.lookup_symbol(position.symbol) for position in positions if position.net_quantity)
    return sorted(
        {each.symbol for each in listed if isinstance(each, Option) and at >= last_minute(each, desk.calendar, today)}
    )


def _timed(clock: Clock, call: Callable[[], _Result]) -> tuple[float, _Result]:
    """The milliseconds of the call, and its result."""
    began = clock.monotonic()
    result = call()
    return (clock.monotonic() - began) * 1000, result


LOOKS: dict[str, Look] = {
    "login": login,
    "ledger": ledger_round_trip,
    "symbols": symbols,
    "broker": broker,
    "clock": clock,
    "trading state": trading_state,
    "orders": doubts,
    "outbox": outbox,
    "holidays": holidays,
    "hours": hours,
    "facts": facts,
}


def examine(office: BackOffice, deadline: Deadline) -> list[Check]:
    """All checks of doctor and preflight, the settings first. Writes one name into the ledger and no more."""
    looks = LOOKS | {"square-off": partial(square_off, office.square_off_at)}
    return [*office.judge_settings(), *look_at(looks, office, deadline)]
