"""The exchanges' trading holidays, beside Saturdays and Sundays.

The exchanges publish the next year's list in December; until it stands here, EXTRA_HOLIDAYS takes what is known. A
weekday beyond KNOWN_UNTIL that no setting names is an assumed trading day (`Calendar.is_assumed`). On such a day an
entry needs the broker to say that the market is open, and an exit does not. Doctor and the morning's preflight warn
from 45 days before the end of the list.
"""

from datetime import date

from app.facts import Confidence, Source

SOURCE = Source(
    "NSE's list for 2026 (capital market and equity derivatives, with the day added for the municipal elections), "
    "compared with BSE's in the package exchange_calendars 4.13.2",
    seen=date(2026, 11, 30),
    confidence=Confidence.HIGH,
    review_by=date(2026, 12, 15),  # the last list was published on 12 December
)
KNOWN_UNTIL = date(2026, 12, 31)

HOLIDAYS = frozenset(
    {
        date(2026, 1, 15),  # municipal elections in Maharashtra
        date(2026, 1, 26),  # Republic Day
        date(2026, 3, 3),  # Holi
        date(2026, 3, 26),  # Ram Navami
        date(2026, 3, 31),  # Mahavir Jayanti
        date(2026, 4, 3),  # Good Friday
        date(2026, 4, 14),  # Ambedkar Jayanti
        date(2026, 5, 1),  # Maharashtra Day
        date(2026, 5, 28),  # Bakri Id
        date(2026, 6, 26),  # Muharram
        date(2026, 9, 14),  # Ganesh Chaturthi
        date(2026, 10, 2),  # Gandhi Jayanti
        date(2026, 10, 20),  # Dussehra
        date(2026, 11, 10),  # Diwali Balipratipada
        date(2026, 11, 24),  # Guru Nanak Jayanti
        date(2026, 12, 25),  # Christmas
    }
)
