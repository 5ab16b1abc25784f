"""Firestore's client, bounded: every call ends by its deadline, and a failure says what it means.

The library's own retries stay off. They would outlive the deadline, and after a lost reply they report the gateway's
own commit as ALREADY_EXISTS. Each attempt here reads the store again instead.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from google.api_core import exceptions
from google.api_core.retry import Retry
from google.cloud.firestore import Client, CollectionReference, DocumentReference, DocumentSnapshot, Query, WriteBatch
from google.cloud.firestore_v1.services.firestore import FirestoreClient
from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcTransport

from app.adapters.grpc_channel import open_channel
from app.domain.deadline import Deadline, Sleep, full_jitter, tries
from app.domain.errors import NotNow, Reason

log = logging.getLogger("gateway.ledger")
T = TypeVar("T")
Stored = DocumentSnapshot[DocumentReference]

_READ_BACK = 0.1  # seconds that a commit leaves for reading what became of it
_PAUSES = (0.01, 0.1)  # seconds; the bound before the second attempt, and the longest bound
_NEVER = Retry(predicate=lambda _: False)  # for a query's stream, which cannot take None
_REFUSED = (
    exceptions.BadRequest,
    exceptions.Unauthorized,
    exceptions.Forbidden,
    exceptions.NotFound,
    exceptions.MethodNotImplemented,
)


class Again(Exception):
    """A call failed, or its outcome is unknown. `reason` is what it comes to where there is no time to retry."""

    def __init__(self, reason: Reason, why: str) -> None:
        super().__init__(why)
        self.reason = reason


class Store:
    """One database. Calls raise Again where another attempt can help, and NotNow(LEDGER_DOWN) where none can."""

    def __init__(self, project: str, database: str, sleep: Sleep) -> None:
        self._sleep = sleep
        emulator = os.environ.get("FIRESTORE_EMULATOR_HOST")  # read here as Google's own client reads it
        self._channel, credentials = open_channel(FirestoreGrpcTransport, emulator)
        self.client = Client(project=project, database=database, credentials=credentials)
        # The client cannot be given a channel in any public way, and without one its back-off cannot be set.
        api = FirestoreClient(transport=FirestoreGrpcTransport(channel=self._channel))
        self.client._firestore_api_internal = api  # noqa: SLF001 -- see above

    def collection(self, name: str) -> CollectionReference:
        return self.client.collection(name)

    def order(self, key: str) -> DocumentReference:
        return self.collection("orders").document(key)

    def named(self, collection: str, name: str) -> DocumentReference:
        """The document for a name of any length and letters."""
        return self.collection(collection).document(hashlib.sha256(name.encode()).hexdigest())

    def close(self) -> None:
        self._channel.close()

    def read(self, references: Sequence[DocumentReference], deadline: Deadline) -> list[Stored]:
        """The documents in the order asked for, there or not."""
        try:
            found = list(self.client.get_all(list(references), retry=None, timeout=_left(deadline)))
        except exceptions.GoogleAPICallError as error:
            raise _meaning(error) from error
        by_path = {snapshot.reference.path: snapshot for snapshot in found}
        return [by_path[reference.path] for reference in references]

    def find(self, query: Query, deadline: Deadline) -> list[Stored]:
        try:
            return list(query.stream(retry=_NEVER, timeout=_left(deadline)))
        except exceptions.GoogleAPICallError as error:
            raise _meaning(error) from error

    def commit(self, batch: WriteBatch, deadline: Deadline) -> list[datetime]:
        """All of the batch or nothing; the new version (update time) of each document, in the order of the writes.

        After Again it may have been applied all the same: read the store before another attempt.
        """
        left = _left(deadline)
        try:
            written = batch.commit(retry=None, timeout=max(left - _READ_BACK, left / 2))
        except (exceptions.Conflict, exceptions.FailedPrecondition) as error:
            raise Again(Reason.LEDGER_CONTENDED, str(error)) from error
        except exceptions.GoogleAPICallError as error:
            raise _meaning(error) from error
        return [result.update_time for result in written]

    def retried(self, attempt: Callable[[], T], deadline: Deadline) -> T:
        """The result of the first attempt that succeeds; retries with full jitter until the deadline is near.

        The first failure is the one reported: the last may say no more than that the time ran out.
        """
        failures: list[Again] = []
        for _ in tries(deadline, full_jitter(*_PAUSES), self._sleep):
            try:
                return attempt()
            except Again as failure:
                failures.append(failure)
        log.warning("the ledger gave up: %s", failures[0], extra={"attempts": len(failures)})
        raise NotNow(failures[0].reason) from failures[-1]


def _left(deadline: Deadline) -> float:
    """Seconds for the next call, the time to connect and to resolve names included."""
    if (left := deadline.left()) <= 0:
        raise Again(Reason.LEDGER_DOWN, "the time ran out")
    return left


def _meaning(error: exceptions.GoogleAPICallError) -> Exception:
    if isinstance(error, _REFUSED):
        log.error("the ledger refused a call: %s", error)
        return NotNow(Reason.LEDGER_DOWN)
    return Again(Reason.LEDGER_DOWN, str(error))
