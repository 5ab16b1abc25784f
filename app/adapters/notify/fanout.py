"""Every notice to the log and to every sink. Nothing is raised: no trade may depend on a phone.

A notice is delivered once each sink has taken it. A sink that has it does not get it again: this process remembers
that, and the ledger stores it where another sink still lacks the notice. A notice that may have arrived without a reply
is sent again, with the same id, at growing intervals: at least once, and consumers know it by its id.

A failing sink gets one try under each deadline, so a reconcile loses one time-out to it, not one for each notice.
Of each kind, so many notices go out singly in ten minutes and one process. The others wait in the outbox, from which
many are sent as one. CRITICAL notices are never held back.
"""

import copy
import logging
import re
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from app.adapters.notify.sink import NotTaken, Sink
from app.domain.deadline import Deadline
from app.domain.errors import NotNow
from app.domain.notice import Notice, Severity

log = logging.getLogger("gateway.notice")

PATIENCE = 5.0  # seconds for one sink; an alert has less
TAIL = 0.2  # seconds of the deadline that are left for the ledger and the answer
MOST_OF_A_KIND = 20
WITHIN = 600.0  # seconds
FREE_TRIES = 3  # of a notice that may have arrived; after them each pause is twice the last
FIRST_PAUSE = 180.0  # seconds; so it is sent five times at most in the first ten minutes
_REMEMBERED = 2_000
_LINK = re.compile(r"(https?://[^/\s]+)/\S*")

Taken = Callable[[str, Sequence[str], Deadline], None]

_LEVEL = {Severity.INFO: logging.INFO, Severity.WARNING: logging.WARNING, Severity.CRITICAL: logging.CRITICAL}


def _nowhere(notice_id: str, by: Sequence[str], deadline: Deadline) -> None:
    """Without a ledger, this process alone remembers which sink has which notice."""


@dataclass(slots=True)
class _Known:
    """Which sinks have a notice; for those that may have it, how often it was sent and when it may be sent again."""

    has: set[str] = field(default_factory=set)
    doubts: dict[str, tuple[int, float]] = field(default_factory=dict)


class Fanout:
    """Implements `ports.Notifier`. `monotonic` gives seconds; `taken` is the ledger's method of that name."""

    def __init__(self, sinks: Sequence[Sink], monotonic: Callable[[], float], taken: Taken = _nowhere) -> None:
        self._sinks = tuple(sinks)
        self._monotonic = monotonic
        self._note = taken
        self._lock = threading.Lock()  # guards what follows; no call is made under it
        self._notices: OrderedDict[str, _Known] = OrderedDict()
        self._sent: dict[str, deque[float]] = {}  # when the last notices of each kind went out
        self._troubled: dict[str, Deadline] = {}  # the deadline under which a sink last failed

    def among(self, sinks: Sequence[Sink]) -> "Fanout":
        """The same for these sinks alone. The two share what they know of notices and sinks."""
        part = copy.copy(self)
        part._sinks = tuple(sinks)  # noqa: SLF001 -- it is of this class
        return part

    def send(self, notice: Notice, deadline: Deadline) -> bool:
        return not self.lacking(notice, deadline)

    def lacking(self, notice: Notice, deadline: Deadline) -> Mapping[str, str]:
        """Sends it. Returns the sinks that still lack it, by name, each with the reason."""
        known = self._known(notice)
        wanting = [sink for sink in self._sinks if sink.name not in known.has]
        first = not known.has
        if first and self._is_held(notice):
            return {sink.name: "too many of this kind in ten minutes; it waits" for sink in wanting}
        wanting.sort(key=lambda sink: sink.name in self._troubled)  # a sink that hangs may not take the others' time
        troubles = {sink.name: why for sink in wanting if (why := self._push(sink, notice, known, deadline))}
        new = [sink.name for sink in wanting if sink.name not in troubles]
        if new and first:
            with self._lock:
                self._sent.setdefault(notice.kind, deque(maxlen=MOST_OF_A_KIND)).append(self._monotonic())
        if new and troubles:
            self._tell_ledger(notice, new, deadline)
        return troubles

    def _push(self, sink: Sink, notice: Notice, known: _Known, deadline: Deadline) -> str | None:
        """None where the sink took it, else the reason."""
        seconds = deadline.cap(PATIENCE, TAIL) / (2 if sink.name in self._troubled else 1)
        tries, again_at = known.doubts.get(sink.name, (0, 0.0))
        if self._troubled.get(sink.name) is deadline or seconds <= 0 or self._monotonic() < again_at:
            return "it could not be tried now"
        try:
            sink.push(notice, seconds)
        except NotTaken as problem:
            if problem.arrived:
                known.doubts[sink.name] = tries + 1, self._monotonic() + _pause_after(tries + 1)
            return self._failed(sink, notice, problem.why, None if problem.about_notice else deadline)
        except Exception as fault:  # noqa: BLE001 -- no failure of a sink may end a trade
            return self._failed(sink, notice, f"a fault in the gateway: {type(fault).__name__}", deadline)
        self._troubled.pop(sink.name, None)
        known.has.add(sink.name)
        return None

    def _failed(self, sink: Sink, notice: Notice, why: str, deadline: Deadline | None) -> str:
        if deadline is not None:
            self._troubled[sink.name] = deadline
        told = {"notice": notice.id, "kind": notice.kind, "sink": sink.name, "why": why}
        log.error("a notice was not taken", extra=told)
        return why

    def _known(self, notice: Notice) -> _Known:
        """What this process knows of the notice. One that it sees for the first time is logged."""
        with self._lock:
            new = notice.id not in self._notices
            known = self._notices.setdefault(notice.id, _Known())
            while len(self._notices) > _REMEMBERED:
                self._notices.popitem(last=False)
        known.has.update(notice.taken)
        if new:
            extra = {"notice": notice.id, "kind": notice.kind, "facts": dict(notice.facts)}
            # A login link is for the phone alone: a reader of the log must not be able to use it.
            log.log(_LEVEL[notice.severity], "%s", _LINK.sub(r"\1/…", notice.text), extra=extra)
        return known

    def _is_held(self, notice: Notice) -> bool:
        with self._lock:
            sent = self._sent.get(notice.kind)
            full = sent is not None and len(sent) == MOST_OF_A_KIND and self._monotonic() - sent[0] < WITHIN
        return full and notice.severity is not Severity.CRITICAL

    def _tell_ledger(self, notice: Notice, by: Sequence[str], deadline: Deadline) -> None:
        try:
            self._note(notice.id, by, deadline)
        except NotNow:
            log.warning("which sinks have a notice could not be noted", extra={"notice": notice.id})


def _pause_after(tries: int) -> float:
    return 0.0 if tries < FREE_TRIES else FIRST_PAUSE * 2.0 ** (tries - FREE_TRIES)
