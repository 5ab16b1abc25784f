"""The cache in a bucket of Google Cloud Storage. Google's client honours STORAGE_EMULATOR_HOST.

Every write has a generation precondition. The client's own retries are off: they would report the success of the first
try as a conflict (412). After a failed write the object is read back to see whether the write arrived.
"""

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from google.api_core.exceptions import GoogleAPIError, NotFound, PreconditionFailed
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage import Blob, Client  # type: ignore[import-untyped]
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse  # type: ignore[import-untyped]

from app.adapters.symbols.cache import OVERTAKEN, CacheDown, Pointer
from app.adapters.symbols.refused import Refused

_BACK_OFF = (0.5, 1.5)  # seconds; GCS takes one write a second to an object
_FAULTS = (GoogleAPIError, GoogleAuthError, DataCorruption, InvalidResponse, OSError)


class _Arriving(io.BytesIO):
    """Takes a download until the time is over: the client's own time-out is for each read alone."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._ends = time.monotonic() + seconds

    def write(self, chunk: bytes, /) -> int:  # type: ignore[override]  # the client gives nothing but bytes
        if time.monotonic() > self._ends:
            raise TimeoutError
        return super().write(chunk)


class GcsCache:
    """A pointer object and, beside it, the artifacts it names."""

    def __init__(self, bucket: str, name: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._name = name
        self._bucket_name = bucket
        self._client: Client | None = None
        self._sleep = sleep

    @property
    def name(self) -> str:
        return self._name

    def pointer(self, timeout: float) -> bytes | None:
        return self._read(self.name, timeout)

    def artifact(self, name: str, timeout: float) -> bytes:
        content = self._read(name, timeout)
        if content is None:
            raise CacheDown(f"{name} is not there")
        return content

    def publish(self, artifact: bytes, pointer: Pointer, over: bytes | None, timeout: float) -> None:
        generation = self._generation(timeout)
        if self._read(self.name, timeout, generation or None) != over:
            raise Refused(OVERTAKEN)
        self._write(pointer.current.artifact, artifact, 0, timeout)
        self._write(self.name, pointer.encode(), generation, timeout)
        self._drop(over, pointer, timeout)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _blob(self, name: str, generation: int | None = None) -> Blob:
        """The object by name. The client is created at the first use: then missing credentials are a fault like any."""
        if self._client is None:
            self._client = Client()
        return self._client.bucket(self._bucket_name).blob(name, generation=generation)

    def _generation(self, timeout: float) -> int:
        """The pointer's generation; 0 where there is none, which a write reads as "must not exist"."""
        with _as_cache_down(self.name):
            blob = self._blob(self.name)
            try:
                blob.reload(timeout=timeout, retry=None)
            except NotFound:
                return 0
            return int(blob.generation)

    def _read(self, name: str, timeout: float, generation: int | None = None) -> bytes | None:
        with _as_cache_down(name):
            try:
                arriving = _Arriving(timeout)
                self._blob(name, generation).download_to_file(arriving, timeout=timeout, retry=None)
            except NotFound:
                return None
            return arriving.getvalue()

    def _write(self, name: str, content: bytes, generation: int, timeout: float) -> None:
        """Writes in up to three tries. After a failed one the object shows whether the write arrived."""
        for pause in (*_BACK_OFF, None):
            try:
                self._blob(name).upload_from_string(
                    content, if_generation_match=generation, timeout=timeout, retry=None
                )
                return
            except _FAULTS as error:
                fault = error
            with suppress(CacheDown):
                if self._read(name, timeout) == content:
                    return
            if isinstance(fault, PreconditionFailed):
                raise Refused(OVERTAKEN)
            if pause is not None:
                self._sleep(pause)
        raise CacheDown(f"{name} could not be written: {type(fault).__name__}")

    def _drop(self, over: bytes | None, pointer: Pointer, timeout: float) -> None:
        """Deletes what only the overwritten pointer named. An object that stays costs next to nothing."""
        if over is None:
            return
        with suppress(*_FAULTS, CacheDown):
            for name in Pointer.decode(over).artifacts - pointer.artifacts:
                self._blob(name).delete(timeout=timeout, retry=None)


@contextmanager
def _as_cache_down(name: str) -> Iterator[None]:
    try:
        yield
    except _FAULTS as error:
        raise CacheDown(f"{name} could not be read: {type(error).__name__}") from error
