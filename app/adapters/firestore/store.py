"""Firestore's client with its open ends closed: every call ends by its deadline, and a failure says what it means.

The library's own retries stay off. They outlive every deadline of ours, and where the first reply was lost they report
our own commit as ALREADY_EXISTS; an attempt of ours looks at the store again instead.
"""

import hashlib
import logging
import os
import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import count
from typing import TypeVar

import google.auth
import grpc
from google.api_core import exceptions
from google.api_core.retry import Retry
from google.cloud.firestore import (
    Client,
    CollectionReference,
    DocumentReference,
    DocumentSnapshot,
    Query,
    WriteBatch,
)
from google.cloud.firestore_v1.services.firestore import FirestoreClient
from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcTransport

from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason

log = logging.getLogger("gateway.ledger")
T = TypeVar("T")
Stored = DocumentSnapshot[DocumentReference]

_CHANNEL = [
    # By default gRPC waits up to 120 s before it connects again: measured 31 s of refusals after an outage of 45 s.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # in truth how long one attempt to connect may take; by default 20 s
    ("grpc.keepalive_time_ms", 30_000),  # what Google's own client sets
    ("grpc.keepalive_timeout_ms", 5_000),  # a connection that has died in silence is given up after it; by default 20 s
]
_READ_BACK = 0.1  # seconds that a commit leaves for looking what became of it
_PAUSES = (0.01, 0.1)  # seconds; before the second attempt at most the first, doubled each time up to the second
_NEVER = Retry(predicate=lambda _: False)  # a query's stream asks it after a failure, so None will not do there
_REFUSED = (
    exceptions.BadRequest,
    exceptions.Unauthorized,
    exceptions.Forbidden,
    exceptions.NotFound,
    exceptions.MethodNotImplemented,
)


class Again(Exception):
    """A call did not go through, or nobody knows; `reason` is what it comes to without time for another attempt."""

    def __init__(self, reason: Reason, why: str) -> None:
        super().__init__(why)
        self.reason = reason


class Store:
    """One database. Calls raise Again where another attempt can help, and NotNow(LEDGER_DOWN) where none can."""

    def __init__(self, project: str, database: str) -> None:
        emulator = os.environ.get("FIRESTORE_EMULATOR_HOST")  # read here as Google's own client reads it
        if emulator:
            self._channel = grpc.insecure_channel(emulator, options=_CHANNEL)
            self.client = Client(project=project, database=database)
        else:
            credentials, _ = google.auth.default(scopes=Client.SCOPE)
            self._channel = FirestoreGrpcTransport.create_channel(credentials=credentials, options=_CHANNEL)
            self.client = Client(project=project, database=database, credentials=credentials)
        # The client has no public way to be given a channel; without one the back-off above cannot be set.
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

        After Again it may have been applied all the same: look before another try.
        """
        left = _left(deadline)
        try:
            written = batch.commit(retry=None, timeout=max(left - _READ_BACK, left / 2))
        except (exceptions.Conflict, exceptions.FailedPrecondition) as error:
            raise Again(Reason.LEDGER_CONTENDED, str(error)) from error
        except exceptions.GoogleAPICallError as error:
            raise _meaning(error) from error
        return [result.update_time for result in written]


def retried(attempt: Callable[[], T], deadline: Deadline) -> T:
    """The result of the first attempt that succeeds; retries with full jitter until the deadline is near.

    The first failure is the one reported: the last may say no more than that the time ran out.
    """
    shortest, longest = _PAUSES
    first: Again | None = None
    for number in count():
        try:
            return attempt()
        except Again as failure:
            first = first or failure
            pause = random.uniform(0, min(longest, shortest * 2**number))  # noqa: S311 (jitter)
            if deadline.left() <= pause:
                log.warning("the ledger gave up: %s", first, extra={"attempts": number + 1})
                raise NotNow(first.reason) from failure
        time.sleep(pause)
    raise AssertionError("unreachable")


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
