"""Fyers' rates and lags, as the core has to know them."""

from datetime import timedelta

from app.domain.risk.limits import VenueRules
from app.facts.fyers import ORDERS_PER_SECOND

FYERS = VenueRules(
    orders_per_second=ORDERS_PER_SECOND,
    orders_in_lag=128,  # an alert makes three calls at least, and Fyers takes 300 within the lag
    book_lag=timedelta(seconds=90),  # Fyers documents none
)
