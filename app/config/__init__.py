"""The environment, read once and checked as a whole."""

from app.config.config import AllowlistMode, BrokerKind, Config, ConfigFaults, FyersApp
from app.config.reader import is_loopback

__all__ = ["AllowlistMode", "BrokerKind", "Config", "ConfigFaults", "FyersApp", "is_loopback"]
