"""The alert policies look for what the gateway really writes, and in the hours in which the owner should be called."""

import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import promql_parser
import pytest
from google.cloud import monitoring_v3
from ruamel.yaml import YAML

from app.adapters.notify.fanout import Fanout
from app.adapters.notify.sink import NotTaken
from app.domain.calendar import IST
from app.domain.deadline import Deadline
from app.domain.errors import NotNow, Reason
from app.domain.notice import Notice, Severity
from app.login.login import Login
from app.runtime import log as product_log
from app.simulator import Fault, FaultKind
from tests.deploy.cloud import DEPLOY, Cloud
from tests.gateway import Gateway, alert, gateway

METRICS = sorted(path.stem for path in (DEPLOY / "monitoring/metrics").glob("*.yaml"))
POLICIES = sorted(path.stem for path in (DEPLOY / "monitoring/policies").glob("*.yaml"))


def rendered(cloud: Cloud, *words: str) -> dict[str, Any]:
    """What deploy/setup fed to gcloud, by the file it comes from."""
    fed = [call.fed for call in cloud.project.calls if call.argv[: len(words)] == list(words)]
    return {title_of(text): YAML(typ="safe").load(text) for text in fed}


def title_of(text: str) -> str:
    """The line that no two files have in common."""
    return re.search(r"^(displayName|description): (.*)$", text, re.MULTILINE)[2].strip('"')  # type: ignore[index]


@pytest.fixture(scope="module")
def policies(live: Cloud) -> dict[str, Any]:
    return by_file("policies", rendered(live, "alpha", "monitoring", "policies", "create"))


@pytest.fixture(scope="module")
def metrics(live: Cloud) -> dict[str, Any]:
    return by_file("metrics", rendered(live, "logging", "metrics", "create"))


def by_file(folder: str, documents: dict[str, Any]) -> dict[str, Any]:
    titles = {path.stem: title_of(path.read_text()) for path in (DEPLOY / "monitoring" / folder).glob("*.yaml")}
    filled = {name: title.replace("@SERVICE@", "gateway").replace("@OF@", "") for name, title in titles.items()}
    return {name: documents[title] for name, title in filled.items()}


def test_every_policy_and_metric_is_set_up_with_nothing_left_to_fill_in(
    policies: dict[str, Any], metrics: dict[str, Any]
) -> None:
    assert (sorted(policies), sorted(metrics)) == (POLICIES, METRICS)
    assert "@" not in json.dumps([policies, metrics])


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_is_one_that_cloud_monitoring_knows(policies: dict[str, Any], name: str) -> None:
    policy = monitoring_v3.AlertPolicy.from_json(json.dumps(policies[name]), ignore_unknown_fields=False)
    assert list(policy.notification_channels) == ["projects/p/channels/1"]
    assert len(policy.documentation.content) > 40
    assert policy.severity
    for condition in policy.conditions:
        # The API's own rule: a match of log lines must say how often it may notify.
        matches_lines = "condition_matched_log" in condition
        assert bool(policy.alert_strategy.notification_rate_limit.period) == matches_lines


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_has_the_fields_of_a_log_based_metric(metrics: dict[str, Any], name: str) -> None:
    # https://cloud.google.com/logging/docs/reference/v2/rest/v2/projects.metrics#LogMetric
    metric = metrics[name]
    fields = {"description", "filter", "metricDescriptor", "valueExtractor", "bucketOptions", "labelExtractors"}
    assert set(metric) <= fields
    labels = {label["key"] for label in metric["metricDescriptor"].get("labels", [])}
    assert labels == set(metric.get("labelExtractors", {}))
    assert metric["metricDescriptor"]["metricKind"] == "DELTA"
    distribution = metric["metricDescriptor"]["valueType"] == "DISTRIBUTION"
    assert distribution == ("valueExtractor" in metric) == ("bucketOptions" in metric)
    if distribution:
        bounds = metric["bucketOptions"]["explicitBuckets"]["bounds"]
        assert bounds == sorted(set(bounds))
        assert 2000 in bounds  # where the alert is


# --- the filters, against lines that the gateway writes ---------------------------------------------------------------

COMPARISON = re.compile(r'(NOT )?([a-zA-Z_.]+|log_id)(=~|!~|>=|=|\()("(?:[^"\\]|\\.)*"|[0-9]+|[A-Z]+)\)?')
SEVERITIES = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


def fits(query: str, entry: dict[str, Any]) -> bool:
    """Cloud Logging's language, as far as the filters use it: one comparison a line, all of which must hold."""
    results = []
    for line in query.strip().splitlines():
        parts = COMPARISON.fullmatch(line.strip())
        assert parts is not None, f"the test cannot read {line}"
        negated, path, operator, literal = parts.groups()
        wanted = json.loads(literal) if literal[0] == '"' else literal
        results.append(holds(entry, path, operator, wanted) != bool(negated))
    return all(results)


def holds(entry: dict[str, Any], path: str, operator: str, wanted: str) -> bool:
    if path == "log_id":
        return bool(entry["log_id"] == wanted)
    value: Any = entry
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    if value is None:
        return operator == "!~"
    if path == "severity":
        return SEVERITIES.index(value) >= SEVERITIES.index(wanted)
    match operator:
        case "=":
            return str(value) == wanted
        case "=~":
            return re.search(wanted, str(value)) is not None
        case "!~":
            return re.search(wanted, str(value)) is None
        case _:
            return float(value) >= float(wanted)


def entry_of(line: dict[str, Any]) -> dict[str, Any]:
    """A line of the container as Cloud Logging stores it: its special fields beside the rest of them."""
    labels = {"service_name": "gateway"}
    payload = {name: value for name, value in line.items() if name not in ("severity", "time")}
    entry = {"severity": line["severity"], "jsonPayload": payload, "log_id": "run.googleapis.com/stdout"}
    return entry | {"resource": {"type": "cloud_run_revision", "labels": labels}}


class Lines(io.StringIO):
    def entries(self) -> list[dict[str, Any]]:
        return [entry_of(json.loads(line)) for line in self.getvalue().splitlines()]


@pytest.fixture
def lines() -> Lines:
    """What the product's own log writes during the test."""
    sink = Lines()
    product_log.configure("INFO", sink)
    return sink


@pytest.fixture
def gate(lines: Lines, tmp_path: Path) -> Iterator[Gateway]:
    with gateway(tmp_path) as gate:
        yield gate


def matching(query: str, lines: Lines) -> list[dict[str, Any]]:
    return [entry["jsonPayload"] for entry in lines.entries() if fits(query, entry)]


def log_filter(policy: dict[str, Any]) -> str:
    [condition] = policy["conditions"]
    query = condition["conditionMatchedLog"]["filter"]
    assert isinstance(query, str)
    return query


def test_the_metrics_count_alerts_answers_and_reconciles(gate: Gateway, lines: Lines, metrics: dict[str, Any]) -> None:
    gate.send()
    gate.send(b"nonsense")
    gate.send(alert(action="HOLD"))
    gate.operate("POST", "/tasks/reconcile")
    assert len(matching(metrics["alerts"]["filter"], lines)) == 1
    assert len(matching(metrics["reconciled"]["filter"], lines)) == 1
    timed = matching(metrics["answer_ms"]["filter"], lines)
    assert len(timed) == 3
    field = re.fullmatch(r"EXTRACT\(jsonPayload\.(\w+)\)", metrics["answer_ms"]["valueExtractor"])
    assert field is not None
    assert all(0 < line[field[1]] < 60_000 for line in timed)


def test_an_order_in_doubt_alerts_once_and_a_fine_one_does_not(
    gate: Gateway, lines: Lines, policies: dict[str, Any]
) -> None:
    gate.send()
    assert not matching(log_filter(policies["unresolved"]), lines)
    gate.account.fault("place", Fault(FaultKind.DROP))
    assert gate.send().status_code == 202
    assert len(matching(log_filter(policies["unresolved"]), lines)) == 1
    assert not matching(log_filter(policies["critical"]), lines)  # the other policy has it


def test_a_rejection_and_a_halt_alert_as_critical(gate: Gateway, lines: Lines, policies: dict[str, Any]) -> None:
    gate.account.fault("place", Fault(FaultKind.REJECT))
    gate.send()
    gate.operate("POST", "/trading-state", {"state": "HALTED", "reason": "a test"})
    gate.operate("POST", "/tasks/reconcile")  # takes the notice out of the outbox
    assert [line["kind"] for line in matching(log_filter(policies["critical"]), lines)] == ["rejected", "trading-state"]


@pytest.mark.parametrize(
    ("at", "alerts"), [("06:50", False), ("08:35", False), ("08:50", True), ("09:05", True), ("15:00", False)]
)
def test_a_missing_login_alerts_from_a_quarter_to_nine(
    lines: Lines, policies: dict[str, Any], at: str, alerts: bool
) -> None:
    """The line is the product's own: `Login` makes the notice, the fan-out logs it."""
    hour, minute = map(int, at.split(":"))
    now = datetime(2026, 11, 20, hour, minute, tzinfo=IST).astimezone(UTC)
    sent: list[Notice] = []
    _login_at(now, sent)._send_link(None)  # type: ignore[arg-type]
    [notice] = sent
    assert notice.kind == "login-link"
    Fanout([], lambda: 0.0).send(notice, None)  # type: ignore[arg-type]
    assert bool(matching(log_filter(policies["needs-login"]), lines)) == alerts


def _login_at(now: datetime, sent: list[Notice]) -> Login:
    """A login that finds no token, at that time."""

    def look(deadline: object, *, fresh: bool = False, tell: bool = True) -> None:
        raise NotNow(Reason.NEEDS_LOGIN)

    current = SimpleNamespace(
        look=look, tell=lambda notice, deadline: sent.append(notice), way_in=lambda _: "https://login.example/link"
    )
    clock = SimpleNamespace(now=lambda: now)
    return Login(None, None, current, None, clock, None, "A-200", None)  # type: ignore[arg-type]


def test_a_phone_that_cannot_be_reached_is_told_by_another_way(lines: Lines, policies: dict[str, Any]) -> None:
    class Deaf:
        name = "deaf"

        def push(self, notice: Notice, seconds: float) -> None:
            raise NotTaken("it hung up")

    notice = Notice("a:1", "denied", Severity.WARNING, "Denied.")
    Fanout([Deaf()], lambda: 0.0).send(notice, Deadline(lambda: 0.0, 5.0))
    assert len(matching(log_filter(policies["notices-stuck"]), lines)) == 1


def test_a_5xx_of_any_route_alerts_but_ready_may_say_that_it_is_not_ready(policies: dict[str, Any]) -> None:
    def request(status: int, url: str) -> dict[str, Any]:
        entry = entry_of({"severity": "ERROR", "message": ""}) | {"log_id": "run.googleapis.com/requests"}
        return entry | {"httpRequest": {"status": status, "requestUrl": url}}

    query = log_filter(policies["server-errors"])
    assert fits(query, request(503, "https://here.example/webhook"))
    assert fits(query, request(500, "https://here.example/tasks/reconcile"))
    assert not fits(query, request(422, "https://here.example/webhook"))
    for route in ("/ready", "/readyz"):
        assert not fits(query, request(503, f"https://here.example{route}"))


def test_a_failed_job_of_this_service_alerts_and_no_other_s(policies: dict[str, Any]) -> None:
    def attempt(job: str, severity: str) -> dict[str, Any]:
        return {"severity": severity, "resource": {"type": "cloud_scheduler_job", "labels": {"job_id": job}}}

    query = log_filter(policies["scheduler"])
    assert fits(query, attempt("gateway-reconcile", "ERROR"))
    assert not fits(query, attempt("gateway-reconcile", "INFO"))
    assert not fits(query, attempt("other-reconcile", "ERROR"))


# --- the queries -----------------------------------------------------------------------------------------------------

WEEK = [datetime(2026, 11, 16, tzinfo=IST) + timedelta(minutes=count) for count in range(7 * 24 * 60)]  # from a Monday


def query_of(policy: dict[str, Any]) -> str:
    [condition] = policy["conditions"]
    query = condition["conditionPrometheusQueryLanguage"]["query"]
    assert isinstance(query, str)
    promql_parser.parse(query)
    return query


def alerting(query: str) -> list[str]:
    """When the query's clock lets it alert, by IST; its clauses of time are read here as PromQL does: in UTC."""
    clauses = re.findall(r"and on\(\) \((.*)\)", query)
    assert len(clauses) == 4
    code = [re.sub(r"(hour|minute|day_of_week)\(\)", r"\1", clause) for clause in clauses]
    found = []
    for moment in WEEK:
        utc = moment.astimezone(UTC)
        names = {"hour": utc.hour, "minute": utc.minute, "day_of_week": utc.isoweekday() % 7}
        if all(eval(clause, {"__builtins__": {}}, names) for clause in code):  # noqa: S307 -- arithmetic of our own file
            found.append(f"{moment:%a %H:%M}")
    return found


def test_a_stopped_reconcile_alerts_all_session_and_at_no_other_time(policies: dict[str, Any]) -> None:
    query = query_of(policies["no-heartbeat"])
    assert "user_gateway_reconciled{" in query
    when = alerting(query)
    assert (when[0], when[-1]) == ("Mon 09:10", "Fri 15:50")
    assert len(when) == 5 * (6 * 60 + 41)


def test_a_day_without_an_alert_is_told_where_the_owner_wants_to_know(policies: dict[str, Any]) -> None:
    query = query_of(policies["no-alert"])  # set up with NO_ALERT_BY=11:00
    when = alerting(query)
    assert when[:2] == ["Mon 11:00", "Mon 11:01"]
    assert when[-1] == "Fri 11:10"
    assert "user_gateway_alerts{" in query
    assert "[105m]" in query  # back to 09:15


def test_a_strategy_can_have_a_time_of_its_own(
    live: Cloud, gate: Gateway, lines: Lines, metrics: dict[str, Any]
) -> None:
    fed = rendered(live, "alpha", "monitoring", "policies", "create")
    query = query_of(fed["gateway: no alert of ORB 15m yet today"])
    assert (alerting(query)[0], alerting(query)[-1]) == ("Mon 10:30", "Fri 10:40")
    assert '{monitored_resource="cloud_run_revision",strategy="ORB 15m"}[75m]' in query
    gate.send(strategy="ORB 15m")
    [line] = matching(metrics["alerts"]["filter"], lines)
    field = re.fullmatch(r"EXTRACT\(jsonPayload\.(\w+)\)", metrics["alerts"]["labelExtractors"]["strategy"])
    assert field is not None
    assert line[field[1]] == "ORB 15m"


@pytest.mark.parametrize(("policy", "metric"), [("no-heartbeat", "reconciled"), ("no-alert", "alerts")])
def test_a_query_asks_for_a_metric_that_is_set_up(
    live: Cloud, policies: dict[str, Any], policy: str, metric: str
) -> None:
    assert [f"gateway_{metric}"] in [argv[3:4] for argv in live.argvs("logging", "metrics", "create")]
    assert f"logging_googleapis_com:user_gateway_{metric}{{" in query_of(policies[policy])


def test_the_p99_alert_asks_for_the_metric_of_answers(live: Cloud, policies: dict[str, Any]) -> None:
    [condition] = policies["slow-answers"]["conditions"]
    threshold = condition["conditionThreshold"]
    assert 'logging.googleapis.com/user/gateway_answer_ms"' in threshold["filter"]
    assert (threshold["thresholdValue"], threshold["comparison"]) == (2000, "COMPARISON_GT")
