"""The ledger in one SQLite file: for one machine, with several processes and threads.

Every write is one transaction that has the write lock from its first statement, and no crash of a process takes one
back. What has to outlive the machine's own crash as well is on the disk before the call returns (synchronous=FULL):
above all `submit`, before the order leaves. Two steps are not waited for, because nothing is lost with them: a claim,
whose order has not left yet, and an acceptance, which the broker's order book tells again.

On Cloud Run the disk is the instance's own memory: there the ledger refuses to start (`bootstrap`).
"""

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from app.adapters import controls_document
from app.adapters.private_files import close_to_others, make_file
from app.adapters.stored_text import read_notice, read_order, readable, to_text
from app.domain.deadline import CLAIM, RECORD, SUBMIT, SWITCH, Deadline
from app.domain.errors import NotNow, Reason
from app.domain.notice import Notice, notice_of, state_notice
from app.domain.order import OPEN, Order, OrderStatus
from app.domain.order.document import to_document
from app.domain.risk import Controls, Decide, learned, teaches
from app.flow.ports import Overtaken, Window

# Stands in the file (PRAGMA user_version). Files from before it was written say 0 and have the tables of 1.
_SCHEMA_VERSION = 1
_OPEN = str(tuple(status.value for status in OPEN))
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS orders (
    key TEXT PRIMARY KEY, status TEXT NOT NULL, sequence INTEGER NOT NULL, day TEXT NOT NULL,
    received_at TEXT NOT NULL, submitted_at TEXT, document TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS orders_by_day ON orders (day, received_at);
CREATE INDEX IF NOT EXISTS orders_in_flight ON orders (status)
    WHERE status IN {_OPEN};
CREATE TABLE IF NOT EXISTS windows (digest TEXT PRIMARY KEY, key TEXT NOT NULL, opened_at TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS account (one INTEGER PRIMARY KEY CHECK (one = 1), document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    document TEXT NOT NULL, delivered INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (number) WHERE delivered = 0;
CREATE TABLE IF NOT EXISTS names (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_LATEST = 500
_PREPARE = 5.0
_POLL = 20  # milliseconds of SQLite's own patience; the rest is ours, by the deadline
_PAGES_IN_LOG = 4000  # 16 MB; who fills it takes a millisecond or more to move them all: one alert in hundreds
_INSERT = "INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)"
_UPDATE = "UPDATE orders SET status = ?, sequence = ?, submitted_at = ?, document = ? WHERE key = ? AND sequence = ?"
_BEFORE_SUBMIT = "SELECT status, sequence, (SELECT document FROM account WHERE one = 1) FROM orders WHERE key = ?"
_WRITE_CONTROLS = "INSERT INTO account VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET document = excluded.document"
_AN_ALERT = 48 * 1024  # bytes; claim, submit and record together append 37 to 49 KB to the log of changes
_OFTEN = 1_000  # of SQLite's own instructions, between two looks at the clock
_SHOWN = 120  # characters of what a check of the whole file found
_TRIED_OUT = "try out:" + "." * _AN_ALERT
# What SQLite's primary result codes come to (sqlite.org/rescode.html), in the words of who has to mend it.
_WHY = {
    sqlite3.SQLITE_FULL: "its disk is full; free some space",
    sqlite3.SQLITE_READONLY: "its file may not be written; look at its owner and mode, and how the disk is mounted",
    sqlite3.SQLITE_PERM: "its file may not be used; look at its owner and mode",
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened; look at the owner and mode of the file and its folder",
    sqlite3.SQLITE_IOERR: "its disk does not take or give what it should; look for a limit on size, and at the disk",
    sqlite3.SQLITE_CORRUPT: "its file is damaged; stop the gateway, keep the file, and go on with a copy that is whole",
    sqlite3.SQLITE_NOTADB: "its file is none of SQLite's; see which file LEDGER_URL names",
    sqlite3.SQLITE_BUSY: "another process keeps it busy",
    sqlite3.SQLITE_INTERRUPT: "it could not be looked through in time",
}
_Found = TypeVar("_Found")


class SqliteLedger:
    """Implements `ports.Ledger`. Two connections for all writes and one a thread for reads; `close` closes them all.

    `_writer` waits for the disk, `_quick` does not; it writes single statements. Writers of this process queue up at a
    lock of ours: at SQLite's own they would poll, and some would starve.

    Raises NotNow with the reason where the file cannot be opened, or was written by a later version of the gateway.
    """

    def __init__(self, path: Path) -> None:
        make_file(path)  # what SQLite puts beside it gets the file's mode
        for beside in ("-wal", "-shm"):
            close_to_others(path.with_name(path.name + beside))
        self._path = path
        self._local = threading.local()
        self._connections: list[_Connection] = []
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        try:
            self._writer = self._connect(prepare=True)
            self._quick = self._connect("NORMAL")
        except BaseException as error:
            self.close()
            if isinstance(error, sqlite3.Error):
                raise _unusable(error) from error
            raise

    def _prepare(self, db: sqlite3.Connection) -> None:
        """The change to WAL waits for nobody: of several that open a new file together, SQLite turns some away."""
        ends = time.monotonic() + _PREPARE
        while True:
            try:
                [version] = db.execute("PRAGMA user_version").fetchone()
                if version > _SCHEMA_VERSION:
                    raise NotNow(Reason.LEDGER_DOWN, _newer(version))
                db.execute("PRAGMA journal_mode=WAL")
                if version < _SCHEMA_VERSION:
                    db.executescript(f"{_SCHEMA} PRAGMA user_version={_SCHEMA_VERSION}")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > ends:
                    raise
            time.sleep(0.01)

    def close(self) -> None:
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
        self._local = threading.local()

    def claim(self, order: Order, window: Window | None, deadline: Deadline) -> Order:
        deadline = deadline.within(CLAIM)
        if window is None and self._quickly(_INSERT, _row(order), deadline):
            return order
        with self._writing(deadline) as db:
            known = self._windowed(db, window, order.received_at) if window else _stored(db, order.key)
            if known is not None:
                return known
            db.execute(_INSERT, _row(order))
            if window:
                opened = (window.digest, order.key, order.received_at.isoformat())
                db.execute("INSERT OR REPLACE INTO windows VALUES (?, ?, ?)", opened)
            return order

    def submit(self, order: Order, decide: Decide, deadline: Deadline) -> Order:
        with self._writing(deadline.within(SUBMIT)) as db:
            *stored, controls_text = _there(db.execute(_BEFORE_SUBMIT, (order.key,)).fetchone())
            if stored != [OrderStatus.RECEIVED, order.sequence]:
                raise Overtaken(_expected(db, order.key))
            before = _controls_in(controls_text)
            decided, controls = decide(before)
            _update(db, decided)
            _write_controls(db, before, controls)
            return decided

    def record(self, order: Order, deadline: Deadline) -> Order:
        deadline = deadline.within(RECORD)
        alone = order.status is OrderStatus.ACCEPTED and notice_of(order) is None and not teaches(order)
        if alone and self._quickly(_UPDATE, _changed(order), deadline):
            return order
        with self._writing(deadline) as db:
            _update(db, order)
            if teaches(order):
                before = _controls(db)
                _write_controls(db, before, learned(before, order))
            return order

    def notify(self, notice: Notice, deadline: Deadline) -> bool:
        with self._writing(deadline.within(RECORD)) as db:
            return _post(db, notice)

    def once(self, name: str, deadline: Deadline) -> bool:
        with self._writing(deadline.within(RECORD)) as db:
            return db.execute("INSERT OR IGNORE INTO names VALUES (?)", (name,)).rowcount == 1

    def try_out(self, deadline: Deadline, whole: bool = False) -> None:
        """Two commits: one that is taken back writes nothing to the disk, and so would not find a full one."""
        with self._writing(deadline.within(RECORD)) as db:
            db.execute("INSERT OR REPLACE INTO names VALUES (?)", (_TRIED_OUT,))
        with self._writing(deadline.within(RECORD)) as db:
            db.execute("DELETE FROM names WHERE name = ?", (_TRIED_OUT,))
        if whole:
            self._look_through(deadline)

    def _look_through(self, deadline: Deadline) -> None:
        with self._reading(deadline) as db:
            db.set_progress_handler(lambda: deadline.left() <= 0, _OFTEN)
            try:
                [found] = db.execute("PRAGMA quick_check(1)").fetchone()
            finally:
                db.set_progress_handler(None, 0)
        if found != "ok":
            raise _down(" ".join(found.split())[:_SHOWN], _WHY[sqlite3.SQLITE_CORRUPT])

    def get(self, key: str, deadline: Deadline) -> Order | None:
        with self._reading(deadline) as db:
            return _stored(db, key)

    def orders(self, deadline: Deadline, day: str | None = None, in_flight: bool = False) -> list[Order]:
        where, values = ["1"], []
        if day is not None:
            where.append("day = ?")
            values.append(day)
        if in_flight:
            where.append(f"status IN {_OPEN}")
        most = _LATEST if day is None and not in_flight else -1  # reconcile needs all that is in flight
        query = f"SELECT document FROM orders WHERE {' AND '.join(where)} ORDER BY received_at DESC LIMIT {most}"  # noqa: S608 -- fixed words only
        with self._reading(deadline) as db:
            return readable((row[0] for row in db.execute(query, values)), read_order)

    def unresolved(self, before: datetime, deadline: Deadline) -> int:
        with self._reading(deadline) as db:
            # The second condition says nothing new; without it SQLite would not see that the index has them all.
            query = f"SELECT submitted_at FROM orders WHERE status = 'SUBMITTED' AND status IN {_OPEN}"  # noqa: S608 -- fixed words only
            return sum(datetime.fromisoformat(row[0]) < before for row in db.execute(query))

    def controls(self, deadline: Deadline) -> Controls:
        with self._reading(deadline) as db:
            return _controls(db)

    def change_controls(self, change: Callable[[Controls], Controls], deadline: Deadline) -> Controls:
        with self._writing(deadline.within(SWITCH)) as db:
            before = _controls(db)
            controls = change(before)
            _write_controls(db, before, controls)
            return controls

    def outbox(self, deadline: Deadline) -> list[Notice]:
        with self._reading(deadline) as db:
            rows = db.execute("SELECT document FROM outbox WHERE delivered = 0 ORDER BY number LIMIT 100")
            return readable((row[0] for row in rows), read_notice)

    def taken(self, notice_id: str, by: Sequence[str], deadline: Deadline) -> None:
        with self._writing(deadline.within(RECORD)) as db:
            row = db.execute("SELECT document FROM outbox WHERE id = ? AND delivered = 0", (notice_id,)).fetchone()
            if row is None:
                return
            document = json.loads(row[0])
            document["taken"] = sorted({*document.get("taken", ()), *by})
            db.execute(
                "UPDATE outbox SET number = (SELECT MAX(number) + 1 FROM outbox), document = ? WHERE id = ?",
                (to_text(document), notice_id),
            )

    def delivered(self, notice_id: str, deadline: Deadline) -> None:
        with self._writing(deadline.within(RECORD)) as db:
            db.execute("UPDATE outbox SET delivered = 1 WHERE id = ?", (notice_id,))

    def _windowed(self, db: sqlite3.Connection, window: Window, now: datetime) -> Order | None:
        """The order that the window belongs to, while it is open."""
        row = db.execute("SELECT key, opened_at FROM windows WHERE digest = ?", (window.digest,)).fetchone()
        if row is None or now - datetime.fromisoformat(row[1]) >= timedelta(seconds=window.seconds):
            return None
        return _stored(db, row[0])

    def _connection(self) -> "_Connection":
        connection: _Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
        return connection

    def _connect(self, synchronous: str = "FULL", prepare: bool = False) -> "_Connection":
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, factory=_Connection)
        with self._lock:
            self._connections.append(connection)
        if prepare:
            self._prepare(connection)
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.execute(f"PRAGMA busy_timeout={_POLL}")
        connection.execute(f"PRAGMA wal_autocheckpoint={_PAGES_IN_LOG}")
        return connection

    @contextlib.contextmanager
    def _reading(self, deadline: Deadline, db: "_Connection | None" = None) -> Iterator["_Connection"]:
        """A connection that waits for locks no longer than the deadline; what goes wrong is LEDGER_DOWN.

        Nothing is begun once that is over: whoever asked is gone, and an order that is recorded now would ring nobody.
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
    def _taking_turns(self, deadline: Deadline, db: "_Connection") -> Iterator["_Connection"]:
        if not self._turn.acquire(timeout=deadline.cap(SWITCH)):
            raise NotNow(Reason.LEDGER_DOWN)
        try:
            with self._reading(deadline, db):
                yield db
        finally:
            self._turn.release()

    def _quickly(self, statement: str, values: Sequence[object], deadline: Deadline) -> bool:
        """One statement that is a transaction of its own; whether it changed its row."""
        with self._taking_turns(deadline, self._quick) as db:
            return db.execute(statement, values).rowcount == 1

    @contextlib.contextmanager
    def _writing(self, deadline: Deadline) -> Iterator["_Connection"]:
        """One transaction, on the disk before this returns; any exception takes all of it back."""
        with self._taking_turns(deadline, self._writer) as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise


class _Connection(sqlite3.Connection):
    """Waits for other processes' locks until the deadline: to set SQLite's own patience takes a statement a call."""

    deadline: Deadline | None = None

    def execute(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:  # type: ignore[override]  # by position
        while True:
            try:
                return super().execute(statement, values)
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or self.deadline is None or self.deadline.left() <= 0:
                    raise


def _unusable(error: sqlite3.Error) -> NotNow:
    """SQLite's failure: its own name for it, and what to do. Errors of Python's module itself have neither."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return _down(getattr(error, "sqlite_errorname", type(error).__name__), _WHY.get(code, str(error)))


def _down(named: str, why: str) -> NotNow:
    return NotNow(Reason.LEDGER_DOWN, f"the ledger does not work ({named}): {why}")


def _newer(version: int) -> str:
    return (
        f"the ledger's file is of a later version of the gateway (its schema is {version}, this version knows "
        f"{_SCHEMA_VERSION}); run that version, or name another file in LEDGER_URL"
    )


def _stored(db: sqlite3.Connection, key: str) -> Order | None:
    row = db.execute("SELECT document FROM orders WHERE key = ?", (key,)).fetchone()
    return read_order(row[0]) if row else None


def _expected(db: sqlite3.Connection, key: str) -> Order:
    return _there(_stored(db, key))


def _there(found: _Found | None) -> _Found:
    if found is None:
        raise NotNow(Reason.LEDGER_DOWN, "the ledger has lost the order")
    return found


def _row(order: Order) -> tuple[object, ...]:
    return (order.key, order.status, order.sequence, order.day, order.received_at.isoformat(), None, _json(order))


def _changed(order: Order) -> tuple[object, ...]:
    """The values of an update, which changes nothing unless the stored order is the step before this one."""
    submitted_at = order.submitted_at.isoformat() if order.submitted_at else None
    return (order.status, order.sequence, submitted_at, _json(order), order.key, order.sequence - 1)


def _update(db: sqlite3.Connection, order: Order) -> None:
    if db.execute(_UPDATE, _changed(order)).rowcount != 1:
        raise Overtaken(_expected(db, order.key))
    if (notice := notice_of(order)) is not None:
        _post(db, notice)


def _json(order: Order) -> str:
    return to_text(to_document(order))


def _controls(db: sqlite3.Connection) -> Controls:
    row = db.execute("SELECT document FROM account WHERE one = 1").fetchone()
    return _controls_in(row and row[0])


def _controls_in(text: str | None) -> Controls:
    """None: no order was submitted yet, and nothing else was said of it."""
    return Controls() if text is None else controls_document.from_text(text)


def _write_controls(db: sqlite3.Connection, before: Controls, controls: Controls) -> None:
    if controls == before:
        return
    db.execute(_WRITE_CONTROLS, (controls_document.to_text(controls),))
    if (notice := state_notice(before, controls)) is not None:
        _post(db, notice)


def _post(db: sqlite3.Connection, notice: Notice) -> bool:
    values = (notice.id, to_text(notice.document()))
    return db.execute("INSERT OR IGNORE INTO outbox (id, document, delivered) VALUES (?, ?, 0)", values).rowcount == 1
