"""`make demo`: the gateway's whole job on loopback.

Starts a simulated Fyers account and the gateway as it runs in production (gunicorn, HTTP, fyers-apiv3), sends the
alerts that TradingView would, and compares every answer and the resulting order book with the expected ones.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from app.cli.surroundings import settle
from app.cli.table import table
from app.runtime.processes import bare_environment, free_port
from app.simulator import FixtureContract, FixtureExchange, Simulator

SECRET = "demo-secret-of-no-value"
START_WITHIN = 30.0  # seconds
TIMEOUT = 3.0  # TradingView's
LATER = 1.2  # seconds between the orders: Fyers takes ten calls a second, and the gateway stays below that


@dataclass(frozen=True, slots=True)
class Step:
    """One delivery and the answer it must get."""

    title: str
    body: bytes
    http: int
    status: str
    reason: str | None = None
    duplicate: bool = False
    after: float = 0.0  # seconds


def main() -> int:
    settle()
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="gateway-demo-") as folder,
        Simulator(FixtureExchange(), accept_any_token=True) as account,
    ):
        with _gateway(account, Path(folder)) as url:
            wrong = [problem for step in _steps() if (problem := _deliver(url, step))]
        book = _order_book(account)
    wrong += _check_book(book)
    print(f"\nThe order book at the simulated Fyers account:\n\n{table(book) if book else '(empty)'}\n")
    for problem in wrong:
        print(f"WRONG: {problem}")
    verdict = "not as it should be" if wrong else "all as it should be"
    print(f"{verdict}; took {time.monotonic() - started:.1f} s")
    return 1 if wrong else 0


def _steps() -> list[Step]:
    contract = FixtureContract.of()
    entry = _alert(contract, action="SELL", sl="15%", tp="25%")
    guessed = _alert(contract, token="wrong-secret-0000", action="SELL")
    cover, late = (_alert(contract, action="BUY", order_id=name) for name in ("cover", "late"))
    return [
        Step("an entry: SELL the at-the-money call", entry, 200, "ACCEPTED"),
        Step("the same alert delivered again", entry, 200, "ACCEPTED", duplicate=True),
        Step("a cover: BUY it back", cover, 200, "ACCEPTED", after=LATER),
        Step("a cover with no short left", late, 422, "DENIED", "NO_SHORT_TO_COVER", after=LATER),
        Step("an unknown action", _alert(contract, action="HOLD"), 400, "ERROR", "MALFORMED"),
        Step("a wrong secret", guessed, 401, "ERROR", "UNAUTHORIZED"),
    ]


def _alert(contract: FixtureContract, **fields: str) -> bytes:
    """The body that TradingView posts, with its placeholders filled in."""
    fired = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    alert = {"token": SECRET, "timenow": fired} | contract.fields()
    return json.dumps(alert | fields).encode()


def _deliver(url: str, step: Step) -> str | None:
    """Posts one alert and shows the answer. Returns what is wrong with it, or None."""
    time.sleep(step.after)
    began = time.monotonic()
    answer = requests.post(f"{url}/webhook", data=step.body, timeout=TIMEOUT)
    took = (time.monotonic() - began) * 1000
    said: dict[str, Any] = answer.json()
    print(f"\n▸ {step.title}\n  HTTP {answer.status_code} {said['status']} after {took:.0f} ms")
    names = ("symbol", "side", "quantity", "ltp", "limit_price", "stop_loss", "take_profit", "broker_order_id")
    facts = [f"{name} {said[name]}" for name in names if said[name] is not None]
    if facts:
        print(f"  {', '.join(facts)}")
    if said["duplicate"]:
        print("  duplicate: nothing was sent again")
    if said["message"]:
        print(f"  {said['reason']}: {said['message']}")
    wanted = (step.http, step.status, step.reason, step.duplicate)
    got = (answer.status_code, said["status"], said["reason"], said["duplicate"])
    return None if got == wanted else f"{step.title}: wanted {wanted}, got {got}"


def _order_book(account: Simulator) -> list[dict[str, str]]:
    headers = {"Authorization": "PAPER-200:demo"}
    answer = requests.get(f"{account.api_url}/orders", headers=headers, timeout=TIMEOUT)
    status = {1: "cancelled", 2: "filled", 4: "transit", 5: "rejected", 6: "pending"}
    side = {1: "BUY", -1: "SELL"}
    return [
        {
            "order": str(row["id"]),
            "tag": str(row["orderTag"]),
            "side": side[row["side"]],
            "symbol": str(row["symbol"]),
            "filled": f"{row['filledQty']} of {row['qty']}",
            "limit": f"{row['limitPrice']:.2f}",
            "price": f"{row['tradedPrice']:.2f}",
            "status": status.get(row["status"], str(row["status"])),
            "leg of": str(row.get("parentId", "")),
        }
        for row in answer.json()["orderBook"]
    ]


def _check_book(book: list[dict[str, str]]) -> list[str]:
    sent = [(row["side"], row["status"], row["filled"]) for row in book if not row["leg of"]]
    wanted = [("SELL", "filled", "65 of 65"), ("BUY", "filled", "65 of 65")]
    left = [row["order"] for row in book if row["leg of"] and row["status"] != "cancelled"]
    wrong = [] if sent == wanted else [f"the order book should hold {wanted} and holds {sent}"]
    return wrong + [f"the leg {order} outlived its position" for order in left]


@contextmanager
def _gateway(account: Simulator, folder: Path) -> Iterator[str]:
    """The gateway in a process of its own, with only these settings in its environment."""
    port = free_port()
    settings = {
        **bare_environment(),
        "PORT": str(port),
        "BROKER": "paper",
        "WEBHOOK_SECRET_TOKEN": SECRET,
        "FYERS_API_URL": account.api_url,
        "FYERS_DATA_URL": account.data_url,
        "SYMBOL_MASTER_URLS": ",".join(account.master_urls),
        "SYMBOL_CACHE": str(folder / "symbols"),
        "LEDGER_URL": f"sqlite:///{folder / 'ledger.db'}",
        "MARKET_HOURS": "always",
        "IP_ALLOWLIST": "off",
    }
    with (folder / "gateway.log").open("w+b") as log:
        gateway = subprocess.Popen([sys.executable, "-m", "app", "serve"], env=settings, stdout=log, stderr=log)
        try:
            yield _ready(f"http://127.0.0.1:{port}", gateway)
        except Exception:
            log.seek(0)
            print(log.read().decode(errors="replace"))
            raise
        finally:
            gateway.terminate()
            gateway.wait(timeout=15)


def _ready(url: str, gateway: "subprocess.Popen[bytes]") -> str:
    until = time.monotonic() + START_WITHIN
    while time.monotonic() < until and gateway.poll() is None:
        try:
            if requests.get(f"{url}/readyz", timeout=TIMEOUT).status_code == 200:
                print(f"the gateway is ready at {url}")
                return url
        except (requests.ConnectionError, requests.Timeout):
            pass  # it is still starting
        time.sleep(0.05)
    raise TimeoutError("the gateway did not become ready; see its log above")


if __name__ == "__main__":
    sys.exit(main())
