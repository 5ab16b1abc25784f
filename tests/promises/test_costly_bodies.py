"""A stranger's body costs no more than its length: 64 KiB of anything, ten milliseconds of processor time."""

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.domain.alert.strict_json import token_in
from app.web.intake import STRIKES_PER_MINUTE
from proof import costly_wire
from proof.costly import MOST, SHAPES, SIZE, Scales
from proof.gateway import a_gateway
from proof.processes.lab import ROOT
from tests.examples import examples
from tests.gateway import SECRET, alert, gateway

pytestmark = pytest.mark.measures

TRIES = 25  # the least of so many, where the machine is busy
TWICE = 2.6  # what twice the length may cost: twice as much, and what a machine's caches add
SMALL = 0.001  # seconds: below it the request itself is what is measured


@pytest.fixture(scope="module")
def scales(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scales]:
    with a_gateway(tmp_path_factory.mktemp("scales")) as there:
        logger = logging.getLogger("gateway")
        before = logger.level
        logger.setLevel(logging.CRITICAL)
        yield Scales(there)
        logger.setLevel(before)


@pytest.mark.parametrize("name", SHAPES)
def test_no_body_of_the_size_that_is_allowed_costs_more_than_ten_milliseconds(scales: Scales, name: str) -> None:
    body = SHAPES[name](SIZE)
    assert SIZE - 2000 < len(body) <= SIZE
    assert scales.weigh(body)[1] in (400, 401)
    assert scales.least(body, enough=MOST, times=TRIES) <= MOST


@pytest.fixture(scope="module")
def on_the_wire() -> dict[str, float]:
    """Seconds for each shape: the command forks the server, which this process with its threads does not."""
    command = [sys.executable, "-m", "proof.costly_wire"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    lines = [line.split(" ms  ") for line in said.stdout.splitlines()]
    return {name: float(milliseconds) / 1000 for milliseconds, name in lines}


@pytest.mark.parametrize("name", costly_wire.SHAPES)
def test_64_kib_on_the_wire_cost_the_server_no_more_than_ten_milliseconds_whatever_they_are(
    on_the_wire: dict[str, float], name: str
) -> None:
    assert SIZE - 2000 < len(costly_wire.SHAPES[name](SIZE)) <= SIZE
    assert on_the_wire[name] <= MOST


def test_what_is_measured_is_what_the_server_s_processor_does(on_the_wire: dict[str, float]) -> None:
    assert 0 < on_the_wire["empty lines"] < on_the_wire["requests ahead"]


def test_what_is_measured_is_what_the_processor_does_what_the_processor_does(scales: Scales) -> None:
    """The measure works: a body with more to read costs more."""
    assert scales.least(b"{}") < scales.least(SHAPES["objects with a name each"](SIZE))


_MARKS = st.text('{}[]":,\\ \nabu019.eE+-tNl“é', min_size=1, max_size=9)
_PARTS = st.sampled_from(
    ['"token"', '"token":', '"":0', "{}", "[]", '{"":0}', "NaN", "true", "0", "1e9", '"\\u00e9"', '\\"', "\\ud800", ","]
)
_UNITS = st.lists(_MARKS | _PARTS, min_size=1, max_size=4).map("".join)
_OPENINGS = st.sampled_from(["", "{", '{"a":[0,', '{"a":"', '{"a":', '{"token":"', "["])
_CLOSINGS = st.sampled_from(["", "0", "]}", '"}', "}", "0]}"])


@given(_OPENINGS, _UNITS, _CLOSINGS)
@example("{", '"":0,', '"":0}')
@example('{"a":[0,', "{},", "0]}")
@example('{"a":[0,', "0,", "0]}")
@example("", '"token" : ', "")
@example('{"token":"', '\\"token":"', '"}')
@settings(max_examples=examples(60), deadline=None)
def test_twice_the_length_costs_twice_the_time_and_no_more(
    scales: Scales, opening: str, unit: str, closing: str
) -> None:
    def body(size: int) -> bytes:
        return (opening + unit * (size // len(unit.encode())) + closing).encode()[:size]

    def doubles() -> bool:
        half = scales.least(body(SIZE // 2), enough=SMALL / TWICE)
        bound = max(half * TWICE, SMALL)
        return scales.least(body(SIZE), enough=bound) <= bound

    assert any(doubles() for _ in range(TRIES // 5))
    assert scales.least(body(SIZE), enough=MOST, times=TRIES) <= MOST


# -- how often, from one address


def _fails(*_: Any) -> None:
    raise AssertionError("the body was decoded")


@pytest.mark.parametrize(
    "wrong",
    [b'{"token": "guess-number-0000"}', b'{"token": "guess-number-0000", ', b"", b'{"token": 1, "token": 2}', b"{}"],
)
def test_a_body_without_the_secret_counts_whatever_it_is_and_over_the_count_none_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: bytes
) -> None:
    with gateway(tmp_path) as gate:
        said = [gate.send(wrong).status_code for _ in range(STRIKES_PER_MINUTE + 1)]
        assert set(said[:-1]) < {400, 401}
        assert said[-1] == 429
        with monkeypatch.context() as patched:
            patched.setattr("app.web.webhook.decode", _fails)
            for body in (wrong, b'{"token": "guess-number-0001"}', b'{"comment": "' + SECRET.encode() + b'"}'):
                assert gate.send(body).json["reason"] == "TOO_MANY_REQUESTS"
        assert gate.send().status_code == 200


def test_over_the_count_the_right_secret_goes_on_as_ever_however_it_is_written(tmp_path: Path) -> None:
    secret = 'a "secret" / of ключ'
    with gateway(tmp_path, WEBHOOK_SECRET_TOKEN=secret) as gate:
        for _ in range(STRIKES_PER_MINUTE):
            gate.send(b"{")
        assert gate.send().status_code == 429
        assert gate.send(token=secret).status_code == 200
        raw = gate.send(token="TOKEN", alert_id="another")
        assert raw.status_code == 429
        written = secret.replace('"', '\\"').replace("/", "\\/")
        body = f'{{"comment": "", "token" :\t"{written}", "action": "HOLD"}}'.encode()
        assert gate.send(body).status_code == 400
        assert gate.send(f'{{"token": "{written}", }}'.encode()).status_code == 400
        assert gate.send(f'{{"token": "{written}", "token": "{written}"}}'.encode()).status_code == 400


def test_over_the_count_the_token_that_would_be_decoded_is_the_one_that_counts(tmp_path: Path) -> None:
    with gateway(tmp_path) as gate:
        for _ in range(STRIKES_PER_MINUTE + 1):
            refused = gate.send(b"{}")
        assert refused.status_code == 429
        first, second, third = (alert(symbol="NIFTY") for _ in range(3))
        assert gate.send(b'{"meta": {"token": "x"}, ' + first[1:]).status_code == 200
        assert gate.send(second.replace(b'"token"', b'"\\u0074oken"')).status_code == 200
        nested = third.replace(SECRET.encode(), b"guess-number-0000")
        assert gate.send(b'{"meta": {"token": "' + SECRET.encode() + b'"}, ' + nested[1:]).status_code == 429


@pytest.mark.parametrize(
    "unit",
    ['"token":', '["token":', '{"":{"token":', '{"token":"",', '"":[],"token":', '""', '"token" ', "[]", '"\\u0074'],
)
def test_over_the_count_no_body_costs_more_than_ten_milliseconds(unit: str) -> None:
    body = (b"{" + unit.encode() * SIZE)[:SIZE]

    def took() -> float:
        started = time.process_time()
        token_in(body)
        return time.process_time() - started

    assert min(took() for _ in range(5)) <= MOST


def test_a_broken_body_with_the_right_secret_counts_for_nothing(tmp_path: Path) -> None:
    with gateway(tmp_path) as gate:
        broken = f'{{"token": "{SECRET}", "qty": }}'.encode()
        assert {gate.send(broken).status_code for _ in range(3 * STRIKES_PER_MINUTE)} == {400}
        assert gate.send(b'{"token": "guess-number-0000"}').status_code == 401
