"""What the settings alone show, for doctor and preflight."""

from pathlib import Path
from urllib.parse import unquote

from app.domain.money import plain
from app.facts.fyers import ALGO_APP_ENDING
from app.operations.check import Check, Mark
from app.runtime.config import AllowlistMode, Config


def judged(config: Config) -> list[Check]:
    mode = "LIVE orders at Fyers" if config.live else "paper trading against a simulated account"
    return [
        Check("settings", Mark.OK, f"{mode}; ledger {config.ledger_url}; {_limits(config)}"),
        _app_id(config),
        _sinks(config),
        _operators(config),
        _guards(config),
        _files(config),
    ]


def _limits(config: Config) -> str:
    limits = config.limits
    lots = "lot" if limits.lots_per_order == 1 else "lots"
    counts = f"{limits.lots_per_order} {lots} an order, {limits.lots_open} open, {limits.orders_per_day} orders a day"
    loss = f"entries stop at ₹{plain(limits.daily_loss)} lost" if limits.daily_loss else "no limit of the day's loss"
    worst = limits.worst_loss(config.tickets.prices.max_stop_percent)
    most = "any amount" if worst is None else f"₹{plain(worst)} a day, before charges and gaps beyond a stop"
    return f"{counts}, {loss}, a stolen secret can lose {most}"


def _app_id(config: Config) -> Check:
    """An app with another ending may read but not trade (Fyers' announcement of April 2026)."""
    if not config.live:
        return Check("app id", Mark.OK, "paper trading needs none")
    if config.fyers.app_id.endswith(ALGO_APP_ENDING):
        return Check("app id", Mark.OK, f"ends in {ALGO_APP_ENDING}")
    advice = "orders need an activated Algo trading app (myapi.fyers.in)"
    return Check("app id", Mark.FAIL, f"does not end in {ALGO_APP_ENDING}", advice)


def _sinks(config: Config) -> Check:
    sinks = [f"topic {config.notification_topic}"] if config.notification_topic else []
    if config.notification_urls:
        sinks.append(f"{len(config.notification_urls)} address{'es' if len(config.notification_urls) > 1 else ''}")
    if sinks:
        return Check("notifications", Mark.OK, " and ".join(sinks), "`doctor --notify` sends a test")
    advice = "set NOTIFICATION_URL or NOTIFICATION_TOPIC: your phone"
    return Check("notifications", Mark.WARN, "notices go to the log alone", advice)


def _operators(config: Config) -> Check:
    ways = ["OPERATOR_TOKEN"] if config.operator_token else []
    ways += [f"Google's tokens of {config.oidc_service_account} for the tasks"] if config.oidc_service_account else []
    found = " and ".join(ways) or "the operator's routes are closed"
    if config.operator_token:
        return Check("operators", Mark.OK, found)
    advice = "set OPERATOR_TOKEN, and OIDC_AUDIENCE and OIDC_SERVICE_ACCOUNT for Cloud Scheduler"
    if ways:
        advice = "set OPERATOR_TOKEN: no other identity may halt trading, read the orders or get a login link"
    return Check("operators", Mark.WARN, found, advice)


def _guards(config: Config) -> Check:
    """Settings that are allowed, and should not stay so in real trading."""
    limits = config.limits
    guards = {
        "two webhook secrets are accepted (end the rotation)": len(config.webhook_secrets) > 1,
        "IP_ALLOWLIST is off (warn costs nothing)": config.live and config.ip_allowlist is AllowlistMode.OFF,
        "MAX_DAILY_LOSS is off": config.live and limits.daily_loss is None,
        "MAX_PREMIUM_PER_ORDER is off": config.live and limits.premium_per_order is None,
        "REQUIRE_TIMENOW is off (an alert of any age counts as new)": config.live and not config.needs_timenow,
        "MARKET_HOURS=always": config.live and config.calendar.always,
    }
    loose = [name for name, is_loose in guards.items() if is_loose]
    if loose:
        return Check("guards", Mark.WARN, "; ".join(loose), "change these settings")
    return Check("guards", Mark.OK, f"addresses: {config.ip_allowlist}; one webhook secret")


def _files(config: Config) -> Check:
    """Whether other users of this machine may open the folders of ledger, token and symbols."""
    kept = [config.symbol_cache] if not config.symbol_cache.startswith("gs://") else []
    kept += [config.tokens_file] if config.live and config.tokens_bucket is None else []
    kept += [unquote(config.ledger_url.removeprefix("sqlite:///"))] if config.ledger_url.startswith("sqlite:") else []
    folders = sorted({Path(place).parent for place in kept})
    loose = [str(folder) for folder in folders if folder.is_dir() and folder.stat().st_mode & 0o077]
    if loose:
        advice = f"chmod 700 {' '.join(loose)}; if a folder has other files as well, give the gateway its own"
        return Check("files", Mark.WARN, f"other users may open {', '.join(loose)}", advice)
    return Check("files", Mark.OK, "only the gateway's user may open ledger, token and symbols")
