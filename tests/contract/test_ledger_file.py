"""The SQLite ledger's file: of which version of the gateway it is, and what is said where it cannot be used."""

import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from app.adapters.sqlite.ledger import SqliteLedger
from app.cli import main
from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from tests.contract.ledgers import order_named, patient

ORDER = order_named("an order")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with one order."""
    path = tmp_path / "ledger.db"
    with closing(SqliteLedger(path)) as ledger:
        ledger.claim(ORDER, None, patient())
    return path


def asked(path: Path, pragma: str) -> object:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(f"PRAGMA {pragma}").fetchone()[0]


def told(path: Path, pragma: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA {pragma}")


def test_a_ledger_of_the_version_before_is_taken_with_its_orders_and_stamped(path: Path) -> None:
    told(path, "user_version=0")
    with closing(SqliteLedger(path)) as ledger:
        assert ledger.claim(replace(ORDER, request_id="another"), None, patient()) == ORDER
    assert asked(path, "user_version") == 1


def test_a_ledger_of_a_later_version_is_left_as_it_is_and_the_start_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told(path, "user_version=2")
    before = path.read_bytes()
    with pytest.raises(NotNow, match=r"later version of the gateway \(its schema is 2, this version knows 1\)"):
        SqliteLedger(path)
    monkeypatch.setenv("LEDGER_URL", f"sqlite:///{path}")
    monkeypatch.setenv("WEBHOOK_SECRET_TOKEN", "a-webhook-secret-for-tests")
    for command in (["orders"], ["trading-state", "halted", "--reason", "a test"], ["reconcile"]):
        assert main(command) == 1
        assert capsys.readouterr().err.splitlines()[-1].startswith("error: the ledger's file is of a later version")
    assert path.read_bytes() == before


def test_a_copy_made_by_sqlite_is_a_ledger_that_several_processes_can_use(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("VACUUM INTO ?", (str(copy),))
    assert asked(copy, "journal_mode") == "delete"
    with closing(SqliteLedger(copy)) as ledger:
        assert ledger.get(ORDER.key, patient()) == ORDER
        assert asked(copy, "journal_mode") == "wal"


@pytest.mark.parametrize(
    ("made", "why"),
    [(b"not a database " * 1000, "not an SQLite database"), (None, "cannot be opened")],
    ids=["text", "folder"],
)
def test_what_is_no_ledger_is_named_as_such(tmp_path: Path, made: bytes | None, why: str) -> None:
    path = tmp_path / "ledger.db"
    if made is None:
        path.mkdir()
    else:
        path.write_bytes(made)
    with pytest.raises(NotNow, match=why):
        SqliteLedger(path)


def test_a_file_that_may_not_grow_is_said_to_have_a_full_disk(path: Path) -> None:
    with closing(SqliteLedger(path)) as ledger:
        ledger.writer.execute(f"PRAGMA max_page_count={asked(path, 'page_count')}")  # SQLite's own code for a full disk
        with pytest.raises(NotNow, match="its disk is full"):
            ledger.try_out(patient())


def test_damage_where_no_alert_comes_by_is_found_by_who_looks_through_the_whole_file(path: Path) -> None:
    page, size = leaf_of_old_orders(path)
    with path.open("r+b") as file:
        file.seek((page - 1) * size + 8)
        file.write(b"\xff" * 64)
    with closing(SqliteLedger(path)) as ledger:
        ledger.try_out(patient())
        with pytest.raises(NotNow, match="its file is damaged"):
            ledger.try_out(patient(), whole=True)


def leaf_of_old_orders(path: Path) -> tuple[int, int]:
    """The number of the page that has the orders, and the bytes of a page."""
    with closing(sqlite3.connect(path)) as db:
        [page] = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'orders'").fetchone()
    return page, int(str(asked(path, "page_size")))


def test_a_check_of_the_whole_file_ends_with_its_deadline(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        notices = ((f"notice {number}",) for number in range(5_000))
        db.executemany("INSERT INTO outbox (id, document, delivered) VALUES (?, '{}', 1)", notices)
    looks = count()
    deadline = Deadline(lambda: next(looks) * 0.03, 1.0)  # seconds pass as often as the clock is looked at
    with closing(SqliteLedger(path)) as ledger, pytest.raises(NotNow, match="could not be looked through in time"):
        ledger.try_out(deadline, whole=True)


def test_a_new_file_that_another_process_writes_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    waits: list[float] = []
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # while it writes, SQLite refuses the change to WAL at once

        def wait(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 3:
                other.execute("COMMIT")

        with closing(SqliteLedger(path, wait)) as ledger:
            assert ledger.claim(ORDER, None, patient()) == ORDER
    assert len(waits) == 3


def test_a_new_file_that_stays_busy_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.adapters.sqlite.file._PREPARE", 0.1)
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(NotNow, match="another process keeps it busy"):
            SqliteLedger(path)


def test_another_programs_database_is_no_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE orders (number, customer)")
    with pytest.raises(NotNow, match=r"the ledger does not work \(SQLITE_ERROR\): no such column"):
        SqliteLedger(path)


def test_a_call_that_gets_no_turn_in_its_time_changes_nothing(path: Path) -> None:
    with closing(SqliteLedger(path)) as ledger:
        with ledger.writing(patient()), pytest.raises(NotNow) as caught:
            ledger.once("a name", Deadline(time.monotonic, 0.05))
        assert caught.value.reason is Reason.LEDGER_DOWN
        assert ledger.once("a name", patient())


def test_a_call_whose_time_is_over_does_not_begin(path: Path) -> None:
    with closing(SqliteLedger(path)) as ledger, pytest.raises(NotNow, match="the time for the ledger ran out"):
        ledger.get(ORDER.key, Deadline(lambda: 0.0, 0.0))


def test_another_process_that_writes_is_waited_for_until_the_deadline(path: Path) -> None:
    with closing(SqliteLedger(path)) as ledger, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(NotNow, match="another process keeps it busy"):
            ledger.once("a name", Deadline(time.monotonic, 0.2))
        assert time.monotonic() - began >= 0.2
        other.execute("ROLLBACK")
        assert ledger.once("a name", patient())
