"""HTTP: the webhook, the operator's routes and the health checks. `create_app(office, config)` makes the Flask app."""

from app.web.app import create_app

__all__ = ["create_app"]
