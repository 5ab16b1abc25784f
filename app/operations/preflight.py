"""Before the session: one notice that says whether the gateway is ready to trade today, and why not.

A verdict is published once a day, and each change of it as well.
"""

import hashlib
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from app.domain.calendar import ist_day
from app.domain.deadline import Deadline
from app.domain.errors import NotNow
from app.domain.notice import Notice, Severity
from app.flow.desk import Desk
from app.flow.hours import notice_of_differences
from app.flow.outbox import post
from app.operations.back_office import BackOffice
from app.operations.check import Check, Mark
from app.operations.checks import examine

LOOKING = 10.0  # seconds
_SATURDAY = 5


class Verdict(StrEnum):
    READY = "ready"
    NOT_READY = "not ready"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Preflight:
    """`text` is the notice. A closed day has a notice only if it is a holiday on a weekday."""

    verdict: Verdict
    text: str
    checks: tuple[Check, ...] = ()

    def document(self) -> dict[str, object]:
        checks = [check.document() for check in self.checks]
        return {"verdict": str(self.verdict), "text": self.text, "checks": checks}


class PreflightTask:
    """One for the process: it remembers the last verdict, so that a change back is published as well."""

    def __init__(self, office: BackOffice) -> None:
        self._office = office
        self._desk = office.desk
        self._lock = threading.Lock()
        self._last = ("", "")  # day and verdict
        self._changes = 0

    def run(self, deadline: Deadline) -> Preflight:
        preflight = judge(self._office, deadline)
        notice = self._notice(preflight)
        if notice is not None:
            post(notice, self._desk.ledger, self._desk.notifier, deadline)
        if preflight.verdict is not Verdict.CLOSED:
            self._tell_of_hours(deadline)
        return preflight

    def _tell_of_hours(self, deadline: Deadline) -> None:
        """Once a day, by the first task to see a difference: this one or the symbol refresh."""
        desk = self._desk
        with suppress(NotNow):
            notice = notice_of_differences(desk.symbols, desk.calendar, ist_day(desk.clock.now()))
            if notice is not None:
                post(notice, desk.ledger, desk.notifier, deadline)

    def _notice(self, preflight: Preflight) -> Notice | None:
        today = ist_day(self._desk.clock.now())
        holiday = today in self._desk.calendar.holidays and today.weekday() < _SATURDAY
        if preflight.verdict is Verdict.CLOSED and not holiday:
            return None
        notice_id = f"preflight:{today}:{_digest(preflight)}{self._change(str(today), _digest(preflight))}"
        severity = Severity.CRITICAL if preflight.verdict is Verdict.NOT_READY else Severity.INFO
        return Notice(notice_id, "preflight", severity, preflight.text, {"verdict": str(preflight.verdict)})

    def _change(self, day: str, digest: str) -> str:
        """A suffix for the notice's id, so that a changed verdict is not taken for an earlier one."""
        with self._lock:
            last, self._last = self._last, (day, digest)
            if last[0] != day:
                self._changes = 0
            elif last[1] != digest:
                self._changes += 1
            return f":{self._changes}" if self._changes else ""


def judge(office: BackOffice, deadline: Deadline) -> Preflight:
    desk = office.desk
    now = desk.clock.now()
    today = ist_day(now)
    if not desk.calendar.is_trading_day(today):
        return Preflight(Verdict.CLOSED, f"The exchange is closed today, {today:%d-%b}: alerts are not traded.")
    if desk.calendar.is_over(now, said=desk.symbols.session):
        return Preflight(Verdict.CLOSED, "Today's session is over.")
    checks = tuple(examine(office, deadline.within(LOOKING)))
    failing = [check for check in checks if check.mark is Mark.FAIL]
    verdict = Verdict.NOT_READY if failing else Verdict.READY
    return Preflight(verdict, _text(checks, failing, desk), checks)


def _text(checks: Sequence[Check], failing: Sequence[Check], desk: Desk) -> str:
    today = ist_day(desk.clock.now())
    hours = desk.calendar.session_on(today)
    assumed = ", an assumed trading day" if desk.calendar.is_assumed(today) else ""
    session = f"today's session ({hours.opens:%H:%M} to {hours.closes:%H:%M} IST{assumed})" if hours else "trading"
    if failing:
        because = "; ".join(f"{check.name}: {check.found} ({check.advice})" for check in failing)
        return f"NOT ready for {session}, because: {because}."
    shown = [f"{check.name} {check.found}" for check in checks if check.name in ("login", "symbols", "trading state")]
    mind = [f"{check.name}: {check.found} ({check.advice})" for check in checks if check.mark is Mark.WARN]
    return f"Ready for {session}: {'; '.join(shown)}." + (f" Note: {'; '.join(mind)}." if mind else "")


def _digest(preflight: Preflight) -> str:
    """Two verdicts are the same if the same checks fail. The milliseconds in their findings do not count."""
    failing = sorted(check.name for check in preflight.checks if check.mark is Mark.FAIL)
    what = "\n".join([preflight.verdict, *failing])
    return f"{preflight.verdict.replace(' ', '-')}:{hashlib.sha256(what.encode()).hexdigest()[:8]}"
