"""The ledger in one SQLite file: for one machine, with several processes and threads.

Every write is one transaction that has the write lock from its first statement, and no crash of a process takes one
back. What has to outlive the machine's own crash as well is on the disk before the call returns (synchronous=FULL):
above all `submit`, before the order leaves. Two steps do not wait for the disk, because nothing is lost with them: a
claim, whose order has not left yet, and an acceptance, which the broker's order book shows again.

On Cloud Run the disk is the instance's own memory: `bootstrap` refuses this ledger there.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from app.adapters.controls_document import ControlsText
from app.adapters.sqlite.file import IS_OPEN, LedgerFile
from app.adapters.stored_text import also_taken, read_notice, read_order, readable, to_text, write_order
from app.domain.deadline import CLAIM, RECORD, SUBMIT, SWITCH, Deadline, Sleep
from app.domain.errors import NotNow, Reason
from app.domain.notice import Notice, notice_of, state_notice
from app.domain.order import Order
from app.domain.order.status import OrderStatus
from app.domain.risk.controls import Controls, Decide, learned, teaches
from app.flow.ports import Overtaken, Window

_LATEST = 500
_INSERT = "INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)"
_UPDATE = "UPDATE orders SET status = ?, sequence = ?, submitted_at = ?, document = ? WHERE key = ? AND sequence = ?"
_BEFORE_SUBMIT = "SELECT status, sequence, (SELECT document FROM account WHERE one = 1) FROM orders WHERE key = ?"
_WRITE_CONTROLS = "INSERT INTO account VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET document = excluded.document"
_TO_THE_END = "UPDATE outbox SET number = (SELECT MAX(number) + 1 FROM outbox), document = ? WHERE id = ?"
_AN_ALERT = 48 * 1024  # bytes; claim, submit and record together append 37 to 49 KB to the log of changes
_TRIED_OUT = "try out:" + "." * _AN_ALERT


class SqliteLedger(LedgerFile):
    """Implements `ports.Ledger`. What it raises when it is made, `LedgerFile` says."""

    def __init__(self, path: Path, sleep: Sleep = time.sleep) -> None:
        super().__init__(path, sleep)
        self._texts = ControlsText()

    def claim(self, order: Order, window: Window | None, deadline: Deadline) -> Order:
        deadline = deadline.within(CLAIM)
        if window is None and self._quickly(_INSERT, _row(order), deadline):
            return order
        with self.writing(deadline) as db:
            if window is None:
                return _expected(db, order.key)
            if (known := self._windowed(db, window, order.received_at)) is not None:
                return known
            db.execute(_INSERT, _row(order))
            opened = (window.digest, order.key, order.received_at.isoformat())
            db.execute("INSERT OR REPLACE INTO windows VALUES (?, ?, ?)", opened)
            return order

    def submit(self, order: Order, decide: Decide, deadline: Deadline) -> Order:
        with self.writing(deadline.within(SUBMIT)) as db:
            stored = db.execute(_BEFORE_SUBMIT, (order.key,)).fetchone()
            if stored is None or stored[:2] != (OrderStatus.RECEIVED, order.sequence):
                raise Overtaken(_expected(db, order.key))
            before = self._controls_in(stored[2])
            decided, controls = decide(before)
            _update(db, decided)
            self._write_controls(db, before, controls)
            return decided

    def record(self, order: Order, deadline: Deadline) -> Order:
        deadline = deadline.within(RECORD)
        alone = order.status is OrderStatus.ACCEPTED and notice_of(order) is None and not teaches(order)
        if alone and self._quickly(_UPDATE, _changed(order), deadline):
            return order
        with self.writing(deadline) as db:
            _update(db, order)
            if teaches(order):
                before = self._stored_controls(db)
                self._write_controls(db, before, learned(before, order))
            return order

    def notify(self, notice: Notice, deadline: Deadline) -> bool:
        with self.writing(deadline.within(RECORD)) as db:
            return _post(db, notice)

    def once(self, name: str, deadline: Deadline) -> bool:
        with self.writing(deadline.within(RECORD)) as db:
            return db.execute("INSERT OR IGNORE INTO names VALUES (?)", (name,)).rowcount == 1

    def try_out(self, deadline: Deadline, whole: bool = False) -> None:
        """Two commits. One that is rolled back writes nothing to the disk, and so would not find a full one."""
        with self.writing(deadline.within(RECORD)) as db:
            db.execute("INSERT OR REPLACE INTO names VALUES (?)", (_TRIED_OUT,))
        with self.writing(deadline.within(RECORD)) as db:
            db.execute("DELETE FROM names WHERE name = ?", (_TRIED_OUT,))
        if whole:
            self.look_through(deadline)

    def get(self, key: str, deadline: Deadline) -> Order | None:
        with self.reading(deadline) as db:
            return _stored(db, key)

    def orders(self, deadline: Deadline, day: str | None = None, in_flight: bool = False) -> list[Order]:
        where, values = ["1"], []
        if day is not None:
            where.append("day = ?")
            values.append(day)
        if in_flight:
            where.append(f"status IN {IS_OPEN}")
        most = _LATEST if day is None and not in_flight else -1  # reconcile needs all that is in flight
        query = f"SELECT document FROM orders WHERE {' AND '.join(where)} ORDER BY received_at DESC LIMIT {most}"  # noqa: S608 -- fixed words only
        with self.reading(deadline) as db:
            return readable((row[0] for row in db.execute(query, values)), read_order)

    def unresolved(self, before: datetime, deadline: Deadline) -> int:
        with self.reading(deadline) as db:
            # The second condition adds nothing. Without it SQLite would not see that the index has all these rows.
            query = f"SELECT submitted_at FROM orders WHERE status = 'SUBMITTED' AND status IN {IS_OPEN}"  # noqa: S608 -- fixed words only
            return sum(datetime.fromisoformat(row[0]) < before for row in db.execute(query))

    def controls(self, deadline: Deadline) -> Controls:
        with self.reading(deadline) as db:
            return self._stored_controls(db)

    def change_controls(self, change: Callable[[Controls], Controls], deadline: Deadline) -> Controls:
        with self.writing(deadline.within(SWITCH)) as db:
            before = self._stored_controls(db)
            controls = change(before)
            self._write_controls(db, before, controls)
            return controls

    def outbox(self, deadline: Deadline) -> list[Notice]:
        with self.reading(deadline) as db:
            rows = db.execute("SELECT document FROM outbox WHERE delivered = 0 ORDER BY number LIMIT 100")
            return readable((row[0] for row in rows), read_notice)

    def taken(self, notice_id: str, by: Sequence[str], deadline: Deadline) -> None:
        with self.writing(deadline.within(RECORD)) as db:
            row = db.execute("SELECT document FROM outbox WHERE id = ? AND delivered = 0", (notice_id,)).fetchone()
            if row is None:
                return
            db.execute(_TO_THE_END, (also_taken(row[0], by), notice_id))

    def delivered(self, notice_id: str, deadline: Deadline) -> None:
        with self.writing(deadline.within(RECORD)) as db:
            db.execute("UPDATE outbox SET delivered = 1 WHERE id = ?", (notice_id,))

    def _windowed(self, db: sqlite3.Connection, window: Window, now: datetime) -> Order | None:
        """The order that holds the window, while the window is open."""
        row = db.execute("SELECT key, opened_at FROM windows WHERE digest = ?", (window.digest,)).fetchone()
        if row is None or now - datetime.fromisoformat(row[1]) >= timedelta(seconds=window.seconds):
            return None
        return _stored(db, row[0])

    def _stored_controls(self, db: sqlite3.Connection) -> Controls:
        row = db.execute("SELECT document FROM account WHERE one = 1").fetchone()
        return self._controls_in(row and row[0])

    def _controls_in(self, text: str | None) -> Controls:
        """The stored controls; new ones where none were stored yet."""
        return Controls() if text is None else self._texts.read(text)

    def _write_controls(self, db: sqlite3.Connection, before: Controls, controls: Controls) -> None:
        if controls == before:
            return
        db.execute(_WRITE_CONTROLS, (self._texts.write(controls),))
        if (notice := state_notice(before, controls)) is not None:
            _post(db, notice)


def _stored(db: sqlite3.Connection, key: str) -> Order | None:
    row = db.execute("SELECT document FROM orders WHERE key = ?", (key,)).fetchone()
    return read_order(row[0]) if row else None


def _expected(db: sqlite3.Connection, key: str) -> Order:
    if (order := _stored(db, key)) is None:
        raise NotNow(Reason.LEDGER_DOWN, "the ledger has lost the order")
    return order


def _row(order: Order) -> tuple[object, ...]:
    return (order.key, order.status, order.sequence, order.day, order.received_at.isoformat(), None, write_order(order))


def _changed(order: Order) -> tuple[object, ...]:
    """The values of `_UPDATE`, which changes nothing unless the stored order is one step behind this one."""
    submitted_at = order.submitted_at.isoformat() if order.submitted_at else None
    return (order.status, order.sequence, submitted_at, write_order(order), order.key, order.sequence - 1)


def _update(db: sqlite3.Connection, order: Order) -> None:
    if db.execute(_UPDATE, _changed(order)).rowcount != 1:
        raise Overtaken(_expected(db, order.key))
    if (notice := notice_of(order)) is not None:
        _post(db, notice)


def _post(db: sqlite3.Connection, notice: Notice) -> bool:
    values = (notice.id, to_text(notice.document()))
    return db.execute("INSERT OR IGNORE INTO outbox (id, document, delivered) VALUES (?, ?, 0)", values).rowcount == 1
