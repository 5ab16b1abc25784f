"""What deploy/setup makes of an empty project, and of one that it made before."""

import json
import re
from collections.abc import Callable
from datetime import time
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.runtime import server
from app.runtime.config import Config
from app.web.tasks import RELAY, TASK
from deploy import readiness
from tests.deploy.cloud import DEPLOY, LIVE, PAPER, TYPED, Cloud, environment
from tests.deploy.stand_in import flags
from tests.gateway import gateway

URL = "https://gateway-123456789012.asia-south1.run.app"
InProject = Callable[[dict[str, str]], Cloud]

CHANGING = {
    "create", "add", "update", "add-iam-policy-binding", "deploy", "submit", "enable", "disable", "delete",
    "update-traffic",
}  # fmt: skip


def deployed(cloud: Cloud) -> list[str]:
    [argv] = cloud.argvs("run", "deploy")
    return argv


def roles(cloud: Cloud) -> set[tuple[str, str, str]]:
    """Who was given what, where."""
    found = set()
    for argv in (call.argv for call in cloud.project.calls if "add-iam-policy-binding" in call.argv):
        given = flags(argv)
        kind = " ".join(argv[: argv.index("add-iam-policy-binding")])
        where = argv[argv.index("add-iam-policy-binding") + 1].partition("@")[0]
        found.add((given["member"].partition(":")[2].partition("@")[0], given["role"], f"{kind} {where}"))
    return found


def test_every_identity_has_its_few_roles_and_no_other(live: Cloud) -> None:
    secrets = {name.lower().replace("_", "-") for name in TYPED}
    assert roles(live) == {
        ("gateway-runtime", "roles/datastore.user", "projects my-project"),
        ("gateway-runtime", "roles/storage.objectUser", "storage buckets gs://my-project-gateway"),
        ("gateway-runtime", "roles/pubsub.publisher", "pubsub topics gateway-notices"),
        *(("gateway-runtime", "roles/secretmanager.secretAccessor", f"secrets {secret}") for secret in secrets),
        ("gateway-tester", "roles/logging.logWriter", "projects my-project"),
        ("gateway-tester", "roles/storage.objectViewer", "storage buckets gs://my-project-gateway-sources"),
        ("gateway-builder", "roles/run.developer", "projects my-project"),
        ("gateway-builder", "roles/logging.logWriter", "projects my-project"),
        ("gateway-builder", "roles/artifactregistry.writer", "artifacts repositories gateway"),
        ("gateway-builder", "roles/storage.objectViewer", "storage buckets gs://my-project-gateway-sources"),
        ("gateway-builder", "roles/iam.serviceAccountUser", "iam service-accounts gateway-runtime"),
        ("gateway-scaler", "projects/my-project/roles/gatewayScaler", "run services gateway"),
        ("gateway-scaler", "roles/iam.serviceAccountUser", "iam service-accounts gateway-runtime"),
    }


def test_no_secret_ever_stands_in_a_command_line_or_on_the_screen(live: Cloud) -> None:
    for name, value in TYPED.items():
        assert not any(value in word for call in live.project.calls for word in call.argv), name
        assert value not in live.screen, name
    fed = {call.argv[3]: call.fed for call in live.project.calls if call.argv[:3] == ["secrets", "versions", "add"]}
    assert fed == {name.lower().replace("_", "-"): value for name, value in TYPED.items()}


def test_a_secret_that_is_left_empty_is_made_or_left_out(new: InProject) -> None:
    cloud = new(PAPER)
    cloud.run("setup", "secrets", typed="\n\n\n\n\n")
    secrets = cloud.project.secrets
    assert secrets["notification-url"] == secrets["fyers-secret-id"] == secrets["fyers-pin"] == []
    [webhook], [operator] = secrets["webhook-secret-token"], secrets["operator-token"]
    assert webhook is not None
    assert operator is not None
    assert len(webhook) == len(operator) == 43
    assert webhook != operator
    cloud.run("setup", "service")
    assert flags(deployed(cloud))["set-secrets"] == (
        "WEBHOOK_SECRET_TOKEN=webhook-secret-token:1,OPERATOR_TOKEN=operator-token:1"
    )


def test_a_secret_that_cannot_be_looked_at_is_never_replaced(copy: InProject) -> None:
    cloud = copy(LIVE)
    cloud.project.failing = ["secrets", "versions", "list"]
    assert cloud.run("setup", "secrets", typed="\n" * 5, ok=False).returncode == 1
    assert not cloud.argvs("secrets", "versions", "add")
    assert cloud.run("release", "settings", ok=False).returncode == 1  # and no revision does without it
    assert not cloud.argvs("run", "deploy")


@pytest.mark.parametrize("settings", [PAPER, LIVE], ids=["paper", "live"])
def test_the_gateway_accepts_the_environment_that_a_revision_gets(
    live: Cloud, new: InProject, settings: dict[str, str]
) -> None:
    cloud = live if settings is LIVE else new(settings)
    if settings is PAPER:
        cloud.set_up("secrets", "service")
    config = Config.from_env(environment(deployed(cloud)))
    broker = "fyers" if settings is LIVE else "paper"
    assert config.on_cloud_run
    assert config.broker == broker
    assert config.ledger_url == f"firestore://my-project/gateway-{broker}"
    assert config.symbol_cache == f"gs://my-project-gateway/symbols-{broker}"
    assert config.notification_topic == "projects/my-project/topics/gateway-notices"
    assert config.fyers.redirect_uri == f"{URL}/auth/callback"
    assert config.square_off_at == (time(15, 20) if settings is LIVE else None)


def test_a_secret_among_the_settings_is_refused(new: InProject) -> None:
    cloud = new(PAPER | {"GATEWAY": "(BROKER=paper OPERATOR_TOKEN=not-so-secret-any-more)"})
    refused = cloud.run("setup", ok=False)
    assert refused.returncode == 1
    assert "OPERATOR_TOKEN is a secret" in refused.stderr
    assert "not-so-secret" not in refused.stderr
    assert cloud.project.calls == []


def test_google_lets_every_caller_through_and_the_gateway_asks_for_proof(live: Cloud) -> None:
    revision = flags(deployed(live))
    assert "no-invoker-iam-check" in revision
    assert revision["ingress"] == "all"
    config = Config.from_env(environment(deployed(live)))
    jobs = [flags(argv) for argv in live.argvs("scheduler", "jobs", "create", "http") if URL in " ".join(argv)]
    assert len(jobs) == 9
    assert {job["oidc-token-audience"] for job in jobs} == {config.oidc_audience}
    assert {job["oidc-service-account-email"] for job in jobs} == {config.oidc_service_account}


def test_the_address_that_the_login_ends_on_is_in_no_log_of_google_s(live: Cloud, again: Cloud) -> None:
    config = Config.from_env(environment(deployed(live)))
    [filtered] = live.project.excluded.values()
    assert filtered.split(" AND ") == [
        'resource.type="cloud_run_revision"',
        'resource.labels.service_name="gateway"',
        'log_id("run.googleapis.com/requests")',
        f'httpRequest.requestUrl:"{urlsplit(str(config.fyers.redirect_uri)).path}"',
    ]
    assert again.project.excluded == live.project.excluded
    [change] = again.argvs("logging", "sinks", "update")
    assert "update-exclusion" in flags(change)


def test_what_is_built_was_tested_by_an_identity_that_can_deploy_nothing_and_read_no_secret(live: Cloud) -> None:
    tests, build = live.argvs("builds", "submit")
    assert flags(tests)["config"].endswith("/cloudbuild.test.yaml")
    assert flags(tests)["service-account"].endswith("/gateway-tester@my-project.iam.gserviceaccount.com")
    assert "substitutions" not in flags(tests)
    assert flags(build)["config"].endswith("/cloudbuild.yaml")
    assert build[2] == "gs://my-project-gateway-sources/source/tested.tgz"  # the very source that was tested
    may = {role for who, role, _ in roles(live) if who == "gateway-tester"}
    assert may == {"roles/logging.logWriter", "roles/storage.objectViewer"}


def test_tests_that_fail_end_a_release(new: InProject) -> None:
    cloud = new(PAPER)
    cloud.project.failing = ["builds", "submit"]
    assert cloud.run("setup", "image", ok=False).returncode == 1
    assert len(cloud.argvs("builds", "submit")) == 1
    assert cloud.project.things == []


def test_a_notice_comes_back_from_the_topic_to_the_relay_where_there_is_an_address(live: Cloud, new: InProject) -> None:
    [relay] = [flags(argv) for argv in live.argvs("pubsub", "subscriptions", "create")]
    config = Config.from_env(environment(deployed(live)))
    assert relay["push-endpoint"] == f"{URL}/tasks/relay"
    assert relay["push-auth-token-audience"] == config.oidc_audience
    assert relay["push-auth-service-account"] == config.oidc_service_account
    assert int(relay["ack-deadline"]) > RELAY  # else the same notice would be on its way twice
    silent = new(PAPER)
    silent.run("setup", "secrets", "topic", typed="\n" * 5)
    assert not silent.argvs("pubsub", "subscriptions", "create")


def test_orders_leave_from_one_address_that_is_kept(live: Cloud) -> None:
    revision = flags(deployed(live))
    assert (revision["network"], revision["subnet"], revision["vpc-egress"]) == ("gateway", "gateway", "all-traffic")
    [nat] = live.argvs("compute", "routers", "nats", "create")
    assert flags(nat)["nat-external-ip-pool"] == live.argvs("compute", "addresses", "create")[0][3] == "gateway"
    assert "auto-allocate-nat-external-ips" not in flags(nat)


def test_the_platform_s_limits_agree_with_the_server_s() -> None:
    shown = {word for line in (DEPLOY / "lib.sh").read_text().splitlines() for word in line.split()}
    assert f"--concurrency={server.threads}" in shown
    assert "--timeout=60" in shown  # above the longest task, and Cloud Scheduler waits as long
    assert TASK < 60
    assert server.graceful_timeout < 10  # Cloud Run's time between SIGTERM and SIGKILL


def test_the_state_can_be_neither_public_nor_deleted_by_accident(live: Cloud) -> None:
    buckets = live.argvs("storage", "buckets", "create")
    assert len(buckets) == 2
    assert all({"uniform-bucket-level-access", "public-access-prevention"} <= set(flags(argv)) for argv in buckets)
    [kept] = live.argvs("storage", "buckets", "update")
    assert {"versioning", "clear-soft-delete"} <= set(flags(kept))
    [database] = live.argvs("firestore", "databases", "create")
    assert "delete-protection" in flags(database)


def test_firestore_is_told_what_the_list_of_fields_says(live: Cloud) -> None:
    listed = json.loads((DEPLOY / "firestore.indexes.json").read_text())["fieldOverrides"]

    def told(*words: str) -> list[tuple[str, str]]:
        return [(flags(argv)["collection-group"], argv[4]) for argv in live.argvs("firestore", *words, "update")]

    assert told("indexes", "fields") == [(field["collectionGroup"], field["fieldPath"]) for field in listed]
    expiring = [(field["collectionGroup"], field["fieldPath"]) for field in listed if field.get("ttl")]
    assert told("fields", "ttls") == expiring
    assert len(expiring) > 3


def test_paper_and_live_orders_never_share_a_ledger(new: InProject, live: Cloud) -> None:
    cloud = new(PAPER)
    cloud.set_up("ledger")
    databases = [flags(c.argvs("firestore", "databases", "create")[0])["database"] for c in (cloud, live)]
    assert databases == ["gateway-paper", "gateway-fyers"]


def times(cron: str) -> set[str]:
    """The minutes of a weekday at which a job runs, by a reading of cron that is not the product's."""

    def values(field: str, end: int) -> list[int]:
        if field == "*":
            return list(range(end))
        parts = [part.partition("-") for part in field.split(",")]
        return [value for first, _, last in parts for value in range(int(first), int(last or first) + 1)]

    minute, hour, day, month, weekday = cron.split()
    assert (day, month) == ("*", "*")
    assert weekday in ("1-5", "*")
    return {f"{h:02}:{m:02}" for h, m in product(values(hour, 24), values(minute, 60))}


def test_the_day_is_scheduled_as_the_market_s_day_goes(live: Cloud) -> None:
    day: dict[str, set[str]] = {}
    for argv in live.argvs("scheduler", "jobs", "create", "http"):
        job = flags(argv)
        assert job["time-zone"] == "Asia/Kolkata"
        day.setdefault(job["uri"].removeprefix(URL), set()).update(times(job["schedule"]))
    every_minute = {f"{hour:02}:{minute:02}" for hour in range(8, 24) for minute in range(60)}
    quarters = {f"{h:02}:{m:02}" for h in (6, 7, 8, 9) for m in (5, 20, 35, 50)}
    assert day["/refresh-token"] == {at for at in quarters if "06:35" <= at <= "09:15"}
    assert day["/tasks/preflight"] == {"08:45", "09:05"}
    assert day["/tasks/refresh-symbols"] == {"07:45", "08:15"}
    assert day["/tasks/reconcile"] == every_minute
    assert day["/tasks/square-off"] == {"15:20"}


def test_every_address_that_google_and_fyers_call_is_a_route_of_the_gateway(live: Cloud, tmp_path: Path) -> None:
    jobs = [flags(argv) for argv in live.argvs("scheduler", "jobs", "create", "http")]
    posts = {job["uri"] for job in jobs if job["uri"].startswith(URL)}
    posts |= {flags(argv)["push-endpoint"] for argv in live.argvs("pubsub", "subscriptions", "create")}
    revision = flags(deployed(live))
    probes = [re.findall(r"path=([^,]+)", revision[probe])[0] for probe in ("startup-probe", "liveness-probe")]
    assert probes == [
        "/started",
        "/healthz",
    ]  # no alert before all is there; and later nothing that touches the outside
    with gateway(tmp_path) as gate:
        routes = {(method, rule.rule) for rule in gate.app.url_map.iter_rules() for method in rule.methods or ()}
        assert [gate.app.test_client().get(probe).status_code for probe in probes] == [200, 200]
        assert "checks" in gate.app.test_client().get(readiness.ROUTE).get_json()
    assert {("POST", post.removeprefix(URL)) for post in posts} <= routes
    assert ("GET", "/auth/callback") in routes
    assert len(posts) == 6


def test_one_instance_is_warm_in_market_hours_by_an_account_that_can_do_only_that(live: Cloud) -> None:
    jobs = {argv[4]: flags(argv) for argv in live.argvs("scheduler", "jobs", "create", "http")}
    warm, cool = jobs["gateway-warm"], jobs["gateway-cool"]
    assert (times(warm["schedule"]), times(cool["schedule"])) == ({"08:30"}, {"16:00"})
    assert [json.loads(job["message-body"]) for job in (warm, cool)] == [
        {"scaling": {"minInstanceCount": 1}},
        {"scaling": {"minInstanceCount": 0}},
    ]
    assert warm["oauth-service-account-email"] == "gateway-scaler@my-project.iam.gserviceaccount.com"
    [role] = live.argvs("iam", "roles", "create")
    assert flags(role)["permissions"] == "run.services.get,run.services.update"


@pytest.mark.parametrize(("warm", "least"), [("always", "1"), ("never", "0")])
def test_an_instance_may_also_be_kept_warm_always_or_never(copy: InProject, warm: str, least: str) -> None:
    cloud = copy(LIVE | {"WARM": warm})
    cloud.run("setup", "schedule")
    assert [argv[3] for argv in cloud.argvs("scheduler", "jobs", "delete")] == ["gateway-warm", "gateway-cool"]
    assert not any("gateway-scaler" in word for call in cloud.project.calls for word in call.argv)
    [update] = cloud.argvs("run", "services", "update")
    assert flags(update)["min"] == least


def test_what_is_taken_out_of_the_settings_is_deleted(copy: InProject) -> None:
    cloud = copy(LIVE | {"SQUARE_OFF_AT": "", "NO_ALERT_BY": ""})
    cloud.run("setup", "schedule", "monitoring")
    assert [argv[3] for argv in cloud.argvs("scheduler", "jobs", "delete")] == ["gateway-square-off"]
    assert "scheduler jobs gateway-square-off" not in cloud.project.things
    assert len(cloud.argvs("alpha", "monitoring", "policies", "delete")) == 2
    assert not [title for _, title in cloud.project.named.values() if "no alert" in title]


def test_a_strategy_that_is_no_longer_waited_for_loses_its_policy_alone(copy: InProject) -> None:
    cloud = copy(LIVE | {"NO_ALERT_BY": "(11:30 Other=10:00)"})
    cloud.run("setup", "monitoring")
    waited_for = [title for _, title in cloud.project.named.values() if "no alert" in title]
    assert waited_for == ["gateway: no alert yet today", "gateway: no alert of Other yet today"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"PROJECT": ""},
        {"ALERT_EMAIL": ""},
        {"WARM": "sometimes"},
        {"SQUARE_OFF_AT": "1520"},
        {"NO_ALERT_BY": "09:00"},
        {"NO_ALERT_BY": "('ORB 15m=9:30')"},
        {"NO_ALERT_BY": "('a\\\"b=11:00')"},
        {"GATEWAY": "('BROKER=paper|LIVE_TRADING=yes')"},
        {"GATEWAY": "(BROKER=paper SQUARE_OFF_AT=15:20)"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_settings_that_make_no_sense_are_refused_with_a_word(new: InProject, wrong: dict[str, str]) -> None:
    refused = new(PAPER | wrong).run("setup", "--dry-run", ok=False)
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith("error: ")


def test_the_second_run_creates_nothing(live: Cloud, again: Cloud) -> None:
    assert [call.argv for call in again.project.calls if {"create", "submit", "add"} & set(call.argv)] == []
    assert again.project.things == live.project.things
    assert len(again.argvs("scheduler", "jobs", "update")) == 11
    assert len(again.argvs("alpha", "monitoring", "policies", "update")) == 11


def test_a_dry_run_shows_what_the_first_run_does_and_asks_google_nothing(live: Cloud, new: InProject) -> None:
    cloud = new(LIVE)
    shown = [argv for argv in cloud.shown("setup", "--dry-run") if CHANGING & set(argv)]
    assert cloud.project.calls == []
    done = [call.argv for call in live.project.calls if CHANGING & set(call.argv)]
    assert [[word.replace("000000000000", "123456789012") for word in argv] for argv in shown] == done
    assert len(done) > 80
