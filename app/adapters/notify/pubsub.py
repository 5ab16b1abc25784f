"""Notices to a Google Cloud Pub/Sub topic. Importing this loads Google's client.

The generated client is used, not the batching one: one message is one call in the caller's own thread, and the call
returns once Pub/Sub has it. The batching client would send from a thread of its own, after a caller who gave up.
"""

import json
import os

import google.auth
import grpc
from google.api_core.exceptions import (
    DeadlineExceeded,
    GoogleAPICallError,
    InternalServerError,
    InvalidArgument,
    Unknown,
)
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1 import PublisherClient, PubsubMessage
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

from app.adapters.notify.sink import NotTaken
from app.domain.notice import Notice

# By default gRPC waits up to two minutes before it connects again after an outage.
_CHANNEL = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
]


class PubSubNotifier:
    """Implements `Sink`. `topic` is projects/PROJECT/topics/TOPIC; PUBSUB_EMULATOR_HOST is honoured.

    To be made after a fork. Raises DefaultCredentialsError where there are none.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self.name = f"pubsub:{topic}"
        emulator = os.environ.get("PUBSUB_EMULATOR_HOST")  # read here as Google's own client reads it
        if emulator:
            self._channel = grpc.insecure_channel(emulator, options=_CHANNEL)
        else:
            credentials, _ = google.auth.default(scopes=PublisherGrpcTransport.AUTH_SCOPES)
            self._channel = PublisherGrpcTransport.create_channel(credentials=credentials, options=_CHANNEL)
        self._client = PublisherClient(transport=PublisherGrpcTransport(channel=self._channel))

    def push(self, notice: Notice, seconds: float) -> None:
        attributes = {"id": notice.id, "kind": notice.kind, "severity": str(notice.severity)}
        message = PubsubMessage(data=json.dumps(notice.document()).encode(), attributes=attributes)
        try:
            # The library's own retry would go on for ten minutes.
            self._client.publish(topic=self._topic, messages=[message], retry=None, timeout=seconds)
        except (GoogleAPICallError, GoogleAuthError) as error:
            arrived = isinstance(error, DeadlineExceeded | InternalServerError | Unknown)
            about_notice = isinstance(error, InvalidArgument)
            raise NotTaken(type(error).__name__, arrived=arrived, about_notice=about_notice) from None

    def close(self) -> None:
        self._channel.close()
