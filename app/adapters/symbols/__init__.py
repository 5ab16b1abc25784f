"""The symbol master: the right instrument, in microseconds, even where Fyers' file is bad.

`refresh` fetches, checks and stores a new master. `Symbols` answers from the last one stored.
"""

from app.adapters.symbols.refresh import refresh
from app.adapters.symbols.symbols import Symbols

__all__ = ["Symbols", "refresh"]
