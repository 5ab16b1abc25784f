"""The proofs that planted bugs are held against, each as far as it takes to find one."""

import contextlib
import hashlib
import hmac
import io
import tempfile
import time
from base64 import b32encode
from collections.abc import Callable
from pathlib import Path

MOST_HISTORIES = {"simulation": 12_000, "simulation over sqlite": 1_000}
_PART = 50
_CONTRACT = ("tests/contract/test_ledger.py", "tests/contract/test_firestore_faults.py")
_OF_THE_CONTRACT = (  # the tests in which one process is enough to see a bug
    "ends_in_an_error_once",
    "lost_reply_and_a_rival",
    "check_runs_again",
    "attempt_taken_back",
    "what_decide_saw",
    "rival_moves_during_the_check",
    "step_before_it_and_on_no_other",
    "leaves_its_notice",
)


def simulation() -> str | None:
    return _simulated("memory", MOST_HISTORIES["simulation"])


def simulation_over_sqlite() -> str | None:
    return _simulated("sqlite", MOST_HISTORIES["simulation over sqlite"])


def rivals() -> str | None:
    """A second delivery, and reconcile, inside each step."""
    from proof import rivals

    return next(iter(rivals.run(rivals.RIVALRIES[:5]).wrong), None)


def broker_faults() -> str | None:
    """The cells that a bug below the flow shows in: each kind of fault once, on the order call."""
    from proof import wire

    cells = {(cell.fault.kind, cell.fault.processed): cell for cell in wire.CELLS if cell.endpoint == "place"}
    return next(iter(wire.run(list(cells.values())).wrong), None)


def identity() -> str | None:
    """Keys belong to an account, tags to a key, and both to nothing else: told again from the design."""
    from app.domain.alert.identity import identify, tag_of
    from proof.simulation import a_shot

    alerts = [a_shot(1, tier, covers=False, at=0.0).alert for tier in (1, 2, 3)]
    for alert in alerts:
        keys = {identify(alert, account).key() for account in ("A", "B", "A")}
        if len(keys) != 2:
            return f"two accounts and {len(keys)} keys"
    key = identify(alerts[0], "A").key()
    digest = hmac.digest(b"tag/v1", bytes.fromhex(key), hashlib.sha256)
    tag = "tv" + b32encode(digest).decode().lower()[:18]
    if tag_of(key) != tag:
        return f"the tag of a key is {tag_of(key)} and should be {tag}"
    return None


def send_window() -> str | None:
    """On a real socket: once the window is over, not a byte of the order leaves."""
    from app.adapters.http.transport import CallFailed, Transport
    from app.domain.deadline import Deadline
    from proof.gateway import a_gateway

    with tempfile.TemporaryDirectory() as folder, a_gateway(Path(folder)) as gateway:
        transport, url = Transport(), gateway.account.api_url + "/orders/sync"
        try:
            transport.call(
                "POST", url, headers={}, body=b"{}", connect=0.2, total=0.5, window=Deadline(time.monotonic, -1.0)
            )
        except CallFailed as failed:
            if not failed.wrote and not any(entry.endpoint == "place" for entry in gateway.account.log):
                return None
        finally:
            transport.close()
    return "an order left after its window"


def logins() -> str | None:
    """An attacker with another account and a login link, an auth code, or the token store."""
    from proof.logins import violations

    return next(iter(violations()), None)


def slow_senders() -> str | None:
    """The server's worker, in a fork of this process, with an app that answers at once."""
    from proof.mutants import serving
    from proof.processes.slow_senders import slow_senders

    with serving.forked() as (port, _), slow_senders(port) as tally:
        time.sleep(0.5)
        answered = serving.answers(port, serving.ANSWER_BY)
    if tally.wrong("slow senders") is not None:
        raise RuntimeError("too few senders held a connection, so nothing was tried")
    return None if answered else f"beside {tally.most} slow senders a request waits longer than {serving.ANSWER_BY} s"


def costly_bodies() -> str | None:
    from proof import refusals

    return refusals.dear()


def costly_wire() -> str | None:
    """By the server's worker, in a fork of this process."""
    from proof import costly_wire

    return costly_wire.dear()


def refused_bodies() -> str | None:
    from proof import refusals

    return refusals.loose()


def firestore_contract() -> str | None:
    """The ledger's contract on Google's emulator, in this process: rivals in other processes have no bug planted."""
    import pytest

    names = f"({' or '.join(_OF_THE_CONTRACT)}) and not sqlite"
    with contextlib.redirect_stdout(io.StringIO()) as said:
        ended = pytest.main(["-x", "-p", "no:cacheprovider", "-n0", *_CONTRACT, "-k", names])
    if ended == pytest.ExitCode.OK:
        return None
    if ended != pytest.ExitCode.TESTS_FAILED:
        raise RuntimeError(f"the contract was not tried: {said.getvalue()[-300:]}")
    return next(line for line in said.getvalue().splitlines() if line.startswith(("FAILED", "ERROR")))


def _simulated(ledger: str, most: int) -> str | None:
    from proof.simulation import play

    for first in range(0, most, _PART):
        if found := play(range(first, first + _PART), ledger):
            return found[0]
    return None


CHECKS: dict[str, Callable[[], str | None]] = {
    "simulation": simulation,
    "simulation over sqlite": simulation_over_sqlite,
    "rivals": rivals,
    "broker faults": broker_faults,
    "identity": identity,
    "send window": send_window,
    "logins": logins,
    "slow senders": slow_senders,
    "costly bodies": costly_bodies,
    "costly wire": costly_wire,
    "refused bodies": refused_bodies,
    "firestore contract": firestore_contract,
}
