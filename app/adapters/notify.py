"""Where notices go. A failing sink says so and never raises: no trade may depend on it."""

import logging

from app.deadline import Deadline
from app.notice import Notice, Severity

log = logging.getLogger("gateway.notice")

_LEVEL = {Severity.INFO: logging.INFO, Severity.WARNING: logging.WARNING, Severity.CRITICAL: logging.CRITICAL}


class LogNotifier:
    """The log alone: where no other sink is configured, and beside every other one."""

    def send(self, notice: Notice, deadline: Deadline) -> bool:  # noqa: ARG002 -- writing a line needs no time-out
        log.log(_LEVEL[notice.severity], notice.text, extra={"notice": notice.id, "kind": notice.kind, **notice.facts})
        return True
