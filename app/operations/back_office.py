"""What login, tasks and operators need beside the desk."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from app.domain.deadline import Deadline
from app.domain.notice import Notice
from app.flow.desk import Desk
from app.flow.ports import Notifier
from app.login.login import Login
from app.operations.check import Check
from app.operations.operators import OperatorAuth


@dataclass(frozen=True, slots=True)
class BackOffice:
    """A whole gateway.

    `login` is None in paper trading. `relay` sends notices of the Pub/Sub subscription to the notification addresses;
    it is None without an address. `lacking` sends a notice and returns the sinks that did not take it, with the reason.
    `refresh_symbols` returns the report of a refresh and never raises. `server_time` is the broker's time in UTC, None
    where its answers carry none; it raises NotNow. `judge_settings` returns what the settings alone show.
    `square_off_at` is a time of day in IST. `resources` closes connections, files and threads.
    """

    desk: Desk
    login: Login | None
    operators: OperatorAuth
    relay: Notifier | None
    lacking: Callable[[Notice, Deadline], Mapping[str, str]]
    refresh_symbols: Callable[[Deadline], dict[str, Any]]
    server_time: Callable[[Deadline], datetime | None]
    judge_settings: Callable[[], Sequence[Check]]
    square_off_at: time | None
    resources: ExitStack
