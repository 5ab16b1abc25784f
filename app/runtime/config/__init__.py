"""The environment, read once and checked as a whole."""

from app.runtime.config.config import AllowlistMode, BrokerKind, Config, ConfigFaults, FyersApp
from app.runtime.config.reader import is_loopback

__all__ = ["AllowlistMode", "BrokerKind", "Config", "ConfigFaults", "FyersApp", "is_loopback"]
