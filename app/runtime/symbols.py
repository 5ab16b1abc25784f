"""The symbol master of a gateway: opened at the start, refreshed by the scheduler's task or by a command."""

import logging
from datetime import date, datetime
from typing import TYPE_CHECKING

from app.domain.calendar import ist_day
from app.domain.deadline import Deadline
from app.domain.errors import NotNow
from app.domain.notice import Notice, Severity
from app.flow.hours import notice_of_differences, stopped_by
from app.flow.outbox import post
from app.flow.ports import Clock, Ledger, Notifier, SymbolMaster
from app.runtime.config import Config

if TYPE_CHECKING:
    from app.adapters.symbols import Symbols

log = logging.getLogger("gateway.bootstrap")


def stored_symbols(config: Config) -> "Symbols":
    """The cached master as it is; `problem` says why there is none."""
    from app.adapters.symbols import Symbols

    return Symbols.open(config.symbol_cache)


def renew(config: Config, now: datetime, timeout: float = 60.0) -> dict[str, object]:
    """Fetches the master and stores it if it is good. `timeout` is in seconds. Returns the report; never raises."""
    from app.adapters.symbols import refresh

    return refresh(config.symbol_master_urls, config.symbol_cache, config.calendar, now, timeout=timeout)


def open_symbols(config: Config, clock: Clock) -> "Symbols":
    """The cached master. A missing or old one, or one of an earlier version, is fetched first; if that fails it stays.

    On Cloud Run an alert may be waiting: there yesterday's master serves until Cloud Scheduler refreshes it.
    """
    symbols = stored_symbols(config)
    oldest = config.calendar.latest_trading_day(ist_day(clock.now()))
    if config.on_cloud_run:
        oldest = config.calendar.trading_day_before(oldest)
    if not _is_of(symbols, oldest) or not (config.on_cloud_run or symbols.is_of_this_version):
        report = renew(config, clock.now())
        symbols = stored_symbols(config)
        level = logging.INFO if report["accepted"] else logging.ERROR
        log.log(level, "symbol master refreshed at the start", extra={"report": report})
    return symbols


def refresh_symbols(
    config: Config, symbols: "Symbols", clock: Clock, ledger: Ledger, notifier: Notifier, deadline: Deadline
) -> dict[str, object]:
    """The scheduler's refresh. A refused master leaves the last good one in place and notifies the operator."""
    now = clock.now()
    report = renew(config, now, deadline.cap(60.0, tail=5.0))
    if report["accepted"]:
        symbols.reload()
        notice = notice_of_differences(symbols, config.calendar, ist_day(now))
    else:
        text = f"The new symbol master was refused: {report['reason']}. Kept: {report['kept'] or 'none'}."
        notice = Notice(f"symbols:{ist_day(now)}", "symbols", Severity.CRITICAL, text)
    if notice is not None:
        post(notice, ledger, notifier, deadline)
    return report


def warn_of_late_square_off(config: Config, symbols: SymbolMaster, clock: Clock) -> None:
    """Logs a SQUARE_OFF_AT after which some contract no longer trades; doctor and preflight name what is open in it."""
    if config.square_off_at is None:
        return
    try:
        late = stopped_by(config.square_off_at, symbols, config.calendar, ist_day(clock.now()))
    except NotNow:
        return
    if late:
        words = {"square_off_at": f"{config.square_off_at:%H:%M}", "why": "; ".join(late)}
        log.warning("SQUARE_OFF_AT is too late", extra=words)


def _is_of(symbols: SymbolMaster, oldest: date) -> bool:
    try:
        return symbols.as_of >= oldest
    except NotNow:
        return False
