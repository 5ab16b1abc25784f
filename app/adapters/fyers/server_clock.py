"""The time at Fyers: the Date header of any reply, asked for without a token."""

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from app.adapters.http.transport import CallFailed, Transport
from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason

_CONNECT, _TOTAL = 2.0, 4.0  # seconds
_HALF_A_SECOND = timedelta(seconds=0.5)  # the header has whole seconds, cut off


def server_time(transport: Transport, api_url: str, deadline: Deadline) -> datetime | None:
    """Exact to half a second and the reply's way here. None where the reply does not say. Raises NotNow without one."""
    total = deadline.cap(_TOTAL)
    try:
        reply = transport.call("GET", api_url, headers={}, connect=min(_CONNECT, total), total=total)
        said = parsedate_to_datetime(reply.headers["date"])
    except CallFailed as failed:
        raise NotNow(Reason.BROKER_DOWN, f"Fyers does not answer: {failed.why}") from None
    except (KeyError, ValueError):
        return None
    return None if said.tzinfo is None else said + _HALF_A_SECOND
