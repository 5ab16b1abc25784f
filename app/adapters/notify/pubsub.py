"""Notices to a Google Cloud Pub/Sub topic. Importing this loads Google's client.

The generated client is used, not the batching one. One message is one call in the caller's thread, and it returns once
Pub/Sub has the message. The batching client sends from a thread of its own, after the caller may have given up.
"""

import json
import os

from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1 import PublisherClient, PubsubMessage
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

from app.adapters.grpc_channel import open_channel
from app.adapters.notify.sink import NotTaken
from app.domain.notice import Notice

_IN_DOUBT = (exceptions.DeadlineExceeded, exceptions.InternalServerError, exceptions.Unknown)


class PubSubNotifier:
    """Implements `Sink`. `topic` is projects/PROJECT/topics/TOPIC; PUBSUB_EMULATOR_HOST is honoured.

    To be made after a fork. Raises DefaultCredentialsError where there are none.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self.name = f"pubsub:{topic}"
        emulator = os.environ.get("PUBSUB_EMULATOR_HOST")  # read here as Google's own client reads it
        self._channel, _ = open_channel(PublisherGrpcTransport, emulator)
        self._client = PublisherClient(transport=PublisherGrpcTransport(channel=self._channel))

    def push(self, notice: Notice, seconds: float) -> None:
        attributes = {"id": notice.id, "kind": notice.kind, "severity": str(notice.severity)}
        message = PubsubMessage(data=json.dumps(notice.document()).encode(), attributes=attributes)
        try:
            # The library's own retry would last ten minutes.
            self._client.publish(topic=self._topic, messages=[message], retry=None, timeout=seconds)
        except (exceptions.GoogleAPICallError, GoogleAuthError) as error:
            arrived = isinstance(error, _IN_DOUBT)
            about_notice = isinstance(error, exceptions.InvalidArgument)
            raise NotTaken(type(error).__name__, arrived=arrived, about_notice=about_notice) from None

    def close(self) -> None:
        self._channel.close()
