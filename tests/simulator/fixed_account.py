"""The instant, the app and the contract that the tests of the simulator share."""

from datetime import datetime, timedelta

from app.simulator.instruments import IST

APP_ID = "APPIDXXXX-200"
CALL = "NSE:NIFTY26NOV26000CE"


class Clock:
    """Friday 20-Nov-2026, 10:00 IST, until moved."""

    def __init__(self):
        self.now = datetime(2026, 11, 20, 10, 0, tzinfo=IST)

    def __call__(self):
        return self.now

    def move(self, **by):
        self.now += timedelta(**by)
