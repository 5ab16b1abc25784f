"""The scheduler's tasks. The operator may run each of them as well."""

import base64
import json
import logging
from dataclasses import asdict

from flask import Blueprint, Response, jsonify, make_response, request

from app.domain.deadline import Deadline
from app.domain.errors import Malformed
from app.domain.notice import Notice
from app.flow.reconcile import reconcile
from app.flow.square_off import square_off
from app.operations.back_office import BackOffice
from app.operations.preflight import PreflightTask
from app.web.auth import Auth, blueprint, error

log = logging.getLogger("gateway.operator")

TASK = 50.0  # seconds; within Cloud Scheduler's minute
RELAY = 8.0  # seconds; Pub/Sub waits ten for an acknowledgement, unless its subscription says more


def task_routes(office: BackOffice, auth: Auth) -> Blueprint:
    routes, tasks = blueprint("tasks"), _Tasks(office)
    routes.post("/tasks/reconcile")(auth.operator(tasks.reconcile, TASK, task=True))
    routes.post("/tasks/square-off")(auth.operator(tasks.square_off, TASK, task=True))
    routes.post("/tasks/preflight")(auth.operator(tasks.preflight, TASK, task=True))
    routes.post("/tasks/relay")(auth.operator(tasks.relay, RELAY, task=True))
    routes.post("/tasks/refresh-symbols")(auth.operator(tasks.refresh_symbols, TASK, task=True))
    return routes


class _Tasks:
    def __init__(self, office: BackOffice) -> None:
        self._office = office
        self._desk = office.desk
        self._preflight = PreflightTask(office)

    def reconcile(self, deadline: Deadline) -> Response:
        self._take_newer_symbols()
        report = reconcile(self._desk, deadline)
        # An alert in deploy/ waits for this heartbeat: its message and the names of its fields stay.
        took = round((TASK - deadline.left()) * 1000)
        log.info("reconciled", extra={"clean": report.clean, "ms": took, "report": report.document()})
        return jsonify(report.document())

    def square_off(self, deadline: Deadline) -> Response:
        report = asdict(square_off(self._desk, deadline))
        log.warning("squared off", extra={"report": report})
        return jsonify(report)

    def preflight(self, deadline: Deadline) -> Response:
        self._take_newer_symbols()
        return jsonify(self._preflight.run(deadline).document())

    def relay(self, deadline: Deadline) -> Response:
        """Takes a push subscription's message. Any answer but 2xx makes Pub/Sub deliver it again."""
        notice = _notice_of_push(request.get_data(cache=False))
        if self._office.relay is None:
            return error(503, "there is nowhere to relay it to; set NOTIFICATION_URL")
        if not self._office.relay.send(notice, deadline):
            return error(503, "not every address took it; the log says which")
        return jsonify({"relayed": notice.id})

    def refresh_symbols(self, deadline: Deadline) -> Response:
        report = self._office.refresh_symbols(deadline)
        return make_response(report, 200 if report["accepted"] else 503)

    def _take_newer_symbols(self) -> None:
        """Here, so that the day's first alert does not have to look for them."""
        self._desk.symbols.reload_if_changed(self._desk.clock.monotonic())


def _notice_of_push(body: bytes) -> Notice:
    """The notice in the envelope of a push subscription's message. Raises Malformed for anything else.

    `{"message": {"data": base64, "attributes": {…}, "messageId": "…"}, "subscription": "…"}`
    (https://cloud.google.com/pubsub/docs/push#receive_push).
    """
    try:
        data = base64.b64decode(json.loads(body)["message"]["data"], validate=True)
        return Notice.from_document(json.loads(data))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        wanted = "must be a push subscription's message whose data is a notice of this gateway"
        raise Malformed("message", wanted) from None
