"""The symbol master: the right contract, in microseconds, even when Fyers' file is bad.

`refresh` fetches, checks and stores a new master; `Symbols` answers from the one that was last stored.
"""

from app.adapters.symbols.refresh import refresh
from app.adapters.symbols.symbols import Symbols

__all__ = ["Symbols", "refresh"]
