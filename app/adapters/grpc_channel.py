"""The gRPC channels to Google: how they connect again, and with whose credentials. Importing this loads gRPC."""

from typing import Any

import google.auth
import grpc

_OPTIONS = [
    # By default gRPC waits up to 120 s before it connects again: measured 31 s of refusals after an outage of 45 s.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # in fact the time-out of one attempt to connect; by default 20 s
    ("grpc.keepalive_time_ms", 30_000),  # as Google's own client sets it
    ("grpc.keepalive_timeout_ms", 5_000),  # until a silent connection is given up; by default 20 s
]


def open_channel(transport: Any, emulator: str | None) -> tuple[grpc.Channel, Any]:
    """A channel for the transport class of a generated client, and its credentials; an emulator takes none.

    To be called after a fork, never before: gRPC does not survive one. Raises DefaultCredentialsError.
    """
    if emulator:
        return grpc.insecure_channel(emulator, options=_OPTIONS), None
    credentials, _ = google.auth.default(scopes=transport.AUTH_SCOPES)
    return transport.create_channel(credentials=credentials, options=_OPTIONS), credentials
