"""The one broker: Fyers, through fyers-apiv3, over a transport of our own."""

from app.adapters.fyers.broker import FyersBroker
from app.adapters.fyers.session import FyersLogin

__all__ = ["FyersBroker", "FyersLogin"]
