"""The cache in a bucket of Google Cloud Storage. What became of a write is found out by reading back (`gcs`)."""

import time
from contextlib import suppress

from app.adapters.gcs import Bucket, GcsFailed
from app.adapters.symbols.cache import OVERTAKEN, CacheDown, Pointer
from app.adapters.symbols.row import Refused
from app.domain.deadline import Deadline, Sleep

_BACK_OFF = (0.5, 1.5)  # seconds; GCS takes one write a second to an object


class GcsCache:
    """A pointer object and, beside it, the artifacts it names."""

    def __init__(self, bucket: str, name: str, sleep: Sleep = time.sleep) -> None:
        self.name = name
        self._bucket = Bucket(bucket, sleep)

    def pointer(self, timeout: float) -> bytes | None:
        return self._read(self.name, timeout)[0]

    def artifact(self, name: str, timeout: float) -> bytes:
        content, _ = self._read(name, timeout)
        if content is None:
            raise CacheDown(f"{name} is not there")
        return content

    def publish(self, artifact: bytes, pointer: Pointer, over: bytes | None, timeout: float) -> None:
        stored, generation = self._read(self.name, timeout)
        if stored != over:
            raise Refused(OVERTAKEN)
        self._write(pointer.current.artifact, artifact, 0, timeout)
        self._write(self.name, pointer.encode(), generation, timeout)
        self._drop(over, pointer, timeout)

    def close(self) -> None:
        self._bucket.close()

    def _read(self, name: str, timeout: float) -> tuple[bytes | None, int]:
        try:
            return self._bucket.read(name, Deadline(time.monotonic, timeout))
        except GcsFailed as failed:
            raise CacheDown(f"{name} could not be read: {failed}") from failed

    def _write(self, name: str, content: bytes, generation: int, timeout: float) -> None:
        try:
            stored = self._bucket.write(name, content, generation, Deadline(time.monotonic, timeout), _BACK_OFF)
        except GcsFailed as failed:
            raise CacheDown(f"{name} could not be written: {failed}") from failed
        if not stored:
            raise Refused(OVERTAKEN)

    def _drop(self, over: bytes | None, pointer: Pointer, timeout: float) -> None:
        """Deletes what only the overwritten pointer named. An object that stays costs next to nothing."""
        if over is None:
            return
        with suppress(GcsFailed, CacheDown):
            for name in Pointer.decode(over).artifacts - pointer.artifacts:
                self._bucket.delete(name, Deadline(time.monotonic, timeout))
