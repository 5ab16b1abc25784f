"""The one broker: Fyers, through fyers-apiv3, over a transport of our own."""

from app.adapters.fyers.broker import FyersBroker
from app.adapters.fyers.session import FyersLogin
from app.adapters.fyers.transport import CallFailed, Reply, Transport

__all__ = [
    "API_URL",
    "DATA_URL",
    "CallFailed",
    "FyersBroker",
    "FyersLogin",
    "Reply",
    "Transport",
]
