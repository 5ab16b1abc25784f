"""Objects in one bucket of Google Cloud Storage, read and written under a deadline. Importing this loads the client.

A write can be made on the generation that was read. The client's own retry is off: after a lost reply it would report
the gateway's own write as a conflict (412). Instead the object is read after a failed write, and compared.
STORAGE_EMULATOR_HOST is honoured by the client, without credentials.
"""

import io
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property

from google.api_core.exceptions import GoogleAPIError, NotFound
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage import Client  # type: ignore[import-untyped]
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse  # type: ignore[import-untyped]
from urllib3.exceptions import HTTPError

from app.domain.deadline import Deadline, Sleep, tries

# OSError has the failures of `requests` and of the sockets below it.
_FAULTS = (GoogleAPIError, GoogleAuthError, DataCorruption, InvalidResponse, HTTPError, OSError)


class GcsFailed(Exception):
    """The call did not succeed. Its text names the failure, without anything that was sent or answered."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"{type(error).__name__} {getattr(error, 'code', '')}".rstrip())


class Bucket:
    """Calls raise GcsFailed. Missing credentials are such a failure, of the first call."""

    def __init__(self, name: str, sleep: Sleep = time.sleep) -> None:
        self._name = name
        self._sleep = sleep

    @cached_property
    def client(self) -> Client:
        return Client(project=None)

    def read(self, name: str, deadline: Deadline) -> tuple[bytes | None, int]:
        """The object and its generation; None and 0 where there is none."""
        try:
            blob, arriving = self.client.bucket(self._name).blob(name), _Arriving(deadline)
            blob.download_to_file(arriving, timeout=_time_outs(deadline.left()), retry=None)
        except NotFound:
            return None, 0
        except _FAULTS as error:
            raise GcsFailed(error) from error
        return arriving.getvalue(), int(blob.generation)

    def write(self, name: str, content: bytes, over: int, deadline: Deadline, pauses: Iterable[float] = ()) -> bool:
        """Stores the object, if its generation still is `over` (0: there is none). False where another write was first.

        There is one try more than there are pauses (seconds).
        """
        for _ in tries(deadline, pauses, self._sleep):
            try:
                self.client.bucket(self._name).blob(name).upload_from_string(
                    content,
                    content_type="application/octet-stream",
                    if_generation_match=over,
                    timeout=_time_outs(deadline.left() / 2),  # the rest is for reading what became of it
                    retry=None,
                )
            except _FAULTS as error:
                fault = error
            else:
                return True
            with suppress(GcsFailed):
                stored, generation = self.read(name, deadline)
                if stored == content:
                    return True
                if generation != over:
                    return False
        raise GcsFailed(fault) from fault

    def delete(self, name: str, deadline: Deadline) -> None:
        try:
            self.client.bucket(self._name).blob(name).delete(timeout=_time_outs(deadline.left()), retry=None)
        except _FAULTS as error:
            raise GcsFailed(error) from error

    def close(self) -> None:
        if "client" in self.__dict__:
            self.client.close()


class _Arriving(io.BytesIO):
    """Takes a download until the deadline. The client's time-out is one for each read from the socket."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def write(self, chunk: bytes, /) -> int:  # type: ignore[override]  # the client gives nothing but bytes
        if self._deadline.left() < 0:
            raise TimeoutError
        return super().write(chunk)


def _time_outs(left: float) -> tuple[float, float]:
    """To connect, and to wait for each read, in seconds: half of the time stays for another try to connect."""
    if left <= 0:
        raise TimeoutError
    return left / 2, left
