"""The options on one underlying, as the artifact's header lists them."""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import date

from app.domain.alert import OptionType
from app.facts.fyers import INDEX_OPTION

# As Fyers names them (symbol map of fyers-apiv3 3.2.0). Where the artifact does not say it, any other one is a stock.
_INDEX_SPOTS = {
    ("NSE", "NIFTY"): "NSE:NIFTY50-INDEX",
    ("NSE", "BANKNIFTY"): "NSE:NIFTYBANK-INDEX",
    ("NSE", "FINNIFTY"): "NSE:FINNIFTY-INDEX",
    ("NSE", "MIDCPNIFTY"): "NSE:MIDCPNIFTY-INDEX",
    ("NSE", "NIFTYNXT50"): "NSE:NIFTYNXT50-INDEX",
    ("BSE", "SENSEX"): "BSE:SENSEX-INDEX",
    ("BSE", "BANKEX"): "BSE:BANKEX-INDEX",
}
_STOCK_SERIES = {"NSE": "EQ", "BSE": "A"}


@dataclass(frozen=True, slots=True)
class Series:
    """The options on one underlying at one exchange. `expiries` are ordinals, ascending.

    The calls of an expiry are the rows from `calls` to before `puts`, its puts those from there to before `ends`.
    """

    exchange: str
    underlying: str
    instrument: int
    expiries: tuple[int, ...]
    calls: tuple[int, ...]
    puts: tuple[int, ...]
    ends: tuple[int, ...]

    @property
    def on_index(self) -> bool:
        if self.instrument:
            return self.instrument == INDEX_OPTION
        return (self.exchange, self.underlying) in _INDEX_SPOTS

    @property
    def spot_symbol(self) -> str:
        known = _INDEX_SPOTS.get((self.exchange, self.underlying))
        kind = "INDEX" if self.on_index else _STOCK_SERIES[self.exchange]
        return known or f"{self.exchange}:{self.underlying}-{kind}"

    def place_of(self, expiry: int) -> int | None:
        at = bisect_left(self.expiries, expiry)
        return at if at < len(self.expiries) and self.expiries[at] == expiry else None

    def ladder(self, at: int, option_type: OptionType) -> range:
        """The rows of one expiry and type, ascending by strike."""
        first, end = (self.calls, self.puts) if option_type is OptionType.CE else (self.puts, self.ends)
        return range(first[at], end[at])

    def last_of_month(self, first: int) -> list[int]:
        """Places, from `first` on, of the last listed expiry of each calendar month."""
        days = [date.fromordinal(expiry) for expiry in self.expiries[first:]]
        months = [(day.year, day.month) for day in days]
        return [first + at for at, month in enumerate(months) if month not in months[at + 1 : at + 2]]
