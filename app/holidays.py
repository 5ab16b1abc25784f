"""The exchanges' trading holidays, beside Saturdays and Sundays.

NSE's list for 2026 (capital market and equity derivatives; published in December 2025, with the day that was added for
the municipal elections), compared with BSE's in the package exchange_calendars 4.13.2. The exchanges publish the next
year's list in December; until it stands here, EXTRA_HOLIDAYS takes what is known.

Beyond KNOWN_UNTIL each weekday counts as a trading day, on purpose: an order on a holiday that nobody told us of is
refused by the exchange, while a gateway that stopped with its list would leave positions alone. So that the end is not
silent, doctor and the preflight of each morning warn of it from 45 days before.
"""

from datetime import date

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
