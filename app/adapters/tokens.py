"""Where the day's token and the key of login links are kept: two local files, or two objects in a Google bucket.

Both stores keep the newer of two logins, whichever is written last. Each object is written wholly or not at all.
"""

import abc
import contextlib
import fcntl
import json
import logging
import os
import random
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from pathlib import Path
from typing import TypeVar

from app.adapters.private_files import make_folder, replace_file
from app.domain.deadline import Deadline, Sleep, tries
from app.domain.errors import NotNow, Reason
from app.login.ports import TokenUnreadable
from app.login.token import Token, parse

log = logging.getLogger("gateway.tokens")
_KEY = ".links"  # added to the token's name, it gives the key's
_LARGEST = 65536  # bytes; the object of a real token has about 2,000
_LOCK_PAUSE = 0.01  # seconds
_IS_KEY = re.compile(rb"[0-9a-f]{64}")
_PAUSES = (0.3, 0.6, 1.2, 2.4)  # seconds

Knows = Callable[[Token], bool]
_Done = TypeVar("_Done")
# Of a stored text: the result, and the text that replaces it, or None where it stays.
_Step = Callable[[bytes | None], tuple[_Done, bytes | None]]


def _anyone(token: Token) -> bool:  # noqa: ARG001
    return True


class _Tokens(abc.ABC):
    """Implements `ports.TokenStore` and `ports.LinkKeys` over two objects: the token, and the key beside it.

    `knows` tells the owner's tokens from others; those do not count as a newer login.
    """

    def __init__(self, name: str, knows: Knows, sleep: Sleep) -> None:
        self._name = name
        self._knows = knows
        self._sleep = sleep

    def load(self, deadline: Deadline) -> Token | None:
        text = self._read(self._name, deadline)
        return None if text is None else _parsed(text)

    def save(self, token: Token, deadline: Deadline) -> Token:
        token = token.dated()

        def newest(stored: bytes | None) -> tuple[Token, bytes | None]:
            newer = _newer(stored, token, self._knows)
            return (token, _written(token)) if newer is None else (newer, None)

        return self._change(self._name, newest, deadline)

    def link_key(self, deadline: Deadline) -> str:
        return self._change(self._name + _KEY, _known_key, deadline)

    def new_link_key(self, deadline: Deadline) -> str:
        return self._change(self._name + _KEY, lambda _: _new_key(), deadline)

    @abc.abstractmethod
    def _read(self, name: str, deadline: Deadline) -> bytes | None:
        """The object's text, or None."""

    @abc.abstractmethod
    def _change(self, name: str, step: _Step[_Done], deadline: Deadline) -> _Done:
        """Carries the step out while the object is as the step found it."""


class FileTokens(_Tokens):
    """In files of mode 600, for one machine with several processes."""

    def __init__(self, path: Path, knows: Knows = _anyone, sleep: Sleep = time.sleep) -> None:
        super().__init__(path.name, knows, sleep)
        self._path = path
        self._lock = path.with_name(f"{path.name}.lock")

    def _read(self, name: str, deadline: Deadline) -> bytes | None:  # noqa: ARG002 (a local file is read at once)
        try:
            with self._path.with_name(name).open("rb") as file:
                if os.fstat(file.fileno()).st_mode & 0o077:
                    log.warning("other users could read %s, which is a secret; its mode is 600 now", file.name)
                    os.fchmod(file.fileno(), 0o600)
                return file.read(_LARGEST)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _down(f"{self._path}: {error.strerror}", "read") from None

    def _change(self, name: str, step: _Step[_Done], deadline: Deadline) -> _Done:
        try:
            make_folder(self._path.parent)
            with self._locked(deadline):
                done, text = step(self._read(name, deadline))
                if text is not None:
                    replace_file(self._path.with_name(name), text)
                return done
        except OSError as error:
            raise _down(f"{self._path}: {error.strerror}", "written") from None

    @contextlib.contextmanager
    def _locked(self, deadline: Deadline) -> Iterator[None]:
        """One process at a time. The lock ends with its process; its file is its own, since the token's is replaced."""
        lock = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            for _ in tries(deadline, repeat(_LOCK_PAUSE), self._sleep):
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
            else:
                raise _down(f"{self._lock}: another process holds it", "written")
            yield
        finally:
            os.close(lock)


class GcsTokens(_Tokens):
    """In a bucket, shared by all instances.

    Make it before serving: its client takes 0.2 s to load. Raises DefaultCredentialsError where there are none.
    """

    def __init__(self, bucket: str, object_name: str, knows: Knows = _anyone, sleep: Sleep = time.sleep) -> None:
        from app.adapters.gcs import Bucket, GcsFailed

        super().__init__(object_name, knows, sleep)
        self._bucket = Bucket(bucket, sleep)
        self._place = f"gs://{bucket}/{object_name}"
        self._failed = GcsFailed
        _ = self._bucket.client

    def close(self) -> None:
        self._bucket.close()

    def _read(self, name: str, deadline: Deadline) -> bytes | None:
        """Two tries: the first failure may be that of a kept connection that Google has closed."""
        return self._tried(lambda: self._bucket.read(name, deadline), (0.0,), "read", deadline)[0]

    def _change(self, name: str, step: _Step[_Done], deadline: Deadline) -> _Done:
        def attempt() -> _Done | None:
            stored, generation = self._bucket.read(name, deadline)
            done, text = step(stored)
            stays = text is None or self._bucket.write(name, text, generation, deadline)
            return done if stays else None

        return self._tried(attempt, _pauses(), "written", deadline)

    def _tried(
        self, attempt: Callable[[], _Done | None], pauses: Iterable[float], what: str, deadline: Deadline
    ) -> _Done:
        """The attempt's result. None is no result: another write came first, so the attempt has to read again."""
        for number in tries(deadline, pauses, self._sleep):
            try:
                if (done := attempt()) is not None:
                    return done
            except self._failed as failed:
                log.warning("%s could not be %s at try %d: %s", self._place, what, number, failed)
        raise _down(self._place, what)


def _pauses() -> Iterator[float]:
    """Google allows one write a second to an object."""
    return (pause * random.uniform(0.5, 1.5) for pause in _PAUSES)  # noqa: S311 (jitter)


def _written(token: Token) -> bytes:
    return json.dumps(token.document(), indent=1).encode()


def _parsed(text: bytes) -> Token:
    try:
        return parse(text)
    except ValueError as error:
        log.error("%s; log in again, or repair the token store", error)
        raise TokenUnreadable from None


def _known_key(stored: bytes | None) -> tuple[str, bytes | None]:
    """The stored key, or a new one. A text that is no key is replaced."""
    return (stored.decode(), None) if stored is not None and _IS_KEY.fullmatch(stored) else _new_key()


def _new_key() -> tuple[str, bytes]:
    key = secrets.token_hex(32)
    return key, key.encode()


def _newer(text: bytes | None, token: Token, knows: Knows) -> Token | None:
    """The stored token, if it must stay. A text that is no token may be overwritten, and so may another account's."""
    if text is None:
        return None
    try:
        stored = _parsed(text)
    except TokenUnreadable:
        return None
    return stored if token.is_older_than(stored) and knows(stored) else None


def _down(detail: str, what: str) -> NotNow:
    log.error("the token store cannot be %s: %s", what, detail)
    return NotNow(Reason.NEEDS_LOGIN, f"the token store cannot be {what}; nothing was sent")
