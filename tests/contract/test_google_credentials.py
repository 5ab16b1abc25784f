"""Where no emulator is named, Google's clients are made with the credentials that the settings name, or not at all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.auth.exceptions import DefaultCredentialsError
from google.oauth2.credentials import Credentials

from app.adapters.firestore.ledger import FirestoreLedger
from app.adapters.notify.pubsub import PubSubNotifier

CLIENTS: dict[str, tuple[str, Callable[[], Any]]] = {
    "the ledger": ("FIRESTORE_EMULATOR_HOST", lambda: FirestoreLedger("a-project", "gateway")),
    "the topic": ("PUBSUB_EMULATOR_HOST", lambda: PubSubNotifier("projects/a-project/topics/notices")),
}


@pytest.fixture(params=CLIENTS)
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    emulator, make = CLIENTS[request.param]
    monkeypatch.delenv(emulator, raising=False)
    return make


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "credentials.json"
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    return path


def test_a_client_is_made_with_the_credentials_that_are_named(
    make: Callable[[], Any], named: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Credentials] = []
    before = Credentials.from_authorized_user_info.__func__  # type: ignore[attr-defined]

    def noted(cls: type[Credentials], info: dict[str, str], scopes: Any = None) -> Credentials:
        taken.append(before(cls, info, scopes))
        return taken[-1]

    monkeypatch.setattr(Credentials, "from_authorized_user_info", classmethod(noted))
    named.write_text(
        json.dumps({"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"})
    )
    make().close()
    assert [one.refresh_token for one in taken] == ["r"]
    assert taken[0].token is None  # nothing was asked of Google yet


def test_without_credentials_no_client_is_made(make: Callable[[], Any], named: Path) -> None:
    with pytest.raises(DefaultCredentialsError, match=named.name):
        make()
