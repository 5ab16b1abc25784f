"""Where the accepted master is stored: a local path or `gs://bucket/object`.

The path or object is a small pointer that names the current artifact and the one before. Artifacts lie beside it under
names made from their digests. They are never overwritten, so a reader of a pointer can read what it names.
"""

import fcntl
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Protocol

from app.adapters.private_files import make_file, replace_file
from app.adapters.symbols.artifact import digest_of
from app.adapters.symbols.row import Refused
from app.domain.calendar import utc_iso

OVERTAKEN = "another refresh stored its master in the meantime"


class CacheDown(Exception):
    """The cache does not answer, or its contents are damaged."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One accepted master. `as_of` is the trading day it was accepted for; `sources` counts each file's options."""

    artifact: str
    digest: str
    as_of: date
    accepted_at: datetime
    sources: Mapping[str, int] = field(default_factory=dict)

    def document(self) -> dict[str, object]:
        return {
            "artifact": self.artifact,
            "digest": self.digest,
            "as_of": self.as_of.isoformat(),
            "accepted_at": utc_iso(self.accepted_at),
            "sources": dict(self.sources),
        }

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Entry":
        return cls(
            artifact=document["artifact"],
            digest=document["digest"],
            as_of=date.fromisoformat(document["as_of"]),
            accepted_at=datetime.fromisoformat(document["accepted_at"]),
            sources=document["sources"],
        )


@dataclass(frozen=True, slots=True)
class Pointer:
    """What the cache points to: the current master and, in case its artifact is damaged, the one before."""

    current: Entry
    before: Entry | None = None

    def encode(self) -> bytes:
        before = self.before.document() if self.before else None
        return json.dumps({"current": self.current.document(), "before": before}, indent=1).encode()

    @classmethod
    def decode(cls, text: bytes) -> "Pointer":
        """Raises CacheDown for a text that is no pointer."""
        try:
            document = json.loads(text)
            before = document["before"]
            return cls(Entry.of(document["current"]), Entry.of(before) if before else None)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CacheDown("the pointer is damaged; refresh the symbols") from error

    @property
    def artifacts(self) -> set[str]:
        return {entry.artifact for entry in (self.current, self.before) if entry}

    def followed_by(self, entry: Entry) -> "Pointer":
        """The pointer once the entry is accepted. An artifact that is accepted again stays one entry."""
        return Pointer(entry, self.before if entry.digest == self.current.digest else self.current)


class Cache(Protocol):
    """Time-outs are in seconds, for each step of a call. A call raises CacheDown where the store does not answer."""

    @property
    def name(self) -> str:
        """The pointer's own name, with which the names of artifacts begin."""

    def pointer(self, timeout: float) -> bytes | None:
        """The present pointer; None where nothing is stored yet. One cheap read."""

    def artifact(self, name: str, timeout: float) -> bytes: ...

    def publish(self, artifact: bytes, pointer: Pointer, over: bytes | None, timeout: float) -> None:
        """Stores the artifact, then swaps the pointer if it still is `over`. Raises Refused where it is not."""

    def close(self) -> None:
        """Closes connections."""


def artifact_name(pointer_name: str, digest: str) -> str:
    return f"{pointer_name}-{digest[:20]}"


def verified(cache: Cache, entry: Entry, timeout: float) -> bytes:
    """The entry's artifact. Raises CacheDown where it is missing or differs from its digest."""
    artifact = cache.artifact(entry.artifact, timeout)
    if digest_of(artifact) != entry.digest:
        raise CacheDown(f"{entry.artifact} is damaged")
    return artifact


class LocalCache:
    """Files in one directory. A rename makes the swap atomic; the last two artifacts stay."""

    def __init__(self, path: Path) -> None:
        self._path = path / "symbols" if path.is_dir() else path

    @property
    def name(self) -> str:
        return self._path.name

    def pointer(self, timeout: float) -> bytes | None:  # noqa: ARG002
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CacheDown(f"{self._path.name} could not be read: {error.strerror}") from error

    def artifact(self, name: str, timeout: float) -> bytes:  # noqa: ARG002
        try:
            return self._path.with_name(Path(name).name).read_bytes()
        except OSError as error:
            raise CacheDown(f"{name} could not be read: {error.strerror}") from error

    def publish(self, artifact: bytes, pointer: Pointer, over: bytes | None, timeout: float) -> None:
        try:
            lock_path = self._path.with_name(f".{self._path.name}.lock")
            make_file(lock_path)
            with lock_path.open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # held for two small writes; freed with the file or the process
                if self.pointer(timeout) != over:
                    raise Refused(OVERTAKEN)
                replace_file(self._path.with_name(pointer.current.artifact), artifact)
                replace_file(self._path, pointer.encode())
                self._drop_others(pointer)
        except OSError as error:
            raise CacheDown(f"{self._path.name} could not be written: {error.strerror}") from error

    def close(self) -> None:
        """Does nothing: nothing is held open."""

    def _drop_others(self, pointer: Pointer) -> None:
        for path in self._path.parent.glob(f"{self._path.name}-" + "[0-9a-f]" * 20):
            if path.name not in pointer.artifacts:
                path.unlink(missing_ok=True)
