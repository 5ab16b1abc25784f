"""What the two READMEs show holds: the message to paste, the answer, the commands, the routes."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cli import read
from app.domain.alert import ExpiryRule
from app.web.answers import HTTP_OF_ERROR, HTTP_OF_STATUS
from tests.gateway import SECRET, Gateway, gateway

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEPLOYMENT = (ROOT / "deploy/README.md").read_text(encoding="utf-8")
CONSOLE = re.findall(r"^ *\$ (.*)$", README + DEPLOYMENT, re.MULTILINE)
MESSAGE, ANSWER = re.findall(r"```json\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gateway]:
    with gateway(tmp_path) as gate:
        yield gate


def rows(title: str) -> list[list[str]]:
    """The cells of the table whose heading begins so."""
    [table] = re.findall(rf"^\| {re.escape(title)}.*\n\|---.*\n((?:\|.*\n)+)", README, re.MULTILINE)
    return [re.split(r"(?<!\\)\|", row)[1:-1] for row in table.splitlines()]


def test_the_message_to_paste_becomes_an_order_and_the_answer_has_the_names_that_are_shown(gate: Gateway) -> None:
    fired = gate.desk.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    filled_in = {"YOUR-WEBHOOK-SECRET": SECRET, "{{strategy.order.id}}": "Short", "{{timenow}}": fired}
    message = MESSAGE
    for placeholder, value in filled_in.items():
        assert placeholder in message
        message = message.replace(placeholder, value)
    response = gate.send(message.encode())
    assert (response.status_code, response.json["status"]) == (200, "ACCEPTED")
    shown = json.loads(ANSWER)
    assert list(response.json) == list(shown)
    assert {name: type(value) for name, value in response.json.items()} == {
        name: type(value) for name, value in shown.items()
    }


def test_every_http_status_that_an_alert_can_get_is_explained() -> None:
    explained = {int(status) for first, *_ in rows("HTTP") for status in re.findall(r"\d+", first)}
    assert explained == {*HTTP_OF_ERROR.values(), *HTTP_OF_STATUS.values()}


def test_every_route_is_listed_and_every_route_listed_is_one(gate: Gateway) -> None:
    listed = {tuple(route.split()) for first, *_ in rows("route") for route in re.findall(r"`(\w+ /[^`]*)`", first)}
    methods = ("GET", "POST")
    assert listed == {
        (method, rule.rule)
        for rule in gate.app.url_map.iter_rules()
        for method in methods
        if method in (rule.methods or ())
    }


def alternatives(command: str) -> list[str]:
    r"""`token url\|login` is two commands."""
    words = [word.split("\\|") for word in command.split()]
    most = max(map(len, words))
    return [" ".join(word[min(number, len(word) - 1)] for word in words) for number in range(most)]


def listed_commands() -> list[str]:
    cells = [command for first, *_ in rows("command") for command in re.findall(r"`([^`]+)`", first)]
    return [one.replace("…", "why") for command in cells for one in alternatives(command)]


def console_commands() -> list[str]:
    return [line.partition(" -m app ")[2] for line in CONSOLE if ".venv/bin/python -m app " in line]


@pytest.mark.parametrize("command", sorted({*listed_commands(), *console_commands()}))
def test_a_command_that_is_shown_is_one(command: str) -> None:
    assert read(shlex.split(command, comments=True)).run


def test_the_commands_were_found() -> None:
    assert (len(listed_commands()), len(console_commands())) >= (15, 6)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:^|[ `])make ([a-z-]+)", "\n".join(CONSOLE)))))
def test_a_make_target_that_is_shown_is_one(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)]+)\)", README))))
def test_a_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_settings_that_are_named_exist() -> None:
    known = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    known |= set(re.findall(r"^([A-Z_]+)=", (ROOT / "deploy/settings.example").read_text(), re.MULTILINE))
    named: set[Any] = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`", README))
    reasons = {first.strip(" `") for first, *_ in rows("reason")}
    assert named - known - reasons - set(ExpiryRule) == set()
