"""The ledger in one SQLite file: for one machine, with several processes and threads.

Every write is one BEGIN IMMEDIATE transaction with synchronous=FULL, so a step is on the disk before the call returns.
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

from app.adapters import account_document
from app.adapters.stored_text import read_notice, read_order, readable
from app.deadline import CLAIM, RECORD, SUBMIT, SWITCH, Deadline
from app.errors import NotNow, Reason
from app.notice import Notice, notice_of, state_notice
from app.order import Order, OrderStatus
from app.order.document import to_document
from app.ports import Overtaken, Window
from app.risk import Account, Decide, learned, teaches

_SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    key TEXT PRIMARY KEY, status TEXT NOT NULL, sequence INTEGER NOT NULL, day TEXT NOT NULL,
    received_at TEXT NOT NULL, submitted_at TEXT, document TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS orders_by_day ON orders (day, received_at);
CREATE INDEX IF NOT EXISTS orders_in_flight ON orders (status)
    WHERE status IN ('RECEIVED', 'SUBMITTED', 'ACCEPTED', 'PARTIALLY_FILLED');
CREATE TABLE IF NOT EXISTS windows (digest TEXT PRIMARY KEY, key TEXT NOT NULL, opened_at TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS account (one INTEGER PRIMARY KEY CHECK (one = 1), document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    document TEXT NOT NULL, delivered INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (number) WHERE delivered = 0;
CREATE TABLE IF NOT EXISTS names (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_OPEN = "('RECEIVED', 'SUBMITTED', 'ACCEPTED', 'PARTIALLY_FILLED')"
_LATEST = 500
_PREPARE = 5.0
_Found = TypeVar("_Found")


class SqliteLedger:
    """Implements `ports.Ledger`. One connection for all writes and one a thread for reads; `close` closes them all.

    Writers of this process queue up at a lock of ours: at SQLite's own they would poll, and some would starve.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._writer = self._connect()
        self._prepare()

    def _prepare(self) -> None:
        """The change to WAL waits for nobody: of several that open a new file together, SQLite turns some away."""
        ends = time.monotonic() + _PREPARE
        while True:
            try:
                self._writer.executescript("PRAGMA journal_mode=WAL;" + _SCHEMA)
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
        with self._writing(deadline.within(CLAIM)) as db:
            known = self._windowed(db, window, order.received_at) if window else _stored(db, order.key)
            if known is not None:
                return known
            _insert(db, order)
            if window:
                opened = (window.digest, order.key, order.received_at.isoformat())
                db.execute("INSERT OR REPLACE INTO windows VALUES (?, ?, ?)", opened)
            return order

    def submit(self, order: Order, decide: Decide, deadline: Deadline) -> Order:
        with self._writing(deadline.within(SUBMIT)) as db:
            if _step(db, order.key) != (OrderStatus.RECEIVED, order.sequence):
                raise Overtaken(_expected(db, order.key))
            before = _account(db)
            decided, account = decide(before)
            _update(db, decided)
            _write_account(db, before, account)
            return decided

    def record(self, order: Order, deadline: Deadline) -> Order:
        with self._writing(deadline.within(RECORD)) as db:
            if _step(db, order.key)[1] != order.sequence - 1:
                raise Overtaken(_expected(db, order.key))
            _update(db, order)
            if teaches(order):
                before = _account(db)
                _write_account(db, before, learned(before, order))
            return order

    def notify(self, notice: Notice, deadline: Deadline) -> bool:
        with self._writing(deadline.within(RECORD)) as db:
            return _post(db, notice)

    def once(self, name: str, deadline: Deadline) -> bool:
        with self._writing(deadline.within(RECORD)) as db:
            return db.execute("INSERT OR IGNORE INTO names VALUES (?)", (name,)).rowcount == 1

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

    def account(self, deadline: Deadline) -> Account:
        with self._reading(deadline) as db:
            return _account(db)

    def change_account(self, change: Callable[[Account], Account], deadline: Deadline) -> Account:
        with self._writing(deadline.within(SWITCH)) as db:
            before = _account(db)
            account = change(before)
            _write_account(db, before, account)
            return account

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
                (json.dumps(document, separators=(",", ":")), notice_id),
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

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous=FULL")
        with self._lock:
            self._connections.append(connection)
        return connection

    @contextlib.contextmanager
    def _reading(self, deadline: Deadline, db: sqlite3.Connection | None = None) -> Iterator[sqlite3.Connection]:
        """A connection that waits for locks no longer than the deadline; what goes wrong is LEDGER_DOWN.

        Nothing is begun once that is over: whoever asked is gone, and an order that is recorded now would ring nobody.
        """
        if deadline.left() <= 0:
            raise NotNow(Reason.LEDGER_DOWN, "the time for the ledger ran out")
        try:
            db = db or self._connection()
            db.execute(f"PRAGMA busy_timeout={int(deadline.cap(SWITCH) * 1000)}")
            yield db
        except sqlite3.Error as error:
            raise NotNow(Reason.LEDGER_DOWN) from error

    @contextlib.contextmanager
    def _writing(self, deadline: Deadline) -> Iterator[sqlite3.Connection]:
        """One transaction that has the write lock from its first statement; any exception takes all of it back."""
        if not self._turn.acquire(timeout=deadline.cap(SWITCH)):
            raise NotNow(Reason.LEDGER_DOWN)
        try:
            with self._reading(deadline, self._writer) as db:
                db.execute("BEGIN IMMEDIATE")
                try:
                    yield db
                    db.execute("COMMIT")
                except BaseException:
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    raise
        finally:
            self._turn.release()


def _stored(db: sqlite3.Connection, key: str) -> Order | None:
    row = db.execute("SELECT document FROM orders WHERE key = ?", (key,)).fetchone()
    return read_order(row[0]) if row else None


def _step(db: sqlite3.Connection, key: str) -> tuple[str, int]:
    """Status and sequence: all that a writer has to know of an order that nobody else has moved."""
    row: tuple[str, int] | None = db.execute("SELECT status, sequence FROM orders WHERE key = ?", (key,)).fetchone()
    return _there(row)


def _expected(db: sqlite3.Connection, key: str) -> Order:
    return _there(_stored(db, key))


def _there(found: _Found | None) -> _Found:
    if found is None:
        raise NotNow(Reason.LEDGER_DOWN, "the ledger has lost the order")
    return found


def _insert(db: sqlite3.Connection, order: Order) -> None:
    values = (order.key, order.status, order.sequence, order.day, order.received_at.isoformat(), None, _json(order))
    db.execute("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)", values)


def _update(db: sqlite3.Connection, order: Order) -> None:
    submitted_at = order.submitted_at.isoformat() if order.submitted_at else None
    db.execute(
        "UPDATE orders SET status = ?, sequence = ?, submitted_at = ?, document = ? WHERE key = ?",
        (order.status, order.sequence, submitted_at, _json(order), order.key),
    )
    if (notice := notice_of(order)) is not None:
        _post(db, notice)


def _json(order: Order) -> str:
    return json.dumps(to_document(order), separators=(",", ":"))


def _account(db: sqlite3.Connection) -> Account:
    row = db.execute("SELECT document FROM account WHERE one = 1").fetchone()
    return Account() if row is None else account_document.from_text(row[0])


def _write_account(db: sqlite3.Connection, before: Account, account: Account) -> None:
    if account == before:
        return
    db.execute("INSERT OR REPLACE INTO account VALUES (1, ?)", (account_document.to_text(account),))
    if (notice := state_notice(before, account)) is not None:
        _post(db, notice)


def _post(db: sqlite3.Connection, notice: Notice) -> bool:
    values = (notice.id, json.dumps(notice.document(), separators=(",", ":")))
    return db.execute("INSERT OR IGNORE INTO outbox (id, document, delivered) VALUES (?, ?, 0)", values).rowcount == 1
