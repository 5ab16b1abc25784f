"""The log at Google Cloud Logging, of a self-hosted gateway. Only `api` loads Google's client."""

from app.adapters.cloud_logging.sender import CloudLog, Relay

__all__ = ["CloudLog", "Relay"]
