"""What TradingView sent, once it is checked: the Alert, its key and its fingerprint."""

from app.domain.alert.alert import (
    MAX_BODY_BYTES,
    Alert,
    Expiry,
    ExpiryRule,
    Level,
    LevelKind,
    Moneyness,
    OptionType,
    Product,
    Side,
    Strike,
    spelled,
)
from app.domain.alert.identity import TAG, Identity, identify, tag_of
from app.domain.alert.parse import FIELDS, parse
from app.domain.alert.secrets import Secrets

__all__ = [
    "FIELDS",
    "MAX_BODY_BYTES",
    "TAG",
    "Alert",
    "Expiry",
    "ExpiryRule",
    "Identity",
    "Level",
    "LevelKind",
    "Moneyness",
    "OptionType",
    "Product",
    "Secrets",
    "Side",
    "Strike",
    "identify",
    "parse",
    "spelled",
    "tag_of",
]
