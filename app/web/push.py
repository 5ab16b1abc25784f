"""The envelope of a message from a Pub/Sub push subscription.

`{"message": {"data": base64, "attributes": {…}, "messageId": "…"}, "subscription": "…"}`
(https://cloud.google.com/pubsub/docs/push#receive_push). Notification addresses expect the notice inside it.
"""

import base64
import json

from app.domain.errors import Malformed
from app.domain.notice import Notice

_WANTED = "must be a push subscription's message whose data is a notice of this gateway"


def notice_of_push(body: bytes) -> Notice:
    """The notice in the envelope. Raises Malformed for anything else."""
    try:
        data = base64.b64decode(json.loads(body)["message"]["data"], validate=True)
        return Notice.from_document(json.loads(data))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Malformed("message", _WANTED) from None
