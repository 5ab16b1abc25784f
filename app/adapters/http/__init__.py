"""HTTP to the outside: kept connections, and a bound on every step of every call."""

from app.adapters.http.transport import CallFailed, Reply, Transport

__all__ = ["CallFailed", "Reply", "Transport"]
