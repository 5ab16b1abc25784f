"""The log at Google Cloud Logging, for machines of one's own. Only `api` loads Google's client."""

from app.adapters.cloud_logging.sender import CloudLog, Relay

__all__ = ["CloudLog", "Relay"]
