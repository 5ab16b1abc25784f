"""Operators' routes: only OPERATOR_TOKEN opens them, and Google's signature for the scheduler the tasks."""

import base64
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from app.adapters.google import GoogleIdTokens
from app.domain.deadline import Deadline
from app.domain.secret import Secret
from app.operations.operators import (
    CannotVerify,
    NobodyIsOperator,
    NoCredentials,
    NotAnOperator,
    Operator,
    OperatorAuth,
    OtherIdentity,
    TasksOnly,
)
from tests.google_identity import AUDIENCE, SCHEDULER, Certificates, Key
from tests.stopwatch import Stopwatch
from tests.waiting import finish

OPERATOR_TOKEN = "CANARY-operator-token"
WEBHOOK_SECRET = "CANARY-webhook-secret"


class Clock:
    """Only for how long certificates are kept: Google's library reads the real time of a token."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture(scope="module")
def key() -> Key:
    return Key("key-1")


@pytest.fixture(scope="module")
def other_key() -> Key:
    return Key("key-2")


@pytest.fixture
def certificates(key: Key) -> Iterator[Certificates]:
    server = Certificates()
    server.publish(key)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    finish(thread)
    server.server_close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def auth(certificates: Certificates, clock: Clock) -> OperatorAuth:
    return operators(certificates, clock)


def operators(
    certificates: Certificates,
    clock: Clock,
    token: str | None = OPERATOR_TOKEN,
    audience: str | None = AUDIENCE,
    account: str | None = SCHEDULER,
) -> OperatorAuth:
    id_tokens = GoogleIdTokens(clock, certificates.url)
    return OperatorAuth(Secret(token) if token else None, audience, account, id_tokens, [Secret(WEBHOOK_SECRET)])


def soon(seconds: float = 2.0) -> Deadline:
    return Deadline(time.monotonic, seconds)


def bearer(token: str) -> str:
    return f"Bearer {token}"


def test_the_operators_token_opens(auth: OperatorAuth, certificates: Certificates) -> None:
    assert auth.check(bearer(OPERATOR_TOKEN), soon()) == Operator("operator")
    assert auth.check(f"bearer   {OPERATOR_TOKEN} ", soon()) == Operator("operator")
    assert certificates.fetches == 0


def test_a_token_that_google_signed_for_us_and_our_account_opens_the_tasks(auth: OperatorAuth, key: Key) -> None:
    assert auth.check(bearer(key.token()), soon(), task=True) == Operator(SCHEDULER, tasks_only=True)
    assert auth.check(bearer(key.token(iss="accounts.google.com")), soon(), task=True).name == SCHEDULER


def test_the_scheduler_s_identity_opens_nothing_but_the_tasks(auth: OperatorAuth, key: Key) -> None:
    with pytest.raises(TasksOnly) as refused:
        auth.check(bearer(key.token()), soon())
    assert "needs OPERATOR_TOKEN" in str(type(refused.value).__doc__)
    assert auth.check(bearer(OPERATOR_TOKEN), soon(), task=True) == Operator("operator")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        OPERATOR_TOKEN,
        f"Basic {OPERATOR_TOKEN}",
        bearer(OPERATOR_TOKEN[:-1]),
        bearer(OPERATOR_TOKEN + "x"),
        bearer(OPERATOR_TOKEN.lower()),
        bearer("ümlaut-\udcff-" + "x" * 30),
        bearer("x" * 9000),
        bearer("a.b.c"),
        bearer("..."),
        bearer(".."),
        bearer("e30.e30.e30"),
        bearer("W10.W10.W10"),
        bearer(base64.urlsafe_b64encode(b"[" * 4000).decode() + ".e30.e30"),
        "X-CloudScheduler: true",
    ],
)
def test_anything_else_does_not_open(auth: OperatorAuth, header: str | None) -> None:
    with pytest.raises(NoCredentials):
        auth.check(header, soon())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"aud": "https://gateway.example/"}, NoCredentials),
        ({"aud": [AUDIENCE, "https://other.example"]}, NoCredentials),
        ({"aud": ""}, NoCredentials),
        ({"aud": None}, NoCredentials),
        ({"iss": "https://accounts.example"}, NoCredentials),
        ({"iss": None}, NoCredentials),
        ({"exp": 1}, NoCredentials),
        ({"exp": None}, NoCredentials),
        ({"exp": "tomorrow"}, NoCredentials),
        ({"iat": 4102444800}, NoCredentials),
        ({"email": "somebody@project.iam.gserviceaccount.com"}, OtherIdentity),
        ({"email": SCHEDULER.upper()}, OtherIdentity),
        ({"email": None}, OtherIdentity),
        ({"email_verified": False}, OtherIdentity),
        ({"email_verified": "true"}, OtherIdentity),
        ({"email_verified": None}, OtherIdentity),
    ],
)
def test_a_google_token_for_others_by_others_or_out_of_time_does_not_open(
    auth: OperatorAuth, key: Key, changes: dict[str, Any], why: type[NoCredentials] | type[OtherIdentity]
) -> None:
    with pytest.raises(why):
        auth.check(bearer(key.token(**changes)), soon())


def test_a_token_that_is_unsigned_or_signed_by_another_key_does_not_open(
    auth: OperatorAuth, key: Key, other_key: Key
) -> None:
    header, claims, signature = key.token().split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","kid":"key-1"}').rstrip(b"=").decode()
    shared = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"key-1"}').rstrip(b"=").decode()
    unhashable = base64.urlsafe_b64encode(b'{"alg":"RS256","kid":["key-1"]}').rstrip(b"=").decode()
    impostor = Key.token(other_key).split(".")
    for forged in (
        f"{unsigned}.{claims}.",
        f"{shared}.{claims}.{signature}",
        f"{unhashable}.{claims}.{signature}",
        f"{header}.{claims}.{impostor[2]}",
        f"{header}.{impostor[1][:-4]}AAAA.{signature}",
        ".".join(impostor),
        f"{header}.{claims}.SIGNATURE_REMOVED_BY_GOOGLE",
    ):
        with pytest.raises(NoCredentials):
            auth.check(bearer(forged), soon())


def test_the_webhook_secret_never_opens_even_where_it_is_also_the_operators_token(
    auth: OperatorAuth, certificates: Certificates, clock: Clock
) -> None:
    careless = operators(certificates, clock, token=WEBHOOK_SECRET)

    for each in (auth, careless):
        with pytest.raises(NoCredentials):
            each.check(bearer(WEBHOOK_SECRET), soon())


def test_where_nothing_is_configured_there_is_no_operator(certificates: Certificates, clock: Clock, key: Key) -> None:
    closed = operators(certificates, clock, token=None, audience=None, account=None)

    for header in (None, bearer(OPERATOR_TOKEN), bearer(key.token())):
        with pytest.raises(NobodyIsOperator):
            closed.check(header, soon())
    assert certificates.fetches == 0


def test_without_an_audience_no_google_token_opens(certificates: Certificates, clock: Clock, key: Key) -> None:
    only_token = operators(certificates, clock, audience=None, account=None)

    with pytest.raises(NoCredentials):
        only_token.check(bearer(key.token(aud=None)), soon())
    with pytest.raises(ValueError, match="without an audience"):
        GoogleIdTokens(clock, certificates.url).claims(key.token(), "", soon())


@pytest.mark.parametrize(
    "gap",
    [{"token": "short"}, {"audience": None}, {"account": None}, {"audience": ""}, {"account": ""}],
)
def test_settings_that_would_leave_a_gap_are_refused(
    certificates: Certificates, clock: Clock, gap: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"OPERATOR_TOKEN needs|OIDC_AUDIENCE and"):
        operators(certificates, clock, **gap)


def test_the_certificates_are_fetched_once_and_again_when_they_are_too_old(
    auth: OperatorAuth, key: Key, certificates: Certificates, clock: Clock
) -> None:
    for _ in range(5):
        auth.check(bearer(key.token()), soon(), task=True)
    assert certificates.fetches == 1

    clock.seconds = 3601
    auth.check(bearer(key.token()), soon(), task=True)

    assert certificates.fetches == 2


def test_callers_at_once_fetch_the_certificates_once(auth: OperatorAuth, key: Key, certificates: Certificates) -> None:
    token = key.token()
    with ThreadPoolExecutor(3) as pool:
        names = list(pool.map(lambda _: auth.check(bearer(token), soon(), task=True).name, range(12)))

    assert names == [SCHEDULER] * 12
    assert certificates.fetches == 1


def test_while_google_hangs_made_up_tokens_hold_three_threads_and_no_more(
    auth: OperatorAuth, key: Key, other_key: Key, certificates: Certificates
) -> None:
    certificates.drip = 0.05
    watch, ended = Stopwatch(), []

    def ask(token: str) -> None:
        with pytest.raises(CannotVerify):
            auth.check(bearer(token), soon(1.0), task=True)
        ended.append(watch.wall)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, [key.token(), other_key.token()] * 8))
    assert sum(seconds > 0.5 for seconds in ended) <= 3
    assert certificates.fetches == 1


def test_who_has_a_key_that_is_known_waits_for_no_fetch_that_a_made_up_token_began(
    auth: OperatorAuth, key: Key, other_key: Key, clock: Clock
) -> None:
    token, made_up = key.token(), other_key.token()
    auth.check(bearer(token), soon(), task=True)
    clock.seconds = 61  # a key that is not known is asked for again
    id_tokens: Any = auth._id_tokens
    id_tokens._fetches.last = Future()  # the fetch is under way
    assert auth.check(bearer(token), soon(), task=True).name == SCHEDULER
    with pytest.raises(CannotVerify):
        auth.check(bearer(made_up), soon(0.1))


def test_the_pause_after_a_fetch_that_failed_begins_when_it_ends(
    auth: OperatorAuth, key: Key, certificates: Certificates, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_tokens: Any = auth._id_tokens
    fetched = id_tokens._fetched

    def takes_two_seconds(within: Deadline) -> Any:
        clock.seconds += 2.0
        return fetched(within)

    monkeypatch.setattr(auth._id_tokens, "_fetched", takes_two_seconds)
    certificates.status = 500
    for _ in range(3):
        with pytest.raises(CannotVerify):
            auth.check(bearer(key.token()), soon(), task=True)
    assert certificates.fetches == 1


def test_a_new_key_of_googles_is_known_within_a_minute_and_made_up_ones_fetch_no_more_often(
    auth: OperatorAuth, key: Key, other_key: Key, certificates: Certificates, clock: Clock
) -> None:
    auth.check(bearer(key.token()), soon(), task=True)
    certificates.publish(key, other_key)
    for _ in range(20):
        with pytest.raises(NoCredentials):
            auth.check(bearer(other_key.token()), soon())
    assert certificates.fetches == 1

    clock.seconds = 61
    assert auth.check(bearer(other_key.token()), soon(), task=True).name == SCHEDULER


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b"{}"), (302, b"{}"), (200, b"<html>"), (200, b"[]"), (200, b"{}" + b" " * 70_000), (200, b"")],
)
def test_without_certificates_a_caller_is_refused_and_the_next_try_may_succeed(
    auth: OperatorAuth, key: Key, certificates: Certificates, clock: Clock, status: int, body: bytes
) -> None:
    good = certificates.body
    certificates.status, certificates.body = status, body
    with pytest.raises(CannotVerify):
        auth.check(bearer(key.token()), soon())
    with pytest.raises(CannotVerify):
        auth.check(bearer(key.token()), soon(), task=True)
    assert certificates.fetches == 1
    assert auth.check(bearer(OPERATOR_TOKEN), soon()).name == "operator"

    certificates.status, certificates.body = 200, good
    clock.seconds = 3
    assert auth.check(bearer(key.token()), soon(), task=True).name == SCHEDULER


def test_a_certificate_server_that_drips_holds_no_caller_longer_than_the_deadline(
    auth: OperatorAuth, key: Key, certificates: Certificates
) -> None:
    certificates.drip = 0.02
    watch = Stopwatch()

    with pytest.raises(CannotVerify):
        auth.check(bearer(key.token()), soon(0.2))

    assert watch.seconds < 1


def test_a_certificate_server_that_is_gone_lets_no_caller_in(key: Key, clock: Clock) -> None:
    gone = OperatorAuth(None, AUDIENCE, SCHEDULER, GoogleIdTokens(clock, "http://127.0.0.1:9/certs"), [])

    with pytest.raises(CannotVerify):
        gone.check(bearer(key.token()), soon())


def test_no_token_shows_in_logs_errors_or_reprs(auth: OperatorAuth, key: Key, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    forged = key.token(aud="https://other.example")
    shown = [repr(auth), repr(auth.__dict__)]
    for header in (bearer(forged), bearer(WEBHOOK_SECRET), bearer("CANARY.CANARY.CANARY"), "Basic CANARY"):
        with pytest.raises(NotAnOperator) as refusal:
            auth.check(header, soon())
        shown.append(f"{refusal.value!r} {refusal.value.__cause__!r}")

    everything = caplog.text + repr(shown)
    assert "CANARY" not in everything
    assert forged.split(".")[1] not in everything
