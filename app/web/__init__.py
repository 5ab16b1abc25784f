"""The HTTP face: `create_app(office, config)`."""

from app.web.app import create_app

__all__ = ["create_app"]
