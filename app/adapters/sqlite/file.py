"""The ledger's file: its tables, its connections, and how a statement waits for its turn."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path

from app.adapters.private_files import close_to_others, make_file
from app.domain.deadline import SWITCH, Deadline, Sleep, tries
from app.domain.errors import NotNow, Reason
from app.domain.order import OPEN

# The file's PRAGMA user_version. Files of the first version have the tables of 1 and say 0.
_SCHEMA_VERSION = 1
IS_OPEN = str(tuple(status.value for status in OPEN))
# The table `account` holds the controls, under the name that they once had: a deployed file has to stay readable.
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS orders (
    key TEXT PRIMARY KEY, status TEXT NOT NULL, sequence INTEGER NOT NULL, day TEXT NOT NULL,
    received_at TEXT NOT NULL, submitted_at TEXT, document TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS orders_by_day ON orders (day, received_at);
CREATE INDEX IF NOT EXISTS orders_in_flight ON orders (status)
    WHERE status IN {IS_OPEN};
CREATE TABLE IF NOT EXISTS windows (digest TEXT PRIMARY KEY, key TEXT NOT NULL, opened_at TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS account (one INTEGER PRIMARY KEY CHECK (one = 1), document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    document TEXT NOT NULL, delivered INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (number) WHERE delivered = 0;
CREATE TABLE IF NOT EXISTS names (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_PREPARE = 5.0
_PAUSE = 0.01  # seconds
_OFTEN = 1_000  # of SQLite's own instructions, between two looks at the clock
_SHOWN = 120  # characters of what a check of the whole file found
_POLL = 20  # milliseconds that SQLite itself waits for a lock; further waiting goes by the deadline
_PAGES_IN_LOG = 4000  # 16 MB; moving a full log into the file delays one alert in hundreds by a millisecond or more
# What SQLite's primary result codes come to (sqlite.org/rescode.html), and what the operator has to do.
_WHY = {
    sqlite3.SQLITE_FULL: "its disk is full; free some space",
    sqlite3.SQLITE_READONLY: "its file may not be written; look at its owner and mode, and how the disk is mounted",
    sqlite3.SQLITE_PERM: "its file may not be used; look at its owner and mode",
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened; look at the owner and mode of the file and its folder",
    sqlite3.SQLITE_IOERR: "its disk does not take or give what it should; look for a limit on size, and at the disk",
    sqlite3.SQLITE_CORRUPT: "its file is damaged; stop the gateway, keep the file, and go on with a copy that is whole",
    sqlite3.SQLITE_NOTADB: "its file is not an SQLite database; see which file LEDGER_URL names",
    sqlite3.SQLITE_BUSY: "another process keeps it busy",
    sqlite3.SQLITE_INTERRUPT: "it could not be looked through in time",
}


class LedgerFile:
    """Two connections for all writes and one a thread for reads; `close` closes them all.

    `writer` waits for the disk. `quick` does not, and writes single statements. The writers of one process queue at a
    lock of its own: at SQLite's they would poll, and some would starve.

    Raises NotNow, with the reason, where the file cannot be opened or a later version of the gateway wrote it.
    """

    def __init__(self, path: Path, sleep: Sleep = time.sleep) -> None:
        make_file(path)  # what SQLite puts beside it gets the file's mode
        for beside in ("-wal", "-shm"):
            close_to_others(path.with_name(path.name + beside))
        self._path = path
        self._sleep = sleep
        self._local = threading.local()
        self._connections: list[Connection] = []
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        try:
            self.writer = self._connect(prepare=True)
            self.quick = self._connect("NORMAL")
        except BaseException as error:
            self.close()
            if isinstance(error, sqlite3.Error):
                raise _unusable(error) from error
            raise

    def close(self) -> None:
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
        self._local = threading.local()

    def look_through(self, deadline: Deadline) -> None:
        """Looks for damage in the whole file. Raises NotNow where there is some, or where the time runs out."""
        with self.reading(deadline) as db:
            db.set_progress_handler(lambda: deadline.left() <= 0, _OFTEN)
            try:
                [found] = db.execute("PRAGMA quick_check(1)").fetchone()
            finally:
                db.set_progress_handler(None, 0)
        if found != "ok":
            raise _down(" ".join(found.split())[:_SHOWN], _WHY[sqlite3.SQLITE_CORRUPT])

    def _prepare(self, db: sqlite3.Connection) -> None:
        """Makes the tables. Of several processes that open a new file, SQLite refuses some the change to WAL."""
        for _ in tries(Deadline(time.monotonic, _PREPARE), repeat(_PAUSE), self._sleep):
            try:
                _make_tables(db)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise
                busy = error
            else:
                return
        raise busy

    def _connection(self) -> "Connection":
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
        return connection

    def _connect(self, synchronous: str = "FULL", prepare: bool = False) -> "Connection":
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, factory=Connection)
        with self._lock:
            self._connections.append(connection)
        if prepare:
            self._prepare(connection)
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute(f"PRAGMA busy_timeout={_POLL}")
        connection.execute(f"PRAGMA wal_autocheckpoint={_PAGES_IN_LOG}")
        return connection

    @contextlib.contextmanager
    def reading(self, deadline: Deadline, db: "Connection | None" = None) -> Iterator["Connection"]:
        """A connection that waits for locks no longer than the deadline. SQLite's failures become LEDGER_DOWN.

        Nothing begins after the deadline: the request is gone, and an order recorded then would notify no operator.
        """
        if deadline.left() <= 0:
            raise NotNow(Reason.LEDGER_DOWN, "the time for the ledger ran out")
        try:
            db = db or self._connection()
            db.deadline = deadline
            yield db
        except sqlite3.Error as error:
            raise _unusable(error) from error

    @contextlib.contextmanager
    def _taking_turns(self, deadline: Deadline, db: "Connection") -> Iterator["Connection"]:
        if not self._turn.acquire(timeout=deadline.cap(SWITCH)):
            raise NotNow(Reason.LEDGER_DOWN)
        try:
            with self.reading(deadline, db):
                yield db
        finally:
            self._turn.release()

    def _quickly(self, statement: str, values: Sequence[object], deadline: Deadline) -> bool:
        """One statement that is a transaction of its own; whether it changed its row."""
        with self._taking_turns(deadline, self.quick) as db:
            return db.execute(statement, values).rowcount == 1

    @contextlib.contextmanager
    def writing(self, deadline: Deadline) -> Iterator["Connection"]:
        """One transaction, on the disk before this returns; any exception takes all of it back."""
        with self._taking_turns(deadline, self.writer) as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise


class Connection(sqlite3.Connection):
    """Waits for other processes' locks until the deadline. To set SQLite's time-out would cost one statement a call."""

    deadline: Deadline | None = None

    def execute(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:  # type: ignore[override]  # by position
        while True:  # SQLite itself has waited a little before each failure
            try:
                return super().execute(statement, values)
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or self.deadline is None or self.deadline.left() <= 0:
                    raise


def _make_tables(db: sqlite3.Connection) -> None:
    [version] = db.execute("PRAGMA user_version").fetchone()
    if version > _SCHEMA_VERSION:
        raise NotNow(
            Reason.LEDGER_DOWN,
            f"the ledger's file is of a later version of the gateway (its schema is {version}, this version knows "
            f"{_SCHEMA_VERSION}); run that version, or name another file in LEDGER_URL",
        )
    db.execute("PRAGMA journal_mode=WAL")
    if version < _SCHEMA_VERSION:
        db.executescript(f"{_SCHEMA} PRAGMA user_version={_SCHEMA_VERSION}")


def _unusable(error: sqlite3.Error) -> NotNow:
    """SQLite's failure: its own name for it, and what to do. Errors of Python's module itself have neither."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return _down(getattr(error, "sqlite_errorname", type(error).__name__), _WHY.get(code, str(error)))


def _down(named: str, why: str) -> NotNow:
    return NotNow(Reason.LEDGER_DOWN, f"the ledger does not work ({named}): {why}")
