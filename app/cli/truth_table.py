"""The outcome of an alert under every combination of switches, found by running the flow.

The switches are BROKER and LIVE_TRADING, the day's login, the calendar, the trading state and what the alert asks for.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path

from app.cli.rehearsal import Stage, Then, folder, outcome, simulated, staged
from app.domain.alert import ExpiryRule, OptionType, Product
from app.domain.deadline import Deadline
from app.domain.instrument import Wanted
from app.domain.risk.controls import TradingState
from app.flow.hours import expiry_floor
from app.login.token import Token
from app.runtime.config import Config, ConfigFaults
from app.runtime.openings import open_token_store
from app.simulator import Simulator

OPEN = datetime(2026, 11, 20, 4, 30, tzinfo=UTC)  # a Friday, ten in the morning in India
CLOSED = OPEN + timedelta(hours=10)
ASKED = {"symbol": "NIFTY", "strikeprice": "26000", "optionType": "CE", "expiry": "WEEKLY"}
ALERTS = {"entry": "SELL", "cover": "BUY"}

Row = dict[str, str]


def truth_table() -> list[Row]:
    """One row a combination, with the columns BROKER, LIVE_TRADING, login, market, trading state, alert, outcome."""
    combinations = product(("paper", "fyers"), ("no", "yes"))
    with folder() as place:
        return [row for broker, live in combinations for row in _rows({"BROKER": broker, "LIVE_TRADING": live}, place)]


def _rows(switches: Row, place: Path) -> Iterator[Row]:
    clock = Then(OPEN)
    try:
        config = Config.from_env(_environment(place) | switches)
    except ConfigFaults as faults:
        any_of = dict.fromkeys(("login", "market", "trading state", "alert"), "any")
        yield switches | any_of | {"outcome": f"does not start: {'; '.join(faults.faults)}"}
        return
    for login in ("yes", "no") if config.live else ("needs none",):
        clock.put(OPEN)
        with simulated(config, clock) as account:
            fyers = replace(config.fyers, api_url=account.api_url, data_url=account.data_url)
            here = replace(config, fyers=fyers)
            _log_in(here, account, login == "yes")
            with staged(here, account, clock, place) as stage:
                for row in _alerts(stage):
                    yield switches | {"login": login} | row


def _alerts(stage: Stage) -> Iterator[Row]:
    for market, moment in (("open", OPEN), ("closed", CLOSED)):
        for state in TradingState:
            for alert, action in ALERTS.items():
                stage.clock.put(moment)
                came = _outcome(stage, state, action)
                yield {"market": market, "trading state": state, "alert": alert, "outcome": came}


def _outcome(stage: Stage, state: TradingState, action: str) -> str:
    """Runs one alert; a cover gets a short to cover. The account shows whether an order arrived."""
    deadline, now = Deadline(stage.clock.monotonic, 5.0), stage.clock.now()
    stage.desk.ledger.change_controls(lambda account: account.switched(state, "a row", "the table", now), deadline)
    if action == "BUY":
        symbols = stage.desk.symbols
        on = expiry_floor(symbols, stage.desk.calendar, "NIFTY", None, now, entering=False)
        contract = symbols.resolve(Wanted("NIFTY", None, ExpiryRule.WEEKLY, Decimal(26000), OptionType.CE), on=on)
        stage.ensure_short(contract.symbol, contract.lot_size, Product.INTRADAY)
    before = len(stage.exchange.orders())
    said = outcome(stage.alert(ASKED | {"action": action}))
    if (len(stage.exchange.orders()) > before) is not (said == "sent"):
        raise AssertionError(f"the flow says {said}, and the account says otherwise")
    return f"sent to {'Fyers' if stage.live else 'the simulated account'}" if said == "sent" else said


def _log_in(config: Config, account: Simulator, wanted: bool) -> None:
    """Stores the day's token, as a login does, or removes it."""
    store = Path(config.tokens_file)
    store.unlink(missing_ok=True)
    if wanted:
        token = Token(account.issue_token(config.fyers.app_id))
        with ExitStack() as resources:
            open_token_store(config, resources, lambda _: True).save(token, Deadline(time.monotonic, 5.0))


def _environment(place: Path) -> dict[str, str]:
    """The settings of every combination. Addresses that are replaced later are on loopback too."""
    return {
        "WEBHOOK_SECRET_TOKEN": "opens-nothing-at-all",
        "FYERS_APP_ID": "REHEARSAL-200",
        "FYERS_CLIENT_ID": "F12345",  # the simulated account's
        "FYERS_SECRET_ID": "opens-nothing-at-all",
        "FYERS_REDIRECT_URI": "http://127.0.0.1/auth/callback",
        "FYERS_API_URL": "http://127.0.0.1:9/api/v3",
        "FYERS_DATA_URL": "http://127.0.0.1:9/data",
        "SYMBOL_MASTER_URLS": "http://127.0.0.1:9/NSE_FO.csv",
        "LEDGER_URL": f"sqlite:///{place / 'ledger.db'}",
        "SYMBOL_CACHE": str(place / "symbols"),
        "GCS_TOKENS_FILE": str(place / "tokens.json"),
        "MAX_ORDERS_PER_SECOND": "0",  # the rows come faster than alerts do
        "PACE_CALLS": "no",
    }
