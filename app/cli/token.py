"""`token url|login|show`: the daily login from a terminal."""

import argparse
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from app.cli.settings import configured
from app.domain.deadline import Deadline
from app.domain.secret import Secret
from app.login.login import Login
from app.login.ports import LoginRefused
from app.runtime.openings import open_login_alone, open_token_store

_PATIENCE = 20.0  # seconds


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    token = commands.add_parser("token", help="the daily Fyers login")
    verbs = token.add_subparsers(dest="verb", required=True, metavar="url|login|show")
    url = verbs.add_parser("url", help="show the link to log in with")
    url.set_defaults(run=_url)
    login = verbs.add_parser("login", help="exchange the login's auth_code for the day's token")
    login.add_argument("auth_code", nargs="?", help="the auth_code, or the whole address; asked for if missing")
    login.set_defaults(run=_login)
    show = verbs.add_parser("show", help="show when the stored token ends, and its fingerprint; never the token")
    show.set_defaults(run=_show)


def _url(args: argparse.Namespace) -> int:  # noqa: ARG001 -- it has no arguments
    with ExitStack() as resources:
        print(_opened(resources).begin(_deadline()))
    return 0


def _login(args: argparse.Namespace) -> int:
    given = args.auth_code or input("the auth_code, or the whole address that the login ended on: ")
    auth_code = parse_qs(urlsplit(given).query).get("auth_code", [given])[0].strip()
    with ExitStack() as resources:
        try:
            result = _opened(resources).exchange(auth_code, "the command `token login`", _deadline())
        except LoginRefused as refusal:
            raise SystemExit(f"error: {refusal.message}") from None
    for warning in result.warnings:
        print(f"note: {warning}")
    print(f"logged in as {result.account}; the token ends {result.ends_at or 'at a time it does not say'}")
    return 0


def _show(args: argparse.Namespace) -> int:  # noqa: ARG001
    with ExitStack() as resources:
        token = open_token_store(configured(), resources, lambda _: True).load(_deadline())
    if token is None:
        print("no token is stored: log in")
        return 1
    alive = token.can_be_alive(datetime.now(UTC))
    print(f"fingerprint  {Secret(token.access_token).fingerprint()}")
    print(f"issued       {token.issued_at or 'unknown'}")
    print(f"ends         {token.ends_at or 'unknown'}{'' if alive else ' (it has ended: log in)'}")
    print(f"validated    {token.last_validated_at or 'never'}")
    return 0 if alive else 1


def _opened(resources: ExitStack) -> Login:
    config = configured()
    if not config.live:
        raise SystemExit("error: paper trading needs no login; it is for BROKER=fyers")
    return open_login_alone(config, resources)


def _deadline() -> Deadline:
    return Deadline(time.monotonic, _PATIENCE)
