"""The settings of a command, from the environment."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from app.runtime.config import Config
from app.runtime.config.reader import DEFAULT_HOST

LAB_SECRET = Path("data/webhook-secret")


def environment() -> dict[str, str]:
    """The process's environment. Paper trading without a webhook secret gets one, stored for `send`."""
    environ = dict(os.environ)
    if _needs_lab_secret(environ):
        if not LAB_SECRET.exists():
            from app.runtime.openings import make_secret_file

            make_secret_file(LAB_SECRET)
            print(f"made a webhook secret for paper trading: {LAB_SECRET}", file=sys.stderr)
        environ["WEBHOOK_SECRET_TOKEN_FILE"] = str(LAB_SECRET)
    return environ


def configured() -> Config:
    return Config.from_env(environment())


def own_address(environ: Mapping[str, str]) -> str:
    """The gateway's address from this machine: loopback for a gateway that listens on every address."""
    host = environ.get("HOST") or DEFAULT_HOST
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{environ.get('PORT') or 8080}"


def webhook_secret(environ: Mapping[str, str]) -> str | None:
    """The secret for a test alert; None if the settings have none."""
    if _needs_lab_secret(environ) and not LAB_SECRET.exists():
        return None
    path = environ.get("WEBHOOK_SECRET_TOKEN_FILE") or (LAB_SECRET if _needs_lab_secret(environ) else None)
    joined = Path(path).read_text(encoding="utf-8") if path else environ["WEBHOOK_SECRET_TOKEN"]
    return joined.split(",")[0].strip()


def _needs_lab_secret(environ: Mapping[str, str]) -> bool:
    given = environ.get("WEBHOOK_SECRET_TOKEN") or environ.get("WEBHOOK_SECRET_TOKEN_FILE")
    return not given and environ.get("BROKER", "paper").lower() == "paper" and not environ.get("K_SERVICE")
