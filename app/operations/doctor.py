"""All checks of doctor and preflight: the settings, and each part that they name."""

from functools import partial

from app.domain.deadline import Deadline
from app.operations import checks
from app.operations.back_office import BackOffice
from app.operations.check import Check
from app.operations.checks import Look, look_at

LOOKS: dict[str, Look] = {
    "login": checks.login,
    "ledger": checks.ledger_round_trip,
    "symbols": checks.symbols,
    "broker": checks.broker,
    "clock": checks.clock,
    "trading state": checks.trading_state,
    "orders": checks.doubts,
    "outbox": checks.outbox,
    "holidays": checks.holidays,
    "hours": checks.hours,
    "facts": checks.facts,
}


def examine(office: BackOffice, deadline: Deadline) -> list[Check]:
    """The results, the settings first. Writes one name into the ledger and changes nothing else."""
    looks = LOOKS | {"square-off": partial(checks.square_off, office.square_off_at)}
    return [*office.judge_settings(), *look_at(looks, office, deadline)]
