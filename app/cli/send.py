"""`send`: posts an alert as TradingView would, with its three seconds and its resends.

TradingView sends again on 500-599 except 504, five seconds apart and at most three more times, and never after a
time-out or a lost connection (its support pages 43000529348 and 43000735201).
"""

import argparse
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from app.cli.settings import own_address, webhook_secret
from app.facts.tradingview import HANGS_UP_AFTER, RESEND_AFTER, RESENDS

SAMPLE = {
    "symbol": "NIFTY",
    "strikeprice": "ATM",
    "optionType": "CE",
    "expiry": "NEXT_WEEKLY",  # an option near its expiry has no premium for a stop-loss and a target
    "action": "SELL",
    "timenow": "{{timenow}}",
}


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    send = commands.add_parser("send", help="post an alert as TradingView would")
    send.add_argument("--to", default=None, metavar="URL", help="default: http://$HOST:$PORT/webhook")
    send.add_argument("--file", type=Path, default=None, help="the alert's message; default: a sample; - reads stdin")
    send.add_argument("--resend", action="store_true", help="deliver the same alert once more after its answer")
    send.set_defaults(run=_send)


def _send(args: argparse.Namespace) -> int:
    url = args.to or f"{own_address(os.environ)}/webhook"
    body = rendered(_message(args.file))
    status = _deliver(url, body)
    if args.resend and status is not None and not _sends_again(status):
        print("the same alert once more:", file=sys.stderr)
        status = _deliver(url, body)
    return 0 if status is not None and 200 <= status < 300 else 1


def rendered(message: bytes, now: datetime | None = None) -> bytes:
    """The message with {{timenow}} and {{time}} filled in."""
    moment = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    return message.replace(b"{{timenow}}", moment).replace(b"{{time}}", moment)


def _message(path: Path | None) -> bytes:
    """The settings' token is added to a message without one. Any other message is sent unchanged, byte for byte."""
    if path is None:
        message = json.dumps(SAMPLE).encode()
    else:
        message = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    try:
        document = json.loads(message)
    except ValueError:
        return message
    if not isinstance(document, dict) or "token" in document:
        return message
    secret = webhook_secret(os.environ)
    return message if secret is None else json.dumps({"token": secret} | document).encode()


def _deliver(url: str, body: bytes) -> int | None:
    """Posts one alert with its resends. Returns the last status, None without an answer in time."""
    status: int | None = None
    for delivery in range(1 + RESENDS):
        if delivery:
            time.sleep(RESEND_AFTER)
        status = _post(url, body, delivery)
        if status is None or not _sends_again(status):
            break
    return status


def _sends_again(status: int) -> bool:
    return 500 <= status <= 599 and status != 504


def _post(url: str, body: bytes, delivery: int) -> int | None:
    import requests

    headers = {"Content-Type": f"{_content_type(body)}; charset=utf-8"}
    started = time.monotonic()
    try:
        answer = requests.post(url, data=body, headers=headers, timeout=HANGS_UP_AFTER, allow_redirects=False)
    except requests.RequestException as error:
        took = time.monotonic() - started
        print(f"delivery {delivery + 1}: no answer after {took:.2f} s ({type(error).__name__})", file=sys.stderr)
        return None
    took = time.monotonic() - started
    print(f"delivery {delivery + 1}: HTTP {answer.status_code} after {took * 1000:.0f} ms", file=sys.stderr)
    print(answer.text.strip())
    return answer.status_code


def _content_type(body: bytes) -> str:
    """As TradingView does: application/json for a body that is JSON, text/plain for any other."""
    try:
        json.loads(body)
    except ValueError:
        return "text/plain"
    return "application/json"
