"""Where notices arrive in the tests: an HTTP endpoint that can misbehave, and a Pub/Sub subscription."""

import json
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest import mock
from uuid import uuid4

from tests.waiting import finish


@dataclass(slots=True)
class Arrived:
    path: str
    headers: dict[str, str]
    body: bytes
    taken: bool

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Phone:
    """`mood` is what it answers: a status, or `hang`, which takes the notice and never says so."""

    mood: int | str = 200
    picky: Callable[[bytes], int | None] = lambda body: None
    arrived: list[Arrived] = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/secret-path-canary"

    @property
    def told(self) -> list[Any]:
        """What it took, as documents."""
        return [one.document for one in self.arrived if one.taken]

    @property
    def ids(self) -> list[str]:
        return [document["id"] for document in self.told]


class _Line(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    phone: Phone

    def do_POST(self) -> None:
        phone = self.phone
        body = self.rfile.read(int(self.headers["Content-Length"]))
        mood = phone.picky(body) or phone.mood
        taken = mood == "hang" or 200 <= int(mood) <= 299
        phone.arrived.append(Arrived(self.path, dict(self.headers), body, taken))
        if mood == "hang":
            phone.hung_up.wait(20)
            self.close_connection = True
            return
        self.send_response(int(mood))
        if 300 <= int(mood) <= 399:
            self.send_header("Location", phone.url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Says nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that gave up is no error."""


@contextmanager
def phone(port: int = 0, known: Phone | None = None) -> Iterator[Phone]:
    """An HTTP sink on loopback; one that was `known` before has moved back in."""
    here = known or Phone()
    server = _Server(("127.0.0.1", port), type("Line", (_Line,), {"phone": here}))
    here.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield here
    finally:
        here.hung_up.set()
        server.shutdown()
        finish(thread)
        server.server_close()


@dataclass(slots=True)
class Subscription:
    topic: str
    name: str
    client: Any

    def pull(self, at_least: int = 0, seconds: float = 3.0) -> list[Any]:
        """The messages that came, acknowledged; waits for so many."""
        found: list[Any] = []
        until = time.monotonic() + seconds
        while True:
            with warnings.catch_warnings():  # it is deprecated, and does what a test wants
                warnings.simplefilter("ignore", DeprecationWarning)
                pulled = self.client.pull(subscription=self.name, max_messages=100, return_immediately=True, timeout=5)
            found += [one.message for one in pulled.received_messages]
            if ids := [one.ack_id for one in pulled.received_messages]:
                self.client.acknowledge(subscription=self.name, ack_ids=ids, timeout=5)
            elif len(found) >= at_least or time.monotonic() > until:
                return found


@contextmanager
def subscription(emulator: str) -> Iterator[Subscription]:
    """A new topic with one subscription; PUBSUB_EMULATOR_HOST points Google's client at it meanwhile."""
    import grpc
    from google.pubsub_v1 import PublisherClient, SubscriberClient
    from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
    from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

    channel = grpc.insecure_channel(emulator)
    topic, name = (f"projects/test/{what}/notices-{uuid4().hex[:8]}" for what in ("topics", "subscriptions"))
    PublisherClient(transport=PublisherGrpcTransport(channel=channel)).create_topic(name=topic, timeout=10)
    client = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
    client.create_subscription(name=name, topic=topic, timeout=10)
    with mock.patch.dict(os.environ, PUBSUB_EMULATOR_HOST=emulator):
        yield Subscription(topic, name, client)
    channel.close()
