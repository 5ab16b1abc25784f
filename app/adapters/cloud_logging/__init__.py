"""The log at Google Cloud Logging, of a self-hosted gateway. Only `api` loads Google's client."""
