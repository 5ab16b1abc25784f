"""Where notices go: the log always, and every sink that is configured. Clients are imported where one is wanted."""

from app.adapters.notify.fanout import Fanout
from app.adapters.notify.sink import NotTaken, Sink

__all__ = ["Fanout", "NotTaken", "Sink"]
