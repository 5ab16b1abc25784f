"""The warm process and what is forked from it: the real app on a real socket, on a desk that may be doomed."""

import gc
import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

# Imported here so that no fork has to: what bootstrap imports where it needs it.
import app.adapters.firestore
import app.adapters.fyers
import app.adapters.paper
import app.adapters.sqlite
import app.adapters.symbols  # noqa: F401
from app.adapters.fyers.broker import FyersBroker
from app.adapters.http.transport import Transport
from app.adapters.paper import PaperToken
from app.flow.desk import Desk
from app.runtime import log
from app.runtime.bootstrap import bootstrap
from app.runtime.config import Config
from app.web import create_app
from proof.processes.doom import Step, watched
from proof.processes.lab import MovableClock


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the base class's signature
        """Requests are in the gateway's own log."""


def main(descriptor: int) -> None:
    """Forks a gateway for each order on the line, until the line ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps them
    gc.freeze()
    with socket.socket(fileno=descriptor) as line:
        while True:
            order, descriptors, _, _ = socket.recv_fds(line, 1 << 16, 1)
            if not order:
                return
            if os.fork() == 0:
                line.close()
                _live(json.loads(order), socket.socket(fileno=descriptors[0]))
            os.close(descriptors[0])


def _live(order: dict[str, Any], line: socket.socket) -> None:
    """Serves until the line ends, and never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        _redirect(order["output"])
        os.environ.update(order["settings"])
        server = make_server("127.0.0.1", 0, _application(order), threaded=True, request_handler=_Quiet)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        line.sendall(json.dumps({"port": server.server_port, "pid": os.getpid()}).encode())
        line.recv(1)
    except Exception:  # noqa: BLE001 - whatever it was, it belongs into the output
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _application(order: dict[str, Any]) -> Any:
    config = Config.from_env(order["settings"])
    log.configure(config.log_level)
    office = bootstrap(config)
    desk = replace(office.desk, clock=MovableClock(order["ahead"]))
    if order["lookup_hangs"]:
        desk = _without_names(desk, config)
    step = Step(**order["step"]) if order["step"] else None
    trace = Path(order["trace"]) if order["trace"] else None
    return create_app(replace(office, desk=watched(desk, step, trace)), config)


def _without_names(desk: Desk, config: Config) -> Desk:
    """Name look-ups never end; the addresses of the broker have to be names for that to matter."""

    def hang(*_: Any, **__: Any) -> Any:
        time.sleep(3600)

    fyers = config.fyers
    transport = Transport(lookup=hang)
    broker = FyersBroker(fyers.app_id, PaperToken(), transport, fyers.api_url or "", fyers.data_url or "")
    return replace(desk, broker=broker)


def _redirect(output: str) -> None:
    target = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(target, 1)
    os.dup2(target, 2)


if __name__ == "__main__":
    main(int(sys.argv[1]))
