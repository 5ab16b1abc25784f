"""Where the day's token is kept: a local file, or one object in a Google Cloud Storage bucket.

Both keep the newer of two logins whoever writes last, and both are written wholly or not at all.
"""

import contextlib
import fcntl
import json
import logging
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

from app.deadline import Deadline
from app.errors import NotNow, Reason
from app.ports import TokenUnreadable
from app.token import Token, parse

log = logging.getLogger("gateway.tokens")
_LARGEST = 65536  # bytes; the object of a real token has about 2,000
_LOCK_PAUSE = 0.01
_CONNECT = 1.0
_TRIES = 5
_PAUSE = 0.3  # seconds before the second try, doubled each time: Google allows one write a second per object


class FileTokens:
    """Implements `ports.TokenStore` in one file of mode 600, for one machine with several processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = path.with_name(f"{path.name}.lock")
        self._new = path.with_name(f"{path.name}.new")

    def load(self, deadline: Deadline) -> Token | None:  # noqa: ARG002 (a local file is read at once)
        try:
            text = self._read()
        except OSError as error:
            raise _down(f"{self._path}: {error.strerror}", "read") from None
        return None if text is None else _parsed(text)

    def save(self, token: Token, deadline: Deadline) -> Token:
        token = token.dated()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._locked(deadline):
                text = self._read()
                newer = _newer(text, token)
                if newer is not None:
                    return newer
                self._replace(_written(token))
        except OSError as error:
            raise _down(f"{self._path}: {error.strerror}", "written") from None
        return token

    def _read(self) -> bytes | None:
        try:
            with self._path.open("rb") as file:
                if os.fstat(file.fileno()).st_mode & 0o077:
                    log.warning("others could read %s, which holds the Fyers token; its mode is 600 now", self._path)
                    os.fchmod(file.fileno(), 0o600)
                return file.read(_LARGEST)
        except FileNotFoundError:
            return None

    def _replace(self, text: bytes) -> None:
        """A reader sees the old object or the new one, after a power cut too."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(self._new, flags, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(self._new, self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

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
    """Implements `ports.TokenStore` in one object, shared by all instances.

    Each write is preconditioned on the generation that was read. The client's own retry is off: after a lost reply it
    would report our own write as somebody else's (412). Instead the object is read again and compared.
    STORAGE_EMULATOR_HOST is honoured, without credentials. Make it before serving: the SDK takes 0.2 s to load.
    """

    def __init__(self, bucket: str, object_name: str) -> None:
        from google.api_core.exceptions import GoogleAPIError, NotFound
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.storage import Client  # type: ignore[import-untyped]
        from google.cloud.storage.exceptions import DataCorruption, InvalidResponse  # type: ignore[import-untyped]
        from urllib3.exceptions import HTTPError

        self._client = Client(project=None)
        self._bucket = self._client.bucket(bucket)
        self._name = object_name
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
                text, _generation = self._read(deadline)
            except self._failures as error:
                log.warning("reading %s failed: %s", self._place, _brief(error))
                continue
            return None if text is None else _parsed(text)
        raise _down(self._place, "read")

    def save(self, token: Token, deadline: Deadline) -> Token:
        token = token.dated()
        for number in range(_TRIES):
            if number:
                time.sleep(deadline.cap(_PAUSE * 2 ** (number - 1) * random.uniform(0.5, 1.5)))  # noqa: S311 (jitter)
            try:
                return self._saved(token, deadline)
            except self._failures as error:  # a conflict too may be our own write: that is read before another try
                log.warning("writing %s failed: %s", self._place, _brief(error))
        raise _down(f"{self._place}, {_TRIES} times", "written")

    def _saved(self, token: Token, deadline: Deadline) -> Token:
        """One try: what the store holds then."""
        text, generation = self._read(deadline)
        if text == _written(token):
            return token
        newer = _newer(text, token)
        if newer is not None:
            return newer
        self._bucket.blob(self._name).upload_from_string(
            _written(token),
            content_type="application/json",
            if_generation_match=generation,
            timeout=self._time_out(deadline),
            retry=None,
        )
        return token

    def _read(self, deadline: Deadline) -> tuple[bytes | None, int]:
        """The object and its generation; None and 0 where there is none."""
        blob = self._bucket.blob(self._name)
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


def _newer(text: bytes | None, token: Token) -> Token | None:
    """The stored token where it must not be overwritten. Nonsense may be: a login is how it is repaired."""
    if text is None:
        return None
    try:
        stored = _parsed(text)
    except TokenUnreadable:
        return None
    return stored if token.is_older_than(stored) else None


def _brief(error: Exception) -> str:
    """What failed, without what was sent or answered."""
    return f"{type(error).__name__} {getattr(error, 'code', '')}".rstrip()


def _down(detail: str, what: str) -> NotNow:
    log.error("the token store cannot be %s: %s", what, detail)
    return NotNow(Reason.NEEDS_LOGIN, f"the token store cannot be {what}; nothing was sent")
