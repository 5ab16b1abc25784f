"""The processes under measurement, each by itself: broker, gateway, floor."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.runtime.processes import bare_environment
from app.simulator import FixtureContract

ROOT = Path(__file__).parents[1]
SECRET = "bench-secret-of-no-value"
CONTRACT = FixtureContract.of()
START_WITHIN, ASK_AGAIN, END_WITHIN = 60.0, 10.0, 30.0  # seconds
Process = subprocess.Popen[bytes]


@dataclass(frozen=True, slots=True)
class Account:
    """Where a simulated broker listens."""

    api_url: str
    data_url: str
    masters: list[str]

    def settings(self) -> dict[str, str]:
        return {
            "FYERS_API_URL": self.api_url,
            "FYERS_DATA_URL": self.data_url,
            "SYMBOL_MASTER_URLS": ",".join(self.masters),
        }


@dataclass(frozen=True, slots=True)
class Served:
    """A gunicorn with one worker."""

    master: int
    port: int

    @property
    def worker(self) -> int:
        children = Path(f"/proc/{self.master}/task/{self.master}/children").read_text().split()
        return int(children[0])

    def cpu_ms(self, all_of_it: bool = False) -> float:
        """What the worker has used so far, in user and kernel; with its master where all of it is meant."""
        return sum(_cpu_ms(process) for process in ([self.worker, self.master] if all_of_it else [self.worker]))

    def memory(self) -> dict[str, float]:
        """Megabytes of the worker: resident; with what others share counted in part; and no file, what it has made."""
        rollup = Path(f"/proc/{self.worker}/smaps_rollup").read_text().splitlines()[1:]
        kilobytes = {line.partition(":")[0]: int(line.split()[1]) for line in rollup}
        names = {"rss_mb": "Rss", "pss_mb": "Pss", "own_mb": "Anonymous"}
        return {name: kilobytes[field] * 1024 / 1e6 for name, field in names.items()}


def _cpu_ms(process: int) -> float:
    """By the process's own clock (Linux, clock_getcpuclockid(3)); `stat` counts in steps of ten milliseconds."""
    return time.clock_gettime((~process << 3) | 2) * 1000


@contextlib.contextmanager
def broker(latency: float = 0.0) -> Iterator[Account]:
    """A simulated account in a process of its own; `latency` is seconds before each of its answers."""
    command = [sys.executable, "-m", "bench.broker", "--latency", str(latency)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as account:
        assert account.stdin is not None
        assert account.stdout is not None
        try:
            if not select.select([account.stdout], [], [], START_WITHIN)[0]:
                raise TimeoutError(f"the broker did not say within {START_WITHIN:.0f} s where it listens")
            yield Account(**json.loads(account.stdout.readline()))
        finally:
            account.stdin.close()
            _see_it_end(account, "the broker")


def settings_of(account: Account | None, folder: Path) -> dict[str, str]:
    """The gateway's whole environment: paper trading, files in the folder, every limit off or out of reach, no pace."""
    far = dict.fromkeys(("MAX_ORDERS_PER_DAY", "MAX_LOTS_OPEN"), "100000000")
    off = ("MAX_ORDERS_PER_SECOND", "MAX_ORDERS_PER_MINUTE", "MAX_REPEATS", "MAX_DAILY_LOSS", "MAX_PREMIUM_PER_ORDER")
    return {
        **bare_environment(),
        "WEBHOOK_SECRET_TOKEN": SECRET,
        "SYMBOL_CACHE": str(folder / "symbols"),
        "LEDGER_URL": f"sqlite:///{folder / 'ledger.db'}",
        "MARKET_HOURS": "always",
        "IP_ALLOWLIST": "off",
        "PACE_CALLS": "no",
        **far,
        **dict.fromkeys(off, "0"),
        **(account.settings() if account else {}),
    }


GATEWAY = ["-m", "app", "serve"]
FLOOR = ["-m", "gunicorn", "-c", "python:app.runtime.server", "bench.floor:application()"]


def order_of_the_floor() -> dict[str, Any]:
    order = {"symbol": CONTRACT.symbol, "qty": 65, "type": 1, "side": -1, "productType": "INTRADAY", "limitPrice": 100}
    rest = {"stopPrice": 0, "disclosedQty": 0, "validity": "DAY", "offlineOrder": False, "isSliceOrder": False}
    legs = {"orderTag": "tvfloor", "stopLoss": 20, "takeProfit": 30, "legType": 1}
    return order | rest | legs


def floor_settings(account: Account) -> dict[str, str]:
    return {**bare_environment(), "ORDER": json.dumps(order_of_the_floor()), **account.settings()}


@contextlib.contextmanager
def served(arguments: list[str], settings: Mapping[str, str], log: Path) -> Iterator[Served]:
    """A gunicorn with all that it needs; its output goes to the log."""
    with spawned(arguments, settings, log) as (server, port):
        wait_for_answer(server, port, "/started")
        yield Served(server.pid, port)


@contextlib.contextmanager
def spawned(arguments: list[str], settings: Mapping[str, str], log: Path) -> Iterator[tuple[Process, int]]:
    """One that has just been started."""
    port = _free_port()
    environ = {**settings, "PORT": str(port)}
    with (
        log.open("ab") as output,
        subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environ, stdout=output, stderr=output) as server,
    ):
        try:
            yield server, port
        except TimeoutError:
            sys.stderr.write(log.read_text()[-3000:])
            raise
        finally:
            server.send_signal(signal.SIGTERM)
            _see_it_end(server, "the server")


def _see_it_end(process: "subprocess.Popen[Any]", name: str) -> None:
    try:
        process.wait(END_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        raise TimeoutError(f"{name} did not end within {END_WITHIN:.0f} s") from None


def wait_for_answer(server: Process, port: int, path: str) -> None:
    """Until that path is answered 200. Raises TimeoutError where it is not, at once where the server has ended."""
    ends = time.monotonic() + START_WITHIN
    while time.monotonic() < ends and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), ASK_AGAIN) as link:
            link.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
            if link.recv(64).startswith(b"HTTP/1.1 200"):
                return
        time.sleep(0.002)
    raise TimeoutError(f"{path} was not answered 200 within {START_WITHIN:.0f} s")


def wait_for_port(server: Process, port: int) -> None:
    """Until it takes connections, which gunicorn does before it has a worker to answer."""
    ends = time.monotonic() + START_WITHIN
    while time.monotonic() < ends and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), ASK_AGAIN):
            return
        time.sleep(0.002)
    raise TimeoutError(f"the server took no connection within {START_WITHIN:.0f} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    asked = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, timeout=END_WITHIN, check=False).stdout
    return {
        "cpus": os.cpu_count(),
        "cpu": model.partition(":")[2].strip(),
        "load": round(os.getloadavg()[0], 2),
        "python": sys.version.split()[0],
        "commit": commit.strip() or None,
    }
