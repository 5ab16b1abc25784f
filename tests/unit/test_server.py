"""What gunicorn is told: where to listen, and how many senders the process can hold beside its own connections."""

import pytest

from app.server import KEPT_DESCRIPTORS, MOST_CONNECTIONS, address, connections, threads


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
