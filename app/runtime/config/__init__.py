"""The environment, read once. `Config.from_env` names all faults together, and its defaults trade no real money."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time, timedelta
from enum import StrEnum

from app.domain.alert import Product
from app.domain.alert.values import underlying_of
from app.domain.calendar import Calendar
from app.domain.order import OrderType
from app.domain.pricing import PriceRules
from app.domain.risk.limits import Limits
from app.domain.secret import Secret
from app.domain.ticket import BuyMode, TicketRules
from app.facts.fyers import API_URL, DATA_URL, MASTERS
from app.facts.holidays import HOLIDAYS, KNOWN_UNTIL
from app.facts.tradingview import SENDERS
from app.flow.desk import AgeRules
from app.runtime.config.reader import MIN_SECRET, Reader, address, is_loopback, is_safe, split

_FYERS_DOMAIN = ".fyers.in"
_A_TOPIC = "projects/PROJECT/topics/TOPIC"
LEAST_WINDOW = timedelta(seconds=30)
LONGEST_AGE = timedelta(minutes=15)


class BrokerKind(StrEnum):
    PAPER = "paper"
    FYERS = "fyers"


class AllowlistMode(StrEnum):
    OFF = "off"
    WARN = "warn"
    ENFORCE = "enforce"


class LogTo(StrEnum):
    STDOUT = "stdout"
    CLOUD = "cloud"


class ConfigFaults(Exception):
    """The environment cannot be used. `faults` lists each setting to change."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("the settings cannot be used:\n" + "\n".join(f"  - {fault}" for fault in faults))


@dataclass(frozen=True, slots=True)
class FyersApp:
    """`api_url` and `data_url` are None in paper mode without an address: then the gateway starts a simulator.

    `client_id` is the only account that may log in; a live configuration has one.
    """

    app_id: str
    client_id: str | None
    secret_id: Secret | None
    redirect_uri: str | None
    pin: Secret | None
    api_url: str | None
    data_url: str | None


@dataclass(frozen=True, slots=True)
class Config:
    broker: BrokerKind
    webhook_secrets: tuple[Secret, ...]
    fyers: FyersApp
    symbol_master_urls: tuple[str, ...]
    symbol_cache: str
    ledger_url: str
    tokens_bucket: str | None
    tokens_file: str
    notification_topic: str | None
    notification_urls: tuple[Secret, ...]
    operator_token: Secret | None
    oidc_audience: str | None
    oidc_service_account: str | None
    tickets: TicketRules
    calendar: Calendar
    square_off_at: time | None
    ages: AgeRules
    needs_timenow: bool
    limits: Limits
    paced: bool
    tradingview_ips: frozenset[str]
    ip_allowlist: AllowlistMode
    trusted_proxies: int
    host: str
    log_to: LogTo
    log_level: str
    project: str | None
    on_cloud_run: bool

    @property
    def live(self) -> bool:
        return self.broker is BrokerKind.FYERS

    @property
    def account(self) -> str:
        """The account's name within keys: the app's id without its type (-100, -200), which may change."""
        return self.fyers.app_id.rpartition("-")[0] or self.fyers.app_id if self.live else "paper"

    @property
    def cloud_log(self) -> str | None:
        """The project whose Cloud Logging takes the log lines; None for standard output."""
        return self.project if self.log_to is LogTo.CLOUD else None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Config":
        """Raises ConfigFaults, with every fault."""
        read = Reader(environ)
        live = read.word("BROKER", BrokerKind, BrokerKind.PAPER) is BrokerKind.FYERS
        on_cloud_run = read.text("K_SERVICE") is not None
        config = cls(
            broker=BrokerKind.FYERS if live else BrokerKind.PAPER,
            webhook_secrets=read.webhook_secrets(),
            fyers=_fyers(read, live),
            symbol_master_urls=read.listed("SYMBOL_MASTER_URLS", ",".join(MASTERS) if live else ""),
            symbol_cache=read.text("SYMBOL_CACHE") or f"data/symbols-{'live' if live else 'paper'}",
            ledger_url=read.ledger_url(),
            tokens_bucket=read.text("GCS_BUCKET_NAME"),
            tokens_file=read.text("GCS_TOKENS_FILE") or "data/tokens.json",
            notification_topic=read.matching("NOTIFICATION_TOPIC", "projects/[^/]+/topics/[^/]+", _A_TOPIC) or None,
            notification_urls=read.notification_urls(),
            operator_token=read.secret("OPERATOR_TOKEN", MIN_SECRET),
            oidc_audience=read.text("OIDC_AUDIENCE"),
            oidc_service_account=read.text("OIDC_SERVICE_ACCOUNT"),
            tickets=_tickets(read),
            calendar=_calendar(read),
            square_off_at=read.time_of_day("SQUARE_OFF_AT"),
            ages=AgeRules(
                entry=read.seconds("ALERT_MAX_AGE_SECONDS", 60),
                exit=read.seconds("EXIT_MAX_AGE_SECONDS", 300),
                dedupe_window=read.seconds("DEDUPE_WINDOW_SECONDS", 60),
            ),
            needs_timenow=read.yes_or_no("REQUIRE_TIMENOW", live),
            limits=_limits(read),
            paced=read.yes_or_no("PACE_CALLS", True),
            tradingview_ips=read.every("TRADINGVIEW_IPS", ",".join(SENDERS), address, "addresses separated by commas"),
            ip_allowlist=read.word("IP_ALLOWLIST", AllowlistMode, AllowlistMode.WARN),
            trusted_proxies=read.count("TRUSTED_PROXIES", int(on_cloud_run), "0 where senders connect directly"),
            host=read.host(),
            log_to=read.word("LOG_TO", LogTo, LogTo.STDOUT),
            log_level=read.one_of("LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"), "INFO"),
            project=read.text("GOOGLE_CLOUD_PROJECT"),
            on_cloud_run=on_cloud_run,
        )
        _contradictions(config, read)
        if read.faults:
            raise ConfigFaults(read.faults)
        return config


def _fyers(read: Reader, live: bool) -> FyersApp:
    an_id = "the account's own id at Fyers, such as XA12345"
    app = FyersApp(
        app_id=read.text("FYERS_APP_ID") or ("" if live else "PAPER-200"),
        client_id=read.matching("FYERS_CLIENT_ID", "[A-Za-z0-9]{4,12}", an_id).upper() or None,  # in Fyers' capitals
        secret_id=read.secret("FYERS_SECRET_ID"),
        redirect_uri=read.text("FYERS_REDIRECT_URI"),
        pin=read.secret("FYERS_PIN"),
        api_url=read.url("FYERS_API_URL", "/api/v3") or (API_URL if live else None),
        data_url=read.url("FYERS_DATA_URL", "/data") or (DATA_URL if live else None),
    )
    if live:
        named = {"FYERS_APP_ID": app.app_id, "FYERS_SECRET_ID": app.secret_id, "FYERS_REDIRECT_URI": app.redirect_uri}
        for name, value in named.items():
            if not value:
                read.fault(name, "is missing; live trading needs it (myapi.fyers.in shows it)")
        if not app.client_id:
            read.fault("FYERS_CLIENT_ID", "is missing; only this account at Fyers may log in, such as XA12345")
    return app


def _tickets(read: Reader) -> TicketRules:
    prices = PriceRules(
        order_type=OrderType(read.one_of("ORDER_TYPE", tuple(OrderType), "LIMIT")),
        slippage_bps=read.decimal("SLIPPAGE_BPS", "200", "a number of basis points above zero"),
        stop_loss_percent=read.decimal("STOP_LOSS_PERCENT", "15"),
        take_profit_percent=read.decimal("TAKE_PROFIT_PERCENT", "25"),
        max_spread_percent=read.optional_decimal("MAX_SPREAD_PERCENT", "10"),
        max_stop_percent=read.decimal("MAX_STOP_PERCENT", "100"),
    )
    if prices.slippage_bps > 2000:
        read.fault("SLIPPAGE_BPS", "must be at most 2000 (20%); a limit further away protects from nothing")
    if prices.take_profit_percent >= 100 or prices.stop_loss_percent >= 100:
        read.fault("STOP_LOSS_PERCENT, TAKE_PROFIT_PERCENT", "must be below 100")
    elif prices.max_stop_percent < prices.stop_loss_percent:
        read.fault(
            "STOP_LOSS_PERCENT, MAX_STOP_PERCENT", "deny every alert without an sl; set the first to at most the second"
        )
    buy_mode = read.word("BUY_MODE", BuyMode, BuyMode.COVER)
    underlyings = read.every("ALLOWED_UNDERLYINGS", "", underlying_of, "underlyings such as NIFTY,BANKNIFTY")
    both = "INTRADAY, MARGIN, or both with a comma"
    products = read.every("ALLOWED_PRODUCTS", "INTRADAY", lambda text: Product(text.upper()), both)
    return TicketRules(prices, buy_mode, underlyings, products)


def _calendar(read: Reader) -> Calendar:
    holidays = read.every("EXTRA_HOLIDAYS", "", date.fromisoformat, "dates such as 2027-01-26, separated by commas")
    return Calendar(
        override=read.market_hours(),
        holidays=HOLIDAYS | holidays,
        extra=read.extra_sessions(),
        always=read.text("MARKET_HOURS") == "always",
        known_until=KNOWN_UNTIL,
    )


def _limits(read: Reader) -> Limits:
    from app.adapters.fyers.venue import FYERS  # the server says that it lives before any adapter is imported

    cooldown = read.optional_whole("COOLDOWN_SECONDS", 0)
    return Limits(
        venue=FYERS,
        lots_per_order=read.whole("WEBHOOK_MAX_QTY", 1),
        lots_open=read.whole("MAX_LOTS_OPEN", 2),
        orders_per_day=read.whole("MAX_ORDERS_PER_DAY", 20),
        orders_per_second=read.optional_whole("MAX_ORDERS_PER_SECOND", 5),
        orders_per_minute=read.optional_whole("MAX_ORDERS_PER_MINUTE", 40),
        premium_per_order=read.optional_decimal("MAX_PREMIUM_PER_ORDER", "25000"),
        premium_per_day=read.optional_decimal("MAX_PREMIUM_PER_DAY", "0"),
        daily_loss=read.optional_decimal("MAX_DAILY_LOSS", "5000"),
        repeats=read.optional_whole("MAX_REPEATS", 10),
        cooldown=timedelta(seconds=cooldown) if cooldown else None,
    )


def _contradictions(config: Config, read: Reader) -> None:
    """Faults of settings that contradict each other."""
    promised = read.yes_or_no("LIVE_TRADING")
    if config.live and not promised:
        read.fault("LIVE_TRADING", "BROKER=fyers trades real money and needs LIVE_TRADING=yes as well")
    if not config.live and promised:
        read.fault("LIVE_TRADING", "is yes, but BROKER is paper; set BROKER=fyers or remove LIVE_TRADING")
    check = _check_live if config.live else _check_paper
    check(config, read)
    if config.on_cloud_run and config.ledger_url.startswith("sqlite:"):
        read.fault("LEDGER_URL", "on Cloud Run the disk dies with the instance; use firestore://PROJECT/DATABASE")
    if config.log_to is LogTo.CLOUD and config.project is None:
        read.fault("GOOGLE_CLOUD_PROJECT", "is missing; LOG_TO=cloud sends the log lines to this project")
    if config.log_to is LogTo.CLOUD and config.on_cloud_run:
        text = "Cloud Run itself takes standard output to Cloud Logging, and halts a sender after each answer"
        read.fault("LOG_TO", f"{text}; use stdout")
    if config.operator_token is not None and config.operator_token in config.webhook_secrets:
        read.fault("OPERATOR_TOKEN", "must not be the webhook secret, which TradingView's servers know")
    if (config.oidc_audience is None) != (config.oidc_service_account is None):
        read.fault("OIDC_AUDIENCE, OIDC_SERVICE_ACCOUNT", "belong together; set both or neither")


def _check_paper(config: Config, read: Reader) -> None:
    urls = [url for url in (config.fyers.api_url, config.fyers.data_url) if url is not None]
    if len(urls) == 1:
        read.fault("FYERS_API_URL, FYERS_DATA_URL", "belong together; set both or neither")
    if any(not is_loopback(split(url).hostname) for url in urls):
        read.fault("FYERS_API_URL, FYERS_DATA_URL", "BROKER=paper talks to a simulator on loopback only")
    if urls and not config.symbol_master_urls:
        read.fault("SYMBOL_MASTER_URLS", "is missing; `python -m app simulate` prints the ones of its simulator")


def _check_live(config: Config, read: Reader) -> None:
    hosts = {split(url).hostname for url in (config.fyers.api_url, config.fyers.data_url) if url is not None}
    allowed = read.yes_or_no("FYERS_ALLOW_OTHER_HOST")
    if not any(fault.startswith(("FYERS_API_URL", "FYERS_DATA_URL")) for fault in read.faults):
        if len(hosts) > 1:
            read.fault("FYERS_API_URL, FYERS_DATA_URL", "name two hosts; orders and prices must come from one place")
        elif not allowed and not all(is_loopback(host) or _is_fyers(host) for host in hosts):
            text = "name a host that is not Fyers' own, to which token and orders would go"
            read.fault("FYERS_API_URL, FYERS_DATA_URL", f"{text}; FYERS_ALLOW_OTHER_HOST=yes allows it")
    _check_addresses(config, read)
    if all(is_loopback(host) for host in hosts):
        return
    if config.ages.dedupe_window < LEAST_WINDOW:
        text = f"must be at least {LEAST_WINDOW.seconds}: TradingView resends for 15 s and more"
        read.fault("DEDUPE_WINDOW_SECONDS", text)
    if max(config.ages.entry, config.ages.exit) > LONGEST_AGE:
        text = f"must be at most {LONGEST_AGE.seconds}; an older alert is stale"
        read.fault("ALERT_MAX_AGE_SECONDS, EXIT_MAX_AGE_SECONDS", text)
    rate, most = config.limits.orders_per_second, config.limits.venue.orders_per_second
    if rate is None or rate > most:
        read.fault("MAX_ORDERS_PER_SECOND", f"must be 1 to {most}: Fyers and the exchange allow {most} orders a second")
    if not config.paced:
        read.fault("PACE_CALLS", "no is for labs, not for Fyers' own host")
    if config.calendar.always:
        read.fault("MARKET_HOURS", "always is for labs, not for Fyers' own host")


def _is_fyers(host: str | None) -> bool:
    return host is not None and f".{host}".endswith(_FYERS_DOMAIN)


def _check_addresses(config: Config, read: Reader) -> None:
    """Real trading sends nothing in clear text. FYERS_API_URL and FYERS_DATA_URL may not in any mode."""
    outside = {
        "FYERS_REDIRECT_URI": [config.fyers.redirect_uri or ""],
        "SYMBOL_MASTER_URLS": config.symbol_master_urls,
        "NOTIFICATION_URL": [url.reveal() for url in config.notification_urls],
    }
    for name, urls in outside.items():
        if not all(map(is_safe, urls)):
            read.fault(name, "plain http is allowed to loopback only where BROKER=fyers; use https")
