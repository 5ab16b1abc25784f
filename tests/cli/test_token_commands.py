"""`token`: the daily login from a terminal, for the owner's account alone."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from app.cli import main
from app.simulator import Simulator
from tests.sinks import Phone, phone

OWNER, OTHER = "F12345", "EV66613"


@pytest.fixture
def account() -> Iterator[Simulator]:
    with Simulator(app_id="LIVE-200", secret_id="an-app-secret", rate_limits=False) as account:
        yield account


@pytest.fixture
def told() -> Iterator[Phone]:
    with phone() as told:
        yield told


@pytest.fixture(autouse=True)
def _live(tmp_path: Path, account: Simulator, told: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "PATH": os.environ["PATH"],
        "WEBHOOK_SECRET_TOKEN": "a-secret-for-this-test",
        "BROKER": "fyers",
        "LIVE_TRADING": "yes",
        "FYERS_APP_ID": "LIVE-200",
        "FYERS_SECRET_ID": "an-app-secret",
        "FYERS_CLIENT_ID": OWNER,
        "FYERS_REDIRECT_URI": "https://gate.example/auth/callback",
        "FYERS_API_URL": account.api_url,
        "FYERS_DATA_URL": account.data_url,
        "NOTIFICATION_URL": told.url,
        "LEDGER_URL": f"sqlite:///{tmp_path / 'ledger.db'}",
        "GCS_TOKENS_FILE": str(tmp_path / "tokens.json"),
    }
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


def test_the_link_leads_to_a_login_that_is_taken_and_told(
    capsys: pytest.CaptureFixture[str], told: Phone, account: Simulator
) -> None:
    assert main(["token", "show"]) == 1
    assert main(["token", "url"]) == 0
    link = capsys.readouterr().out.split()[-1]
    with requests.get(link, allow_redirects=False, timeout=5) as page:
        back = page.headers["Location"]

    assert main(["token", "login", back]) == 0

    assert "logged in as F1***5; the token ends" in capsys.readouterr().out
    assert main(["token", "show"]) == 0
    [notice] = [one["text"] for one in told.told]
    assert notice.startswith("Logged in at Fyers as F1***5 through the command `token login`; it ends ")


def test_another_account_s_login_is_one_line_of_error_and_a_notice(
    capsys: pytest.CaptureFixture[str], told: Phone, account: Simulator
) -> None:
    with pytest.raises(SystemExit, match=r"EV\*\*\*3, which is not FYERS_CLIENT_ID; it was not taken"):
        main(["token", "login", account.issue_auth_code("LIVE-200", OTHER)])

    assert main(["token", "show"]) == 1
    [notice] = [one["text"] for one in told.told]
    assert "EV***3 came through the command `token login` and was refused" in notice
