"""The live settings, whole: SDK, Firestore, Cloud Storage and Pub/Sub, the last three as emulators on loopback."""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock
from uuid import uuid4

import pytest
import requests

from app.adapters.symbols import refresh
from app.domain.calendar import Calendar, ist_day
from app.domain.secret import Secret
from app.login.holder import seal_of
from bench import lab
from tests.emulators import fake_gcs, firestore_emulator, pubsub_emulator
from tests.masters import large_master, write
from tests.tokens import CLIENT_ID, jwt

APP_ID = "BENCH-200"
SLOWEST = 30  # seconds: an emulator that has just been started takes its time over a first call


class NotInstalled(Exception):
    """An emulator is missing."""


def firestore() -> str:
    """host:port of the emulator. Raises NotInstalled."""
    try:
        return firestore_emulator()
    except (pytest.skip.Exception, pytest.fail.Exception) as missing:
        raise NotInstalled(str(missing)) from None


@contextlib.contextmanager
def live_settings(account: lab.Account, rows: int) -> Iterator[dict[str, str]]:
    """The gateway's environment; token, topic and a master of so many rows are in their places. Raises NotInstalled."""
    hosts = {"FIRESTORE_EMULATOR_HOST": firestore()}
    try:
        hosts["PUBSUB_EMULATOR_HOST"] = pubsub_emulator()
    except (pytest.skip.Exception, pytest.fail.Exception) as missing:
        raise NotInstalled(str(missing)) from None
    project, bucket = f"bench-{uuid4().hex[:12]}", "bench"
    with fake_gcs() as storage, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hosts["STORAGE_EMULATOR_HOST"] = storage
        settings = {
            **lab.settings_of(account, folder),
            **hosts,
            "BROKER": "fyers",
            "LIVE_TRADING": "yes",
            "FYERS_APP_ID": APP_ID,
            "FYERS_CLIENT_ID": CLIENT_ID,
            "FYERS_SECRET_ID": "bench",
            "FYERS_REDIRECT_URI": "https://bench.invalid/auth/callback",
            "LEDGER_URL": f"firestore://{project}/(default)",
            "GCS_BUCKET_NAME": bucket,
            "NOTIFICATION_TOPIC": f"projects/{project}/topics/notices",
            "GOOGLE_CLOUD_PROJECT": project,
            "K_SERVICE": "gateway",
        }
        settings |= {"SYMBOL_CACHE": f"gs://{bucket}/symbols", "SYMBOL_MASTER_URLS": _master(folder, rows)}
        _furnish(settings)
        yield settings


def empty_firestore(settings: Mapping[str, str]) -> None:
    """Forgets what the emulator holds of that environment's project; nothing where the ledger is elsewhere."""
    if (emulator := settings.get("FIRESTORE_EMULATOR_HOST")) is not None:
        documents = f"projects/{settings['GOOGLE_CLOUD_PROJECT']}/databases/(default)/documents"
        requests.delete(f"http://{emulator}/emulator/v1/{documents}", timeout=SLOWEST).raise_for_status()


def _master(folder: Path, rows: int) -> str:
    day = Calendar().latest_trading_day(ist_day(datetime.now(UTC)))
    return write(folder / "NSE_FO.csv", large_master(day, rows))


def _furnish(settings: dict[str, str]) -> None:
    """Bucket, topic, today's token and the master."""
    storage, topic = settings["STORAGE_EMULATOR_HOST"], settings["NOTIFICATION_TOPIC"]
    bucket = settings["GCS_BUCKET_NAME"]
    requests.post(f"{storage}/storage/v1/b?project=bench", json={"name": bucket}, timeout=SLOWEST).raise_for_status()
    requests.put(f"http://{settings['PUBSUB_EMULATOR_HOST']}/v1/{topic}", json={}, timeout=SLOWEST).raise_for_status()
    now = datetime.now(UTC)
    access_token = jwt(now, now + timedelta(hours=8))
    seal = seal_of(access_token, CLIENT_ID, Secret(settings["FYERS_SECRET_ID"]))  # as a login leaves it
    token = {"access_token": access_token, "app_id": APP_ID, "seal": seal}
    where = f"{storage}/upload/storage/v1/b/{bucket}/o?uploadType=media&name=data/tokens.json"
    requests.post(where, json=token, timeout=SLOWEST).raise_for_status()
    with mock.patch.dict(os.environ, STORAGE_EMULATOR_HOST=storage):
        report = refresh([settings["SYMBOL_MASTER_URLS"]], settings["SYMBOL_CACHE"], Calendar(), now)
    if not report["accepted"]:
        raise SystemExit(f"the master was refused: {report['reason']}")
