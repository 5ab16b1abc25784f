"""Where the day's token and the key of login links are kept: two local files, or two objects in a Google bucket.

Both stores keep the newer of two logins, whichever is written last. Each object is written wholly or not at all.
"""

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


def _anyone(token: Token) -> bool:  # noqa: ARG001
    return True


class FileTokens:
    """Implements `ports.TokenStore` and `ports.LinkKeys` in files of mode 600, for one machine with several processes.

    `knows` tells the owner's tokens from others; those do not count as a newer login.
    """

    def __init__(self, path: Path, knows: Knows = _anyone, sleep: Sleep = time.sleep) -> None:
        self._path = path
        self._knows = knows
        self._sleep = sleep
        self._key = path.with_name(f"{path.name}{_KEY}")
        self._lock = path.with_name(f"{path.name}.lock")

    def load(self, deadline: Deadline) -> Token | None:  # noqa: ARG002 (a local file is read at once)
        try:
            text = self._read(self._path)
        except OSError as error:
            raise _down(f"{self._path}: {error.strerror}", "read") from None
        return None if text is None else _parsed(text)

    def save(self, token: Token, deadline: Deadline) -> Token:
        token = token.dated()
        with self._writing(deadline):
            newer = _newer(self._read(self._path), token, self._knows)
            if newer is not None:
                return newer
            replace_file(self._path, _written(token))
        return token

    def link_key(self, deadline: Deadline) -> str:
        with self._writing(deadline):
            key = _key_in(self._read(self._key))
            if key is None:
                replace_file(self._key, (key := _new_key()).encode())
        return key

    def new_link_key(self, deadline: Deadline) -> str:
        with self._writing(deadline):
            replace_file(self._key, (key := _new_key()).encode())
        return key

    def _read(self, path: Path) -> bytes | None:
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_mode & 0o077:
                    log.warning("other users could read %s, which is a secret; its mode is 600 now", path)
                    os.fchmod(file.fileno(), 0o600)
                return file.read(_LARGEST)
        except FileNotFoundError:
            return None

    @contextlib.contextmanager
    def _writing(self, deadline: Deadline) -> Iterator[None]:
        """One process at a time. Raises NotNow where the disk refuses."""
        try:
            make_folder(self._path.parent)
            with self._locked(deadline):
                yield
        except OSError as error:
            raise _down(f"{self._path}: {error.strerror}", "written") from None

    @contextlib.contextmanager
    def _locked(self, deadline: Deadline) -> Iterator[None]:
        """The lock has a file of its own, since the token's file is replaced. It ends with its process."""
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


class GcsTokens:
    """Implements `ports.TokenStore` and `ports.LinkKeys` in two objects of a bucket, shared by all instances.

    Make it before serving: its client takes 0.2 s to load. Raises DefaultCredentialsError where there are none.
    `knows` tells the owner's tokens from others; those do not count as a newer login.
    """

    def __init__(self, bucket: str, object_name: str, knows: Knows = _anyone, sleep: Sleep = time.sleep) -> None:
        from app.adapters.gcs import Bucket, GcsFailed

        self._bucket = Bucket(bucket, sleep)
        self._name = object_name
        self._knows = knows
        self._sleep = sleep
        self._place = f"gs://{bucket}/{object_name}"
        self._failed = GcsFailed
        _ = self._bucket.client

    def close(self) -> None:
        self._bucket.close()

    def load(self, deadline: Deadline) -> Token | None:
        """Two tries: the first failure may be that of a kept connection that Google has closed."""
        text = self._tried(lambda: self._bucket.read(self._name, deadline), (0.0,), "read", deadline)[0]
        return None if text is None else _parsed(text)

    def save(self, token: Token, deadline: Deadline) -> Token:
        token = token.dated()
        return self._tried(lambda: self._saved(token, deadline), _pauses(), "written", deadline)

    def link_key(self, deadline: Deadline) -> str:
        return self._tried(lambda: self._known_key(deadline), _pauses(), "written", deadline)

    def new_link_key(self, deadline: Deadline) -> str:
        key = _new_key()
        self._tried(
            lambda: self._write(self._name + _KEY, key.encode(), None, deadline), _pauses(), "written", deadline
        )
        return key

    def _tried(self, step: Callable[[], _Done | None], pauses: Iterable[float], what: str, deadline: Deadline) -> _Done:
        """The step's result. None is no result: another write came first, so the step has to read again."""
        for number in tries(deadline, pauses, self._sleep):
            try:
                if (done := step()) is not None:
                    return done
            except self._failed as failed:
                log.warning("%s could not be %s at try %d: %s", self._place, what, number, failed)
        raise _down(self._place, what)

    def _saved(self, token: Token, deadline: Deadline) -> Token | None:
        """One try: the token that the store holds afterwards."""
        text, generation = self._bucket.read(self._name, deadline)
        newer = _newer(text, token, self._knows)
        if newer is not None:
            return newer
        return token if self._write(self._name, _written(token), generation, deadline) else None

    def _known_key(self, deadline: Deadline) -> str | None:
        text, generation = self._bucket.read(self._name + _KEY, deadline)
        if (key := _key_in(text)) is not None:
            return key
        key = _new_key()
        return key if self._write(self._name + _KEY, key.encode(), generation, deadline) else None

    def _write(self, name: str, text: bytes, generation: int | None, deadline: Deadline) -> bool | None:
        return self._bucket.write(name, text, generation, deadline) or None


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


def _key_in(text: bytes | None) -> str | None:
    """The stored key. None where there is none, or a text that is no key; that text is replaced."""
    return text.decode() if text is not None and _IS_KEY.fullmatch(text) else None


def _new_key() -> str:
    return secrets.token_hex(32)


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
