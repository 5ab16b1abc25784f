"""When a contract trades, for alerts, the operator and the square-off.

The dated table (app/facts/hours.py) and the symbol master both say it. Where they differ, entries go by the narrower
hours and exits by the wider, and the operator is notified.
"""

from datetime import date, datetime, time, timedelta

from app.domain.calendar import IST, Calendar, Listing, Session, ist_day
from app.domain.errors import Denied, Reason
from app.domain.instrument import Instrument
from app.domain.notice import Notice, Severity
from app.flow.ports import SymbolMaster

RULE = "entries go by the narrower, exits by the wider"
ADVICE = "compare both with the exchange's circular; MARKET_HOURS overrides them"


def expiry_floor(
    symbols: SymbolMaster, calendar: Calendar, underlying: str, exchange: str | None, now: datetime, *, entering: bool
) -> date:
    """The first day whose expiry can still be traded: today until its contract stops, then tomorrow.

    An exit goes by the later of the table's last minute and the symbol master's, an entry by the table's. Raises as
    ports.SymbolMaster.resolve does.
    """
    today = ist_day(now)
    expiring = symbols.expiring(underlying, exchange, today)
    stopped = expiring is not None and calendar.has_stopped(expiring, now, entering=entering)
    return today + timedelta(days=1) if stopped else today


def closed(contract: Instrument, calendar: Calendar, now: datetime, *, entering: bool) -> Denied | None:
    """Why the contract does not trade now; None where it does."""
    if calendar.always:
        return None
    today, at = ist_day(now), now.astimezone(IST).time()
    hours = calendar.hours_of(contract, today, entering=entering)
    if hours is None:
        return Denied(Reason.MARKET_CLOSED)
    if hours.holds(at):
        return None
    if contract.expiry == today and calendar.has_stopped(contract, now, entering=False):
        text = f"{contract.symbol} expires today and stopped trading at {hours.closes:%H:%M} IST"
        what = "the order was not sent; name a later expiry" if entering else "it cannot be covered and will be settled"
        return Denied(Reason.MARKET_CLOSED, f"{text}: {what}")
    taken = "no entry is taken" if hours.is_empty else f"{'entries' if entering else 'covers'} are taken in {hours} IST"
    table = _other_hours(contract, calendar, today)
    why = f" (the symbol master gives {contract.session}, the dated table {table})" if table else ""
    return Denied(Reason.MARKET_CLOSED, f"{contract.symbol}: {taken}{why}, and it is {at:%H:%M}; nothing was sent")


def differences(symbols: SymbolMaster, calendar: Calendar, day: date) -> list[str]:
    """Where symbol master and dated table say different hours for that day. Raises NotNow(SYMBOLS_MISSING)."""
    return sorted(
        f"the symbol master gives {kind.session} for {count} {_name(kind, day)}, the dated table {table}"
        for kind, count in symbols.kinds(day).items()
        if (table := _other_hours(kind, calendar, day)) is not None
    )


def notice_of_differences(symbols: SymbolMaster, calendar: Calendar, day: date) -> Notice | None:
    """The day's notice of the differences. Raises NotNow(SYMBOLS_MISSING)."""
    found = differences(symbols, calendar, day)
    text = f"Today's hours are in doubt: {'; '.join(found)}. Until they agree {RULE}: {ADVICE}."
    return Notice(f"hours:{day}", "hours", Severity.WARNING, text) if found else None


def stopped_by(at: time, symbols: SymbolMaster, calendar: Calendar, day: date) -> list[str]:
    """What has stopped trading by that time of day, with its last minute. Raises NotNow(SYMBOLS_MISSING)."""
    market = calendar.session_on(day)
    if market is None:
        return []
    if at >= market.closes:
        return [f"the market closes at {market.closes:%H:%M}"]
    expiring = {(_name(kind, day), last_minute(kind, calendar, day)) for kind in symbols.kinds(day, expiring=True)}
    return [f"{name} stop at {last:%H:%M}" for name, last in sorted(expiring) if at >= last]


def last_minute(contract: Listing, calendar: Calendar, day: date) -> time:
    """When the contract stops that day, by the narrower hours; the day's end where it does not trade at all."""
    hours = calendar.hours_of(contract, day, entering=True)
    return hours.closes if hours is not None else time.max


def _other_hours(contract: Listing, calendar: Calendar, day: date) -> Session | None:
    """The table's hours where the master gives others; None where they agree, or where a setting gives the hours."""
    table = calendar.table_hours(contract, day) if calendar.goes_by_table(day) else None
    return table if contract.session not in (None, table) else None


def _name(kind: Listing, day: date) -> str:
    on = "index contracts" if kind.on_index else "stock contracts"
    return f"{on} that expire today" if kind.expiry == day else on
