"""What gunicorn is told: where to listen, and how many senders the process can hold beside its own connections."""

import pytest

from app.domain.errors import Reason
from app.runtime.arriving import MOST_AROUND_BODY
from app.runtime.server import KEPT_DESCRIPTORS, MOST_CONNECTIONS, address, connections, threads
from app.runtime.worker import AT_ONCE, MOST_BODY, _refusal

MEMORY = 512 * 1024 * 1024  # bytes; deploy/ gives an instance so much


@pytest.mark.parametrize(
    ("descriptors", "count"),
    [
        (-1, MOST_CONNECTIONS),
        (1_000_000, MOST_CONNECTIONS),
        (1024, 1024 - KEPT_DESCRIPTORS),
        (256, 256 - KEPT_DESCRIPTORS),
        (64, 2 * threads),
    ],
)
def test_descriptors_are_kept_for_the_broker_and_the_ledger(descriptors: int, count: int) -> None:
    assert connections(descriptors) == count


@pytest.mark.parametrize(
    ("host", "bound"),
    [("127.0.0.1", "127.0.0.1:80"), ("::", "[::]:80"), ("::1", "[::1]:80"), ("localhost", "localhost:80")],
)
def test_an_ipv6_address_stands_in_brackets(host: str, bound: str) -> None:
    assert address(host, "80") == bound


def test_what_all_connections_may_hold_is_less_than_half_of_the_memory() -> None:
    assert MOST_CONNECTIONS * (MOST_BODY + MOST_AROUND_BODY + AT_ONCE) < MEMORY / 2


@pytest.mark.parametrize(
    ("status", "line"),
    [(400, b"400 Bad Request"), (500, b"500 Internal Server Error"), (503, b"503 Service Unavailable")],
)
def test_a_refusal_of_the_server_has_the_phrase_of_its_status(status: int, line: bytes) -> None:
    assert _refusal(status, Reason.INTERNAL).startswith(b"HTTP/1.1 " + line + b"\r\n")
