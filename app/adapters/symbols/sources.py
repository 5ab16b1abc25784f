"""The files of a symbol master, at Fyers or elsewhere, read within limits of time and size."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import requests
from urllib3.exceptions import HTTPError

from app.adapters.symbols.row import Refused
from app.domain.deadline import Deadline, Sleep, tries
from app.facts.fyers import MASTERS_HOST

MAX_CSV_BYTES = 64 * 1024 * 1024  # NSE_FO.csv has about 12 MB
MAX_JSON_BYTES = 256 * 1024 * 1024  # NSE_FO_sym_master.json has about 84 MB; it is streamed, never held in memory

_CONNECT, _READ = 3.0, 10.0
_BACK_OFF = (0.5, 1.5)  # seconds before the second and the third try
_CHUNK = 256 * 1024

_Got = TypeVar("_Got")


@dataclass(frozen=True, slots=True)
class Source:
    """One file of the master, named by an http(s) URL or a path."""

    url: str

    @property
    def key(self) -> str:
        """The URL without the parts that may be secret: user, password, query."""
        parts = urlsplit(self.url)
        place = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
        return f"{parts.scheme}://{place}{parts.path}" if self.is_remote else self.url

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return Path(urlsplit(self.url).path).name or self.key

    @property
    def is_remote(self) -> bool:
        return self.url.startswith(("http://", "https://"))

    @property
    def is_json(self) -> bool:
        return self.name.lower().endswith(".json")

    @property
    def is_fyers(self) -> bool:
        return self.is_remote and urlsplit(self.url).hostname == MASTERS_HOST


class _Unavailable(Exception):
    """This try failed; another one may succeed."""


def fetch(source: Source, deadline: Deadline, sleep: Sleep = time.sleep) -> bytes:
    """The whole file. Raises Refused where it is too large, or where three tries do not get it in time."""
    return retried(lambda: b"".join(stream(source, MAX_CSV_BYTES, deadline)), source, deadline, sleep)


def retried(call: Callable[[], _Got], source: Source, deadline: Deadline, sleep: Sleep) -> _Got:
    """Up to three tries with back-off, inside the deadline."""
    for _ in tries(deadline, _BACK_OFF, sleep):
        try:
            return call()
        except _Unavailable as unavailable:
            problem = unavailable
    raise Refused(f"{source.name} could not be read: {problem}") from problem


def stream(source: Source, limit: int, deadline: Deadline) -> Iterator[bytes]:
    """The file in chunks, from one try. Raises _Unavailable or Refused where it cannot be read whole."""
    chunks = _download(source, deadline) if source.is_remote else _read(source)
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise Refused(f"{source.name} is over {limit // 1024 // 1024} MB, which no master is")
        if deadline.left() <= 0:
            raise Refused(f"{source.name} did not arrive in time")
        yield chunk


def _read(source: Source) -> Iterator[bytes]:
    path = Path(unquote(urlsplit(source.url).path)) if source.url.startswith("file://") else Path(source.url)
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise Refused(f"{source.name} could not be read: {error.strerror or error}") from error


def _download(source: Source, deadline: Deadline) -> Iterator[bytes]:
    with requests.Session() as session:
        session.trust_env = False
        session.max_redirects = 3
        try:
            timeout = max(0.001, deadline.cap(_CONNECT)), max(0.001, deadline.cap(_READ))
            with session.get(source.url, stream=True, timeout=timeout) as reply:
                if reply.status_code >= 500 or reply.status_code in (408, 429):
                    raise _Unavailable(f"HTTP {reply.status_code}")
                if reply.status_code != 200:
                    raise Refused(f"{source.name} could not be read: HTTP {reply.status_code}")
                _check_way(source, [each.url for each in (*reply.history, reply)])
                # read1 returns what has arrived; read would wait for a whole chunk, however slowly it arrives.
                while chunk := reply.raw.read1(_CHUNK, decode_content=True):
                    yield chunk
        except (requests.RequestException, HTTPError) as error:
            raise _Unavailable(type(error).__name__) from error


def _check_way(source: Source, urls: Sequence[str]) -> None:
    """Raises Refused where a redirect leads from https to plain http, where others could change the file."""
    if source.url.startswith("https:") and not all(url.startswith("https:") for url in urls):
        raise Refused(f"{source.name} could not be read: its https address leads to a plain http one")
