"""Where the day's token and the key of login links are kept: two local files, or two objects in a bucket of Google's.

Both keep the newer of two logins whoever writes last, and both are written wholly or not at all.
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from app.adapters.private_files import make_folder
from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.login.ports import TokenUnreadable
from app.login.token import Token, parse

log = logging.getLogger("gateway.tokens")
_KEY = ".links"  # what the key's name has more than the token's
_LARGEST = 65536  # bytes; the object of a real token has about 2,000
_LOCK_PAUSE = 0.01
_CONNECT = 1.0
_TRIES = 5
_IS_KEY = re.compile(rb"[0-9a-f]{64}")
_PAUSE = 0.3  # seconds before the second try, doubled each time: Google allows one write a second per object

Knows = Callable[[Token], bool]
_Done = TypeVar("_Done")


def _anyone(token: Token) -> bool:  # noqa: ARG001
    return True


class FileTokens:
    """Implements `ports.TokenStore` and `ports.LinkKeys` in files of mode 600, for one machine with several processes.

    `knows` tells the owner's tokens from others; those do not count as a newer login.
    """

    def __init__(self, path: Path, knows: Knows = _anyone) -> None:
        self._path = path
        self._knows = knows
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
            self._replace(self._path, _written(token))
        return token

    def link_key(self, deadline: Deadline) -> str:
        with self._writing(deadline):
            key = _key_in(self._read(self._key))
            if key is None:
                self._replace(self._key, (key := _new_key()).encode())
        return key

    def new_link_key(self, deadline: Deadline) -> str:
        with self._writing(deadline):
            self._replace(self._key, (key := _new_key()).encode())
        return key

    def _read(self, path: Path) -> bytes | None:
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_mode & 0o077:
                    log.warning("others could read %s, which is a secret; its mode is 600 now", path)
                    os.fchmod(file.fileno(), 0o600)
                return file.read(_LARGEST)
        except FileNotFoundError:
            return None

    def _replace(self, path: Path, text: bytes) -> None:
        """A reader sees the old object or the new one, after a power cut too."""
        new = path.with_name(f"{path.name}.new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(new).replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def _writing(self, deadline: Deadline) -> Iterator[None]:
        """Alone among all processes. Raises NotNow for whatever the disk refuses."""
        try:
            make_folder(self._path.parent)
            with self._locked(deadline):
                yield
        except OSError as error:
            raise _down(f"{self._path}: {error.strerror}", "written") from None

    @contextlib.contextmanager
    def _locked(self, deadline: Deadline) -> Iterator[None]:
        """The lock has a file of its own, since the token's is replaced; it ends with its process."""
        lock = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if deadline.left() <= _LOCK_PAUSE:
                        raise _down(f"{self._lock}: somebody else holds it", "written") from None
                    time.sleep(_LOCK_PAUSE)
            yield
        finally:
            os.close(lock)


class GcsTokens:
    """Implements `ports.TokenStore` and `ports.LinkKeys` in two objects, shared by all instances.

    Each write is preconditioned on the generation that was read. The client's own retry is off: after a lost reply it
    would report our own write as somebody else's (412). Instead the object is read again and compared.
    STORAGE_EMULATOR_HOST is honoured, without credentials. Make it before serving: the SDK takes 0.2 s to load.
    `knows` tells the owner's tokens from others; those do not count as a newer login.
    """

    def __init__(self, bucket: str, object_name: str, knows: Knows = _anyone) -> None:
        from google.api_core.exceptions import GoogleAPIError, NotFound
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.storage import Client  # type: ignore[import-untyped]
        from google.cloud.storage.exceptions import DataCorruption, InvalidResponse  # type: ignore[import-untyped]
        from urllib3.exceptions import HTTPError

        self._client = Client(project=None)
        self._bucket = self._client.bucket(bucket)
        self._name = object_name
        self._knows = knows
        self._place = f"gs://{bucket}/{object_name}"
        self._missing = NotFound
        # OSError has those of `requests` and of the sockets below it.
        self._failures = (GoogleAPIError, GoogleAuthError, DataCorruption, InvalidResponse, HTTPError, OSError)

    def close(self) -> None:
        self._client.close()

    def load(self, deadline: Deadline) -> Token | None:
        """Read twice at most: the first failure may be that of a kept connection that Google has closed."""
        for _ in range(2):
            try:
                text, _generation = self._read(self._name, deadline)
            except self._failures as error:
                log.warning("reading %s failed: %s", self._place, _brief(error))
                continue
            return None if text is None else _parsed(text)
        raise _down(self._place, "read")

    def save(self, token: Token, deadline: Deadline) -> Token:
        token = token.dated()
        return self._tried(lambda: self._saved(token, deadline), deadline)

    def link_key(self, deadline: Deadline) -> str:
        return self._tried(lambda: self._known_key(deadline), deadline)

    def new_link_key(self, deadline: Deadline) -> str:
        key = _new_key()
        self._tried(lambda: self._write(self._name + _KEY, key.encode(), None, deadline), deadline)
        return key

    def _tried(self, step: Callable[[], _Done], deadline: Deadline) -> _Done:
        """What the step brings. A conflict too may be our own write: each try reads before it writes."""
        for number in range(_TRIES):
            if number:
                time.sleep(deadline.cap(_PAUSE * 2 ** (number - 1) * random.uniform(0.5, 1.5)))  # noqa: S311 (jitter)
            try:
                return step()
            except self._failures as error:
                log.warning("writing %s failed: %s", self._place, _brief(error))
        raise _down(f"{self._place}, {_TRIES} times", "written")

    def _saved(self, token: Token, deadline: Deadline) -> Token:
        """One try: what the store holds then."""
        text, generation = self._read(self._name, deadline)
        if text == _written(token):
            return token
        newer = _newer(text, token, self._knows)
        if newer is not None:
            return newer
        self._write(self._name, _written(token), generation, deadline)
        return token

    def _known_key(self, deadline: Deadline) -> str:
        text, generation = self._read(self._name + _KEY, deadline)
        key = _key_in(text)
        if key is None:
            self._write(self._name + _KEY, (key := _new_key()).encode(), generation, deadline)
        return key

    def _write(self, name: str, text: bytes, generation: int | None, deadline: Deadline) -> None:
        """Over that generation only (0: where there is none); over any where it is None."""
        self._bucket.blob(name).upload_from_string(
            text,
            content_type="application/json",
            if_generation_match=generation,
            timeout=self._time_out(deadline),
            retry=None,
        )

    def _read(self, name: str, deadline: Deadline) -> tuple[bytes | None, int]:
        """The object and its generation; None and 0 where there is none."""
        blob = self._bucket.blob(name)
        try:
            text: bytes = blob.download_as_bytes(timeout=self._time_out(deadline), retry=None)
        except self._missing:
            return None, 0
        return text, int(blob.generation)

    def _time_out(self, deadline: Deadline) -> tuple[float, float]:
        left = deadline.left()
        if left <= 0:
            raise _down(f"{self._place}, in time", "reached")
        return min(_CONNECT, left), left


def _written(token: Token) -> bytes:
    return json.dumps(token.document(), indent=1).encode()


def _parsed(text: bytes) -> Token:
    try:
        return parse(text)
    except ValueError as error:
        log.error("%s; log in again, or repair the token store", error)
        raise TokenUnreadable from None


def _key_in(text: bytes | None) -> str | None:
    """The stored key; None where there is none, or nonsense, which is replaced."""
    return text.decode() if text is not None and _IS_KEY.fullmatch(text) else None


def _new_key() -> str:
    return secrets.token_hex(32)


def _newer(text: bytes | None, token: Token, knows: Knows) -> Token | None:
    """The stored token where it must not be overwritten. Nonsense may be, and a token that is not the owner's."""
    if text is None:
        return None
    try:
        stored = _parsed(text)
    except TokenUnreadable:
        return None
    return stored if token.is_older_than(stored) and knows(stored) else None


def _brief(error: Exception) -> str:
    """What failed, without what was sent or answered."""
    return f"{type(error).__name__} {getattr(error, 'code', '')}".rstrip()


def _down(detail: str, what: str) -> NotNow:
    log.error("the token store cannot be %s: %s", what, detail)
    return NotNow(Reason.NEEDS_LOGIN, f"the token store cannot be {what}; nothing was sent")
