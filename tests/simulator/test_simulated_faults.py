"""Every fault, seen from the client's side of the socket and from the book's."""

import http.client
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from fyers_apiv3.fyersModel import FyersModel

from app.simulator import Exchange, Fault, FaultKind, Simulator, Status
from app.simulator.faults import read_faults
from app.simulator.orders import Order
from tests.simulator.fixed_account import APP_ID, CALL, Ask, Fields
from tests.stopwatch import Stopwatch
from tests.waiting import finish

PLACE = ("POST", "/api/v3/orders/sync")
OF_THE_CLIENT = {"code": -99, "message": "Bad request", "s": "error"}  # what the SDK says when it got no answer


def live(exchange: Exchange) -> list[Order]:
    return [each for each in exchange.orders() if each.status is not Status.REJECTED]


def eventually(condition: Callable[[], object], seconds: float = 3.0) -> bool:
    """Whether the condition comes true; for what happens after the client has given up."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return bool(condition())


def test_latency_delays_the_answer_and_the_effect(
    simulator: Simulator, exchange: Exchange, ask: Ask, order: Fields
) -> None:
    simulator.fault("place", Fault(FaultKind.LATENCY, seconds=0.2))
    caller = threading.Thread(target=ask, args=(*PLACE, order()))
    started = time.perf_counter()
    caller.start()
    time.sleep(0.08)
    assert live(exchange) == []
    finish(caller)
    assert time.perf_counter() - started >= 0.2
    assert len(live(exchange)) == 1


def test_latency_after_processing_delays_the_answer_only(
    simulator: Simulator, exchange: Exchange, ask: Ask, order: Fields
) -> None:
    simulator.fault("place", Fault(FaultKind.LATENCY, seconds=0.2, processed=True))
    with pytest.raises(TimeoutError):
        ask(*PLACE, order(), timeout=0.08)
    assert eventually(lambda: len(live(exchange)) == 1)


def test_latency_goes_along_with_another_fault(simulator: Simulator, ask: Ask, order: Fields) -> None:
    simulator.fault("place", Fault(FaultKind.LATENCY, seconds=0.1))
    simulator.fault("place", Fault(FaultKind.HTML, status=502))
    started = time.perf_counter()
    assert ask(*PLACE, order())[0] == 502
    assert time.perf_counter() - started >= 0.1
    assert simulator.log[-1].fault == "latency, html"


def test_every_answer_can_be_given_a_latency(exchange: Exchange, order: Fields) -> None:
    with Simulator(exchange, latency=0.1, rate_limits=False) as simulator:
        connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=5)
        started = time.perf_counter()
        connection.request("GET", "/sym_details/BSE_FO.csv")
        connection.getresponse().read()
        assert time.perf_counter() - started >= 0.1
        connection.close()


@pytest.mark.parametrize("processed", [True, False])
def test_a_hanging_call_is_never_answered(
    simulator: Simulator, exchange: Exchange, ask: Ask, order: Fields, processed: bool
) -> None:
    simulator.fault("place", Fault(FaultKind.HANG, processed=processed))
    with pytest.raises(TimeoutError):
        ask(*PLACE, order(), timeout=0.1)
    assert eventually(lambda: simulator.log and simulator.log[-1].fault == "hang")
    entry = simulator.log[-1]
    if processed:
        assert eventually(lambda: entry.live)
    assert (len(live(exchange)), entry.live) == (processed, processed)
    assert (entry.status, entry.answered_at, entry.fault) == (None, None, "hang")


def test_a_hanging_call_may_end_by_itself(simulator: Simulator, client: FyersModel, order: Fields) -> None:
    simulator.fault("place", Fault(FaultKind.HANG, seconds=0.05))
    assert client.place_order(order()) == OF_THE_CLIENT


def test_stopping_releases_a_hanging_call_at_once(exchange: Exchange, order: Fields) -> None:
    simulator = Simulator(exchange, rate_limits=False).start()
    simulator.fault("*", Fault(FaultKind.HANG))
    connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=5)
    connection.request(*PLACE, json.dumps(order()))
    time.sleep(0.05)
    watch = Stopwatch()
    simulator.stop()
    with pytest.raises(http.client.RemoteDisconnected):
        connection.getresponse()
    assert watch.seconds < 2
    connection.close()


@pytest.mark.parametrize("processed", [True, False])
@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.RESET])
def test_a_dropped_connection_tells_nothing_about_the_order(
    simulator: Simulator,
    exchange: Exchange,
    client: FyersModel,
    order: Fields,
    kind: FaultKind,
    processed: bool,
) -> None:
    simulator.fault("place", Fault(kind, processed=processed))
    assert client.place_order(order()) == OF_THE_CLIENT
    assert len(live(exchange)) == processed
    assert client.place_order(order())["code"] == 1101


def test_a_reset_is_a_reset_and_a_drop_is_an_end(simulator: Simulator, ask: Ask, order: Fields) -> None:
    simulator.fault("place", Fault(FaultKind.RESET))
    with pytest.raises(ConnectionResetError) as reset:
        ask(*PLACE, order())
    assert not isinstance(reset.value, http.client.RemoteDisconnected)
    simulator.fault("place", Fault(FaultKind.DROP))
    with pytest.raises(http.client.RemoteDisconnected):
        ask(*PLACE, order())


def test_code_201_acknowledges_nothing_and_the_order_is_live(
    simulator: Simulator, exchange: Exchange, client: FyersModel, order: Fields
) -> None:
    simulator.fault("place", Fault(FaultKind.NO_ACK))
    answer = client.place_order(order())
    assert (answer["code"], "id" in answer, len(live(exchange))) == (201, False, 1)


@pytest.mark.parametrize("processed", [True, False])
@pytest.mark.parametrize("status", [200, 403, 502, 503, 504])
def test_a_page_comes_instead_of_json(
    simulator: Simulator,
    exchange: Exchange,
    ask: Ask,
    client: FyersModel,
    order: Fields,
    status: int,
    processed: bool,
) -> None:
    simulator.fault("place", Fault(FaultKind.HTML, status=status, processed=processed, times=2))
    answered, headers, text = ask(*PLACE, order())
    assert (answered, headers["Content-Type"]) == (status, "text/html; charset=UTF-8")
    assert text.startswith("<!DOCTYPE html>")
    assert client.place_order(order()) == {"s": "error", "code": status, "message": "Bad request"}
    assert len(live(exchange)) == 2 * processed


@pytest.mark.parametrize("processed", [True, False])
def test_any_answer_can_be_given(
    simulator: Simulator, exchange: Exchange, ask: Ask, order: Fields, processed: bool
) -> None:
    fault = Fault(FaultKind.ANSWER, status=418, body={"s": "teapot"}, headers={"X-Tea": "1"}, processed=processed)
    simulator.fault("place", fault)
    status, headers, content = ask(*PLACE, order())
    assert (status, headers["X-Tea"], content) == (418, "1", {"s": "teapot"})
    assert len(live(exchange)) == processed


def test_429_comes_in_the_envelope_or_as_a_page(
    simulator: Simulator, exchange: Exchange, ask: Ask, order: Fields
) -> None:
    simulator.fault("place", Fault(FaultKind.RATE_LIMITED, seconds=2.5))
    simulator.fault("place", Fault(FaultKind.RATE_LIMITED_HTML))
    status, headers, content = ask(*PLACE, order())
    assert (status, headers["Retry-After"], headers["X-Retry-After-Ms"], content["code"]) == (429, "3", "2500", -429)
    status, headers, content = ask(*PLACE, order())
    assert (status, headers["Retry-After"], headers["Content-Type"].split(";")[0]) == (429, None, "text/html")
    assert live(exchange) == []


def test_a_truncated_body_promises_more_than_it_sends(
    simulator: Simulator, exchange: Exchange, ask: Ask, client: FyersModel, order: Fields
) -> None:
    simulator.fault("place", Fault(FaultKind.TRUNCATED, times=2))
    with pytest.raises(http.client.IncompleteRead) as cut:
        ask(*PLACE, order())
    assert cut.value.partial.startswith(b'{"s": "ok"')
    assert client.place_order(order())["message"] == "Bad request"
    assert len(live(exchange)) == 2


def test_an_empty_200_leaves_the_order_live(
    simulator: Simulator, exchange: Exchange, ask: Ask, client: FyersModel, order: Fields
) -> None:
    simulator.fault("place", Fault(FaultKind.EMPTY, times=2))
    assert ask(*PLACE, order())[::2] == (200, "")
    assert client.place_order(order()) == {"s": "error", "code": 200, "message": "Bad request"}
    assert len(live(exchange)) == 2


def test_a_dripping_answer_keeps_every_single_read_short(
    simulator: Simulator, exchange: Exchange, ask: Ask, order: Fields
) -> None:
    simulator.fault("place", Fault(FaultKind.DRIP, interval=0.003))
    started = time.perf_counter()
    assert ask(*PLACE, order(), timeout=0.4)[2]["code"] == 1101
    assert time.perf_counter() - started > 0.4


def test_a_client_may_leave_a_dripping_answer(simulator: Simulator, ask: Ask, order: Fields) -> None:
    simulator.fault("place", Fault(FaultKind.DRIP, interval=0.05))
    connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=0.2)
    connection.request(*PLACE, json.dumps(order()))
    time.sleep(0.06)
    connection.close()
    assert ask("GET", "/simulator/faults")[0] == 200


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        (FaultKind.OK_WITHOUT_ID, lambda answer: answer["code"] == 1101 and "id" not in answer),
        (FaultKind.ARRAY, lambda answer: answer[0]["code"] == 1101),
        (FaultKind.NUMBER_ID, lambda answer: answer["id"] == 26112000000001),
        (FaultKind.OVERSIZED, lambda answer: len(answer["pad"]) == 300_000 and answer["id"]),
    ],
)
def test_json_of_the_wrong_shape_leaves_the_order_live(
    simulator: Simulator,
    exchange: Exchange,
    client: FyersModel,
    order: Fields,
    kind: FaultKind,
    seen: Callable[..., Any],
) -> None:
    simulator.fault("place", Fault(kind, size=300_000))
    assert seen(client.place_order(order()))
    assert len(live(exchange)) == 1


def test_a_redirect_points_to_the_same_place(simulator: Simulator, exchange: Exchange, ask: Ask, order: Fields) -> None:
    simulator.fault("place", Fault(FaultKind.REDIRECT))
    status, headers, _ = ask(*PLACE, order())
    assert (status, headers["Location"]) == (307, f"{simulator.api_url}/orders/sync")
    assert live(exchange) == []


def test_a_rejection_on_demand_is_in_the_book(
    simulator: Simulator, exchange: Exchange, client: FyersModel, order: Fields
) -> None:
    simulator.fault("place", Fault(FaultKind.REJECT, message="RED:RULE:{x}"))
    answer = client.place_order(order())
    assert (answer["code"], answer["message"]) == (-99, "RED:RULE:{x}")
    assert exchange.order(answer["id"]).status is Status.REJECTED
    assert simulator.log[-1].live is False


def test_an_accepted_order_can_be_rejected_afterwards(
    simulator: Simulator, exchange: Exchange, client: FyersModel, order: Fields
) -> None:
    simulator.fault("place", Fault(FaultKind.REJECT_LATER))
    answer = client.place_order(order(limitPrice=170))
    assert answer["code"] == 1101
    assert exchange.order(answer["id"]).status is Status.REJECTED


def test_a_refusal_on_demand_leaves_nothing(
    simulator: Simulator, exchange: Exchange, client: FyersModel, order: Fields
) -> None:
    simulator.fault("place", Fault(FaultKind.REFUSE, message="The input symbol is invalid."))
    assert client.place_order(order()) == {"code": -50, "message": "The input symbol is invalid.", "s": "error"}
    assert exchange.orders() == []


def test_an_app_can_be_refused_on_demand(
    simulator: Simulator, exchange: Exchange, client: FyersModel, order: Fields
) -> None:
    simulator.fault("place", Fault(FaultKind.APP_REFUSED))
    answer = client.place_order(order())
    assert (answer["code"], answer["message"].endswith(f"not allowed from this app {APP_ID}")) == (-50, True)
    assert exchange.orders() == []


@pytest.mark.parametrize("code", [-8, -15, -16, -17])
def test_a_token_can_die_on_demand(
    simulator: Simulator, exchange: Exchange, ask: Ask, order: Fields, code: int
) -> None:
    simulator.fault("*", Fault(FaultKind.TOKEN_DEAD, code=code))
    status, _, content = ask(*PLACE, order())
    assert (status, content["code"], exchange.orders()) == (401, code, [])


def test_an_order_can_be_late_in_the_book_by_id_and_by_tag_too(
    simulator: Simulator, client: FyersModel, order: Fields
) -> None:
    simulator.fault("orders", Fault(FaultKind.LATE_BOOK, seconds=0.4, times=None))
    placed = client.place_order(order(orderTag="tvlate"))["id"]
    for query in (None, {"id": placed}, {"order_tag": "1:tvlate"}):
        assert client.orderbook(query)["orderBook"] == []
    time.sleep(0.4)
    for query in (None, {"id": placed}, {"order_tag": "1:tvlate"}):
        assert [row["id"] for row in client.orderbook(query)["orderBook"]] == [placed]


def test_a_book_can_be_incomplete(simulator: Simulator, client: FyersModel, order: Fields) -> None:
    ids = [client.place_order(order())["id"] for _ in range(3)]
    simulator.fault("orders", Fault(FaultKind.PARTIAL_BOOK, rows=2))
    assert [row["id"] for row in client.orderbook()["orderBook"]] == ids[:2]
    assert [row["id"] for row in client.orderbook()["orderBook"]] == ids


@pytest.mark.parametrize(
    ("endpoint", "call"),
    [
        ("modify", ("PATCH", "/api/v3/orders/sync", {"id": "x"})),
        ("cancel", ("DELETE", "/api/v3/orders/sync", {"id": "x"})),
        ("cancel", ("DELETE", "/api/v3/orders/x/sync")),
        ("orders", ("GET", "/api/v3/orders?id=x")),
        ("positions", ("GET", "/api/v3/positions")),
        ("exit", ("DELETE", "/api/v3/positions", {"exit_all": 1})),
        ("attach", ("PATCH", "/api/v3/positions", {})),
        ("quotes", ("GET", f"/data/quotes?symbols={CALL}")),
        ("depth", ("GET", f"/data/depth?symbol={CALL}")),
        ("profile", ("GET", "/api/v3/profile")),
        ("funds", ("GET", "/api/v3/funds")),
        ("tradebook", ("GET", "/api/v3/tradebook")),
        ("validate-authcode", ("POST", "/api/v3/validate-authcode", {})),
        ("validate-refresh-token", ("POST", "/api/v3/validate-refresh-token", {})),
        ("master", ("GET", "/sym_details/NSE_FO.csv")),
        ("*", ("GET", "/api/v3/nowhere")),
    ],
)
def test_every_endpoint_can_fail(
    simulator: Simulator, ask: Ask, endpoint: str, call: tuple[dict[str, Any] | str, ...]
) -> None:
    simulator.fault(endpoint, Fault(FaultKind.HTML, status=503))
    assert ask(*call)[0] == 503
    assert ask(*call)[0] != 503


def test_a_fault_lets_some_pass_and_hits_as_often_as_told(simulator: Simulator, ask: Ask) -> None:
    simulator.fault("funds", Fault(FaultKind.HTML, status=503, after=1, times=2))
    assert [ask("GET", "/api/v3/funds")[0] for _ in range(5)] == [200, 503, 503, 200, 200]


def test_a_fault_can_last_until_it_is_cleared(simulator: Simulator, ask: Ask) -> None:
    simulator.fault("funds", Fault(FaultKind.HTML, status=503, times=None))
    assert [ask("GET", "/api/v3/funds")[0] for _ in range(3)] == [503] * 3
    simulator.clear_faults()
    assert ask("GET", "/api/v3/funds")[0] == 200


def test_faults_follow_one_another(simulator: Simulator, ask: Ask) -> None:
    simulator.fault("funds", Fault(FaultKind.HTML, status=502))
    simulator.fault("funds", Fault(FaultKind.HTML, status=503))
    assert [ask("GET", "/api/v3/funds")[0] for _ in range(3)] == [502, 503, 200]


def test_chance_is_the_seeds(exchange: Exchange, ask: Ask) -> None:
    def seen() -> list[bool]:
        with Simulator(exchange, accept_any_token=True, rate_limits=False) as simulator:
            simulator.fault("funds", Fault(FaultKind.EMPTY, probability=0.5, times=None))
            connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=5)
            sizes = []
            for _ in range(20):
                connection.request("GET", "/api/v3/funds", headers={"Authorization": "A-200:t"})
                sizes.append(len(connection.getresponse().read()) > 0)
            connection.close()
            return sizes

    first = seen()
    assert first == seen()
    assert 2 < sum(first) < 18


def test_faults_are_armed_listed_and_cleared_over_http(simulator: Simulator, ask: Ask) -> None:
    wanted = {"endpoint": "funds", "kind": "html", "status": 503, "times": 5}
    status, _, armed = ask("POST", "/simulator/faults", [wanted, {"endpoint": "*", "kind": "latency", "seconds": 0.0}])
    assert (status, len(armed["faults"])) == (200, 2)
    assert ask("GET", "/api/v3/funds")[0] == 503
    (listed, _) = ask("GET", "/simulator/faults")[2]["faults"]
    assert (listed["endpoint"], listed["kind"], listed["used"]) == ("funds", "html", 1)
    assert ask("DELETE", "/simulator/faults")[2] == {"faults": []}
    assert ask("GET", "/api/v3/funds")[0] == 200


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not JSON"),
        ("[1]", "endpoint"),
        ('{"kind": "hang"}', "endpoint"),
        ('{"endpoint": "place", "kind": "hnag"}', "unknown fault kind 'hnag'"),
        ('{"endpoint": "place", "kind": "hang", "second": 1}', "unknown fault field 'second'"),
        ('{"endpoint": "palce", "kind": "hang"}', "unknown endpoint 'palce'"),
    ],
)
def test_a_fault_that_makes_no_sense_is_named(simulator: Simulator, ask: Ask, text: str, complaint: str) -> None:
    status, _, answer = ask("POST", "/simulator/faults", text)
    assert (status, complaint in answer["message"]) == (400, True)


def test_a_kind_can_be_given_by_name() -> None:
    ((endpoint, fault),) = read_faults('{"endpoint": "place", "kind": "hang", "processed": false}')
    assert (endpoint, fault) == ("place", Fault(FaultKind.HANG, processed=False))
    assert Fault("hang").takes_effect is True  # type: ignore[arg-type]  # a name, as JSON gives it


def test_the_log_is_served_with_every_request_and_its_fate(simulator: Simulator, ask: Ask, order: Fields) -> None:
    simulator.fault("place", Fault(FaultKind.HTML, status=502))
    ask(*PLACE, order(orderTag="tvabc"))
    (entry,) = ask("GET", "/simulator/log")[2]["log"]
    assert (entry["endpoint"], entry["fault"], entry["status"], entry["live"]) == ("place", "html", 502, True)
    assert (entry["orders"], entry["body"]["orderTag"]) == (["26112000000001"], "tvabc")
    assert entry["at"].endswith("+00:00")


def test_many_callers_at_once_each_get_their_own_order(
    simulator: Simulator, exchange: Exchange, token: str, order: Fields
) -> None:
    answers = []

    def place() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=5)
        for _ in range(5):
            connection.request(
                *PLACE, json.dumps(order(limitPrice=170, symbol=CALL)), {"Authorization": f"{APP_ID}:{token}"}
            )
            answers.append(json.loads(connection.getresponse().read())["id"])
        connection.close()

    callers = [threading.Thread(target=place) for _ in range(8)]
    for caller in callers:
        caller.start()
    finish(*callers)
    assert sorted(answers) == [order.id for order in exchange.orders()]
    assert len(set(answers)) == 40
