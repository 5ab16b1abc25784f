"""A new revision gets alerts only after its check; the one before is a command away; a rotation loses no alert."""

import copy
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from deploy import readiness
from tests.deploy.cloud import LIVE, TYPED, Cloud, environment
from tests.deploy.stand_in import ADDRESS, flags
from tests.waiting import finish

FINE = {"login": "ok", "ledger": "ok", "symbols": "ok", "broker": "ok"}
LOGGED_OUT = FINE | {"login": "failing: nobody has logged in", "broker": "failing: nobody has logged in"}


class Revisions:
    """Two revisions that answer /ready with the checks they are given; None hangs up."""

    def __init__(self) -> None:
        self.checks: dict[str, dict[str, str] | None] = {"serving": FINE, "candidate": FINE}
        revisions = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                _, who, route = self.path.split("/")
                checks = revisions.checks[who]
                if checks is None or route != "ready":
                    self.send_error(404)  # as Google's front end does: a page, no JSON
                    return
                self.send_response(200 if set(checks.values()) == {"ok"} else 503)
                self.end_headers()
                self.wfile.write(json.dumps({"status": "…", "checks": checks}).encode())

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def url(self, who: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/{who}"

    def close(self) -> None:
        self.server.shutdown()
        finish(self.thread)
        self.server.server_close()


@pytest.fixture
def revisions() -> Iterator[Revisions]:
    revisions = Revisions()
    yield revisions
    revisions.close()


@pytest.fixture
def cloud(copy: Callable[[dict[str, str]], Cloud], revisions: Revisions) -> Cloud:
    """A project whose service has one revision."""
    cloud = copy(LIVE)
    cloud.project.urls = {who: revisions.url(who) for who in ("serving", "candidate", "previous")}
    return cloud


def environment_of(given: dict[str, str]) -> dict[str, str]:
    return dict(pair.partition("=")[::2] for pair in given["set-env-vars"].removeprefix("^|^").split("|"))


def service_of(cloud: Cloud) -> dict[str, Any]:
    assert cloud.project.service is not None
    return cloud.project.service


def test_new_settings_serve_only_after_the_candidate_was_checked(cloud: Cloud) -> None:
    cloud.run("setup", "service")
    service = service_of(cloud)
    assert service["serving"] == service["tags"]["candidate"] == "gateway-00002-abc"
    assert service["tags"]["previous"] == "gateway-00001-abc"
    [deploy] = cloud.argvs("run", "deploy")
    assert {"no-traffic", "tag"} <= set(flags(deploy))
    steps = [" ".join(call.argv) for call in cloud.project.calls]
    checked = next(at for at, step in enumerate(steps) if "--format=json" in step)
    assert steps.index(" ".join(deploy)) < checked < steps.index(next(step for step in steps if "--to-tags" in step))


@pytest.mark.parametrize(
    "checks", [LOGGED_OUT, FINE | {"ledger": "failing: no answer in time"}, None], ids=["login", "ledger", "no answer"]
)
def test_a_candidate_that_is_less_ready_gets_no_traffic(
    cloud: Cloud, revisions: Revisions, checks: dict[str, str] | None
) -> None:
    revisions.checks["candidate"] = checks
    failed = cloud.run("release", "settings", "check", "traffic", ok=False)
    assert failed.returncode == 1
    assert "not ready" in failed.stdout
    assert service_of(cloud)["serving"] == "gateway-00001-abc"
    assert service_of(cloud)["tags"] == {}  # at an address of its own it would take alerts
    assert [flags(argv).get("remove-tags") for argv in cloud.argvs("run", "services", "update-traffic")] == [
        "candidate"
    ]


def test_without_a_candidate_nothing_is_released(cloud: Cloud) -> None:
    before = copy.deepcopy(cloud.project.service)
    assert cloud.run("release", "check", "traffic", ok=False).returncode == 1
    assert cloud.project.service == before


@pytest.mark.parametrize(
    ("now", "then", "worse"),
    [
        (FINE, FINE, []),
        (LOGGED_OUT, LOGGED_OUT, []),  # a release must not wait for a login
        (LOGGED_OUT, FINE, []),
        (FINE, LOGGED_OUT, ["broker", "login"]),
        (LOGGED_OUT, LOGGED_OUT | {"symbols": "failing: none"}, ["symbols"]),
        (FINE | {"ledger": "failing"}, FINE | {"ledger": "failing"}, ["ledger"]),
        ({}, FINE, []),  # nothing serves: the candidate can only be better
        ({}, LOGGED_OUT, []),
        (FINE, {}, ["no answer"]),  # also Google's own 404 page
    ],
)
def test_a_candidate_must_be_as_ready_as_what_serves_and_have_ledger_and_symbols(
    now: dict[str, str], then: dict[str, str], worse: list[str]
) -> None:
    assert readiness.problems(now, then) == worse


def test_new_settings_keep_the_image_that_serves_not_one_that_was_rolled_back(cloud: Cloud) -> None:
    service_of(cloud)["revisions"].append({"name": "gateway-00002-abc", "image": "a-bad-one", "flags": {}})
    cloud.run("release", "settings")
    assert service_of(cloud)["revisions"][-1]["image"].endswith("/gateway:first")


def test_with_other_settings_the_revision_before_keeps_no_address(
    copy: Callable[[dict[str, str]], Cloud], revisions: Revisions
) -> None:
    cloud = copy(LIVE | {"GATEWAY": LIVE["GATEWAY"].replace(")", " MAX_LOTS_OPEN=1)")})
    cloud.project.urls = {who: revisions.url(who) for who in ("serving", "candidate", "previous")}
    service_of(cloud)["tags"]["previous"] = "gateway-00001-abc"  # of the release before
    said = cloud.run("release", "settings", "check", "traffic")
    assert service_of(cloud)["serving"] == "gateway-00002-abc"
    assert "previous" not in service_of(cloud)["tags"]
    assert "deploy/rollback gateway-00001-abc" in said.stderr
    cloud.run("rollback", "gateway-00001-abc")
    assert service_of(cloud)["serving"] == "gateway-00001-abc"


def test_a_new_build_under_the_same_settings_keeps_the_one_before_at_hand(
    copy: Callable[[dict[str, str]], Cloud], revisions: Revisions
) -> None:
    cloud = copy(LIVE | {"IMAGE": "a-new-one"})
    cloud.project.urls = {who: revisions.url(who) for who in ("serving", "candidate", "previous")}
    cloud.run("release", "candidate", "check", "traffic")
    service = service_of(cloud)
    assert (service["serving"], service["tags"]["previous"]) == ("gateway-00002-abc", "gateway-00001-abc")


def test_a_build_with_other_defaults_leaves_the_one_before_no_address(
    copy: Callable[[dict[str, str]], Cloud], revisions: Revisions
) -> None:
    """Where nothing is set, the defaults limit: those of the old build may be wider."""
    cloud = copy(LIVE | {"IMAGE": "a-new-one"})
    cloud.project.urls = {who: revisions.url(who) for who in ("serving", "candidate", "previous")}
    before = service_of(cloud)["revisions"][0]["flags"]
    now = environment_of(before)["BUILD_DEFAULTS"]
    before["set-env-vars"] = before["set-env-vars"].replace(now, "defaults-1-2")
    service_of(cloud)["tags"]["previous"] = "gateway-00001-abc"
    said = cloud.run("release", "candidate", "check", "traffic")
    service = service_of(cloud)
    assert environment_of(service["revisions"][-1]["flags"])["BUILD_DEFAULTS"] == now
    assert (service["serving"], "previous" in service["tags"]) == ("gateway-00002-abc", False)
    assert "deploy/rollback gateway-00001-abc" in said.stderr


def test_new_settings_on_the_build_that_serves_keep_the_mark_of_its_defaults(cloud: Cloud) -> None:
    before = service_of(cloud)["revisions"][0]["flags"]
    before["set-env-vars"] = before["set-env-vars"].replace(environment_of(before)["BUILD_DEFAULTS"], "defaults-1-2")
    cloud.run("release", "settings")
    assert environment_of(service_of(cloud)["revisions"][-1]["flags"])["BUILD_DEFAULTS"] == "defaults-1-2"


def test_after_a_rollback_only_the_revision_that_serves_has_an_address(cloud: Cloud) -> None:
    cloud.run("release", "settings", "check", "traffic")
    cloud.run("rollback")
    assert service_of(cloud)["serving"] == "gateway-00001-abc"
    assert set(service_of(cloud)["tags"].values()) == {"gateway-00001-abc"}
    cloud.run("rollback", "gateway-00002-abc")
    assert service_of(cloud)["serving"] == "gateway-00002-abc"
    assert service_of(cloud)["tags"] == {}


def test_live_trading_is_not_released_without_the_account_that_may_log_in(
    copy: Callable[[dict[str, str]], Cloud], revisions: Revisions
) -> None:
    """As in an upgrade of a project that was set up before there was such a setting."""
    cloud = copy(LIVE | {"FYERS_CLIENT_ID": ""})
    cloud.project.urls = {who: revisions.url(who) for who in ("serving", "candidate", "previous")}
    before = service_of(cloud)["revisions"][0]["flags"]
    before["set-env-vars"] = before["set-env-vars"].replace("|FYERS_CLIENT_ID=XY01234", "")
    assert "deploy/setup service" in cloud.run("release", ok=False).stderr
    assert not cloud.argvs("builds", "submit")
    for typed in ("", "\n", "not an id\n"):
        refused = cloud.run("setup", "service", typed=typed, ok=False)
        assert (refused.returncode, "FYERS_CLIENT_ID" in refused.stderr) == (1, True)
    assert not cloud.argvs("run", "deploy")
    cloud.run("setup", "service", typed="AB98765\n")
    assert environment(cloud.argvs("run", "deploy")[0])["FYERS_CLIENT_ID"] == "AB98765"
    cloud.run("setup", "service")  # it is asked for once
    cloud.run("release")
    assert len(cloud.argvs("builds", "submit")) == 2


def test_a_rollback_is_one_command_without_a_name(cloud: Cloud) -> None:
    cloud.run("release", "settings", "check", "traffic")
    cloud.project.calls.clear()
    cloud.run("rollback")
    assert service_of(cloud)["serving"] == "gateway-00001-abc"
    assert len(cloud.project.calls) == 1
    cloud.run("rollback", "gateway-00002-abc")
    assert service_of(cloud)["serving"] == "gateway-00002-abc"


def test_a_rollback_without_a_revision_before_shows_what_there_is(cloud: Cloud) -> None:
    failed = cloud.run("rollback", ok=False)
    assert failed.returncode == 1
    assert cloud.argvs("run", "revisions", "list")
    assert service_of(cloud)["serving"] == "gateway-00001-abc"


def test_the_doctor_sees_what_the_gateway_sees_and_leaves_by_the_same_way(cloud: Cloud) -> None:
    revision = service_of(cloud)["revisions"][0]["flags"]
    cloud.run("doctor")
    [job] = [flags(argv) for argv in cloud.argvs("run", "jobs", "deploy")]
    shared = ("image", "set-env-vars", "set-secrets", "service-account", "network", "subnet", "vpc-egress")
    assert {name: job[name] for name in shared} == {name: revision[name] for name in shared}
    words = [job["command"], *job["args"].split(",")]
    assert words[:4] == ["python", "-m", "app", "doctor"]
    assert words[-2:] == ["--registered", ADDRESS]
    assert cloud.argvs("run", "jobs", "execute")
    assert cloud.argvs("logging", "read")


def secrets_in_force(cloud: Cloud) -> str:
    """The webhook's secret as the serving revision reads it."""
    service = service_of(cloud)
    revision = next(revision for revision in service["revisions"] if revision["name"] == service["serving"])
    pinned = dict(pair.split("=") for pair in revision["flags"]["set-secrets"].split(","))
    name, _, version = pinned["WEBHOOK_SECRET_TOKEN"].partition(":")
    value = cloud.project.secrets[name][int(version) - 1]
    assert isinstance(value, str)
    return value


def test_while_the_webhook_s_secret_is_rotated_both_are_in_force(cloud: Cloud) -> None:
    cloud.run("rotate-secret", "webhook", "start")
    new, old = secrets_in_force(cloud).split(",")
    assert old == TYPED["WEBHOOK_SECRET_TOKEN"]
    assert len(new) == 43
    assert new in cloud.run("rotate-secret", "webhook", "show").stdout
    assert cloud.run("rotate-secret", "webhook", "start", ok=False).returncode == 1
    cloud.run("rotate-secret", "webhook", "finish")
    assert secrets_in_force(cloud) == new
    assert cloud.project.secrets["webhook-secret-token"] == [None, None, new]  # the others are disabled
    assert "previous" not in service_of(cloud)["tags"]  # it could not start any more
    assert cloud.run("rotate-secret", "webhook", "finish", ok=False).returncode == 1
    assert not any(new in word for call in cloud.project.calls for word in call.argv)


def test_any_other_secret_is_asked_for_and_the_old_one_ends(cloud: Cloud) -> None:
    shown = cloud.run("rotate-secret", "OPERATOR_TOKEN", typed="another-canary-token\n")
    assert cloud.project.secrets["operator-token"] == [None, "another-canary-token"]
    assert "canary" not in shown.stdout + shown.stderr
    assert not any("canary" in word for call in cloud.project.calls for word in call.argv)
    assert cloud.run("rotate-secret", "OPERATOR_TOKEN", typed="\n", ok=False).returncode == 1
    assert cloud.run("rotate-secret", "SOMETHING", ok=False).returncode == 1


def test_a_dry_run_of_a_rotation_changes_nothing(cloud: Cloud) -> None:
    before = copy.deepcopy((cloud.project.secrets, cloud.project.service))
    for words in (("webhook", "start"), ("webhook", "finish"), ("OPERATOR_TOKEN",)):
        cloud.run("rotate-secret", "--dry-run", *words)
    cloud.run("release", "--dry-run", "settings", "check", "traffic")
    cloud.run("rollback", "--dry-run")
    assert cloud.project.calls == []
    assert (cloud.project.secrets, service_of(cloud)) == before
