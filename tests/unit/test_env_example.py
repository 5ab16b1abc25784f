"""`.env.example` is the whole list of settings, and says their defaults as they are."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from app.runtime.config import Config, ConfigFaults

ROOT = Path(__file__).parents[2]
SECRET = {"WEBHOOK_SECRET_TOKEN": "a-secret-for-the-example"}
LIVE = {"BROKER": "fyers", "LIVE_TRADING": "yes", "FYERS_APP_ID": "A-200"}
LIVE |= {"FYERS_CLIENT_ID": "XA12345"}
LIVE |= {"FYERS_SECRET_ID": "s", "FYERS_REDIRECT_URI": "https://here.example/auth/callback"}

READ_BY_OTHERS = {
    "PORT",  # gunicorn, and the commands
    "GOOGLE_APPLICATION_CREDENTIALS",  # Google's own libraries
}
SET_BY_OTHERS = {
    "PATH",
    "K_SERVICE",  # Cloud Run
    # A test or a lab.
    "FIRESTORE_EMULATOR_HOST", "STORAGE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST", "LOGGING_EMULATOR_HOST",
}  # fmt: skip


class Recorder(Mapping[str, str]):
    """An environment that remembers which names it was asked for."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._environ = environ
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self._environ[name]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("settings are read by name")

    def __len__(self) -> int:
        return len(self._environ)


def example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("=") for line in lines if line.strip() and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", name) and separator for name, separator, _ in pairs)
    assert len({name for name, _, _ in pairs}) == len(pairs)
    return {name: value for name, _, value in pairs}


def names_read() -> set[str]:
    """All names that the settings are read from, in paper mode and in live mode."""
    asked: set[str] = set()
    for environ in (SECRET, SECRET | LIVE):
        recorder = Recorder(environ)
        Config.from_env(recorder)
        asked |= recorder.asked
    return {name for name in asked if not (name.endswith("_FILE") and name.removesuffix("_FILE") in asked)}


def test_the_example_names_exactly_the_settings_that_are_read() -> None:
    assert names_read() - SET_BY_OTHERS == set(example()) - READ_BY_OTHERS


def test_nothing_else_in_the_product_reads_a_name_that_the_example_does_not_show() -> None:
    known = set(example()) | SET_BY_OTHERS | {f"{name}_FILE" for name in example()}
    for path in [*(ROOT / "app").rglob("*.py"), ROOT / "main.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (name := _name_read(node)) is not None:
                assert name in known, f"{path.name}:{node.lineno} reads {name}"  # type: ignore[attr-defined]


def _name_read(node: ast.AST) -> str | None:
    """The name in `os.environ["NAME"]`, `environ.get("NAME")` or `getenv("NAME")`."""
    if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("environ"):
        named: ast.expr = node.slice
    elif isinstance(node, ast.Call) and re.search(r"(environ\.get|getenv)$", ast.unparse(node.func)) and node.args:
        named = node.args[0]
    else:
        return None
    name = named.value if isinstance(named, ast.Constant) else None
    return name if isinstance(name, str) and re.fullmatch(r"[A-Z0-9_]+", name) else None  # WSGI has an environ, too


def test_the_example_shows_the_defaults_as_they_are() -> None:
    shown = {name: value for name, value in example().items() if name not in SECRET}
    assert Config.from_env(shown | SECRET) == Config.from_env(SECRET)


@pytest.mark.parametrize("name", sorted(LIVE.keys() - {"BROKER", "LIVE_TRADING"}))
def test_without_it_live_trading_does_not_start(name: str) -> None:
    with pytest.raises(ConfigFaults, match=name):
        Config.from_env({key: value for key, value in (SECRET | LIVE).items() if key != name})
