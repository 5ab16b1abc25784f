"""What the gateway keeps on disk is its own user's alone, whatever the umask is and however it was left."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.adapters.private_files import make_file, replace_file
from app.adapters.sqlite.ledger import SqliteLedger
from app.runtime.config import Config
from app.runtime.config.judged import judged


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}


@pytest.mark.usefixtures("_umask")
def test_the_ledger_and_what_sqlite_puts_beside_it_are_private(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "data" / "ledger.db")
    try:
        assert modes(tmp_path / "data") == dict.fromkeys(("ledger.db", "ledger.db-wal", "ledger.db-shm"), 0o600)
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    finally:
        ledger.close()


def test_a_ledger_that_others_could_read_is_closed_to_them_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ledger.db"
    first = SqliteLedger(path)
    for file in tmp_path.iterdir():
        file.chmod(0o664)

    second = SqliteLedger(path)

    assert modes(tmp_path) == dict.fromkeys(("ledger.db", "ledger.db-wal", "ledger.db-shm"), 0o600)
    assert "other users could open" in caplog.text
    first.close()
    second.close()


def test_a_file_that_is_read_only_stays_so_when_it_is_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "file").touch(0o444)

    make_file(tmp_path / "file")

    assert modes(tmp_path) == {"file": 0o400}


def test_a_file_that_is_there_keeps_its_content(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")

    make_file(tmp_path / "file")

    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.usefixtures("_umask")
def test_a_file_is_replaced_whole_and_stays_private(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch(0o664)

    replace_file(path, b"new")

    assert path.read_bytes() == b"new"
    assert modes(tmp_path) == {"file": 0o600}


def test_a_file_that_cannot_be_replaced_stays_as_it_was_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    (path / "in the way").mkdir(parents=True)

    with pytest.raises(OSError, match="directory"):
        replace_file(path, b"new")

    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_written_over_and_no_link_is_followed(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "file", tmp_path / "elsewhere"
    (tmp_path / "file.new").write_bytes(b"a longer text that was cut short")

    replace_file(path, b"new")
    (tmp_path / "file.new").symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic link"):
        replace_file(path, b"newer")

    assert path.read_bytes() == b"new"
    assert not elsewhere.exists()


def test_doctor_warns_of_a_folder_that_others_may_look_into(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    environ = {
        "WEBHOOK_SECRET_TOKEN": "a-secret-for-this-test",
        "LEDGER_URL": f"sqlite:///{folder / 'ledger.db'}",
        "SYMBOL_CACHE": str(folder / "symbols"),
    }
    found = {}
    for mode in (0o700, 0o750, 0o755):
        folder.mkdir(exist_ok=True)
        folder.chmod(mode)
        [check] = [check for check in judged(Config.from_env(environ)) if check.name == "files"]
        found[mode] = check

    assert [check.mark for check in found.values()] == ["ok", "warn", "warn"]
    assert f"chmod 700 {folder}" in found[0o755].advice
