"""The broker adapter against the simulated account: what is sent, what comes back, and the truth about both."""

import concurrent.futures
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from operator import methodcaller
from pathlib import Path
from typing import Any

import pytest

from app.adapters.fyers import broker as broker_module
from app.adapters.fyers import line as line_module
from app.adapters.fyers.broker import FyersBroker
from app.adapters.fyers.pace import Pace, PacedTransport
from app.adapters.http.transport import Transport
from app.domain.alert import Product, Side
from app.domain.book import BookRow, Position
from app.domain.deadline import CONNECT, PLACE_TAIL, RECORD
from app.domain.errors import NotNow, Reason
from app.domain.order import Accepted, NotSent, Order, OrderStatus, OrderType, Outcome, Refusal, Rejected, Unresolved
from app.domain.quote import Quote
from app.simulator import Fault, FaultKind, FixtureContract, FixtureExchange, Simulator
from tests.builders import a_position
from tests.contract.fyers_parts import APP_ID, TAG, Tokens, acceptance, order_for, rejection, within
from tests.contract.nasty_server import JSON, NastyServer, Peer, closed_port, reply, swallowing_port
from tests.stopwatch import Stopwatch

LTP, BID, ASK = Decimal("165.15"), Decimal("165.00"), Decimal("165.30")


@pytest.fixture(scope="module")
def exchange() -> FixtureExchange:
    return FixtureExchange(seed=7, capital=Decimal(10**12))


@pytest.fixture(scope="module")
def call(exchange: FixtureExchange) -> str:
    """The symbol that most tests trade; its quote stands still."""
    symbol = FixtureContract.of().symbol
    exchange.set_quote(symbol, LTP, BID, ASK)
    return symbol


@pytest.fixture(scope="module")
def running(exchange: FixtureExchange) -> Iterator[Simulator]:
    with Simulator(exchange, rate_limits=False, app_id=APP_ID) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> Iterator[Simulator]:
    running.clear_faults()
    running.clear_log()
    yield running
    assert running.errors == []


At = Callable[..., FyersBroker]
UNKNOWN_STATES: tuple[object, ...] = ("PREOPEN", "PREOPEN_CLOSED", "CAS_START", "", None, 1, [])


@pytest.fixture
def transport() -> Iterator[Transport]:
    made = Transport()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_module, "BACK_OFF", 0.02)


@pytest.fixture
def tokens(simulator: Simulator) -> Tokens:
    return Tokens(simulator.issue_token(APP_ID))


@pytest.fixture
def broker(simulator: Simulator, tokens: Tokens, transport: Transport) -> FyersBroker:
    return FyersBroker(APP_ID, tokens, transport, simulator.api_url, simulator.data_url)


@pytest.fixture
def at(transport: Transport) -> At:
    """A broker for a server of one's own."""
    return lambda url, tokens=None: FyersBroker(APP_ID, tokens or Tokens("a.b.c"), transport, url, url)


def place(broker: FyersBroker, order: Order, seconds: float = 2.4, window: float = 1.2) -> Outcome:
    return broker.place(order, within(window), within(seconds))


def hang(peer: Peer) -> None:
    peer.read_request()
    peer.hang()


# -- the market's status


def segment(exchange: int | str, status: object, segment: int = 11, market_type: str = "NORMAL") -> dict[str, Any]:
    return {"exchange": exchange, "segment": segment, "market_type": market_type, "status": status}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        # the sample of Fyers' documents, of an evening
        (
            [segment(10, "CLOSED"), segment(11, "OPEN", 20), segment(12, "POSTCLOSE_CLOSED")],
            {"NSE": False, "BSE": False},
        ),
        ([segment(10, "OPEN"), segment(12, "CLOSE")], {"NSE": True, "BSE": False}),
        ([segment(10, "OPEN", segment=10), segment(10, "CLOSED")], {"NSE": False}),
        ([segment(10, "OPEN", market_type="SPECIAL"), segment(12, "OPEN")], {"BSE": True}),
        ([segment(10, status) for status in UNKNOWN_STATES], {}),
        ([segment("10", "OPEN"), segment(True, "OPEN"), segment(13, "OPEN"), "OPEN", None, {}], {}),
        ([], {}),
    ],
)
def test_an_exchange_is_open_closed_or_left_out(
    broker: FyersBroker, simulator: Simulator, rows: list[dict[str, Any] | str | None], said: dict[str, bool]
) -> None:
    simulator.fault("marketStatus", Fault(FaultKind.ANSWER, body={"s": "ok", "code": 200, "marketStatus": rows}))
    assert broker.market_status(within(1.0)) == said


def test_the_status_is_one_read_of_the_account_holder(broker: FyersBroker, simulator: Simulator) -> None:
    assert broker.market_status(within(1.0)) == {"NSE": True, "BSE": True}
    (entry,) = simulator.log
    assert (entry.method, entry.path, entry.query) == ("GET", "/data/marketStatus", {})


def test_the_status_waits_for_its_turn_like_any_read(simulator: Simulator, tokens: Tokens) -> None:
    transport = PacedTransport(Pace(per_second=1))
    paced = FyersBroker(APP_ID, tokens, transport, simulator.api_url, simulator.data_url)
    paced.market_status(within(1.0))
    with pytest.raises(NotNow) as raised:
        paced.market_status(within(0.5))
    transport.close()
    assert raised.value.reason is Reason.BROKER_BUSY
    assert len(simulator.log) == 1


@pytest.mark.parametrize("body", [{}, {"marketStatus": None}, {"marketStatus": {"10": "OPEN"}}])
def test_a_status_that_is_no_list_is_not_read(broker: FyersBroker, simulator: Simulator, body: dict[str, Any]) -> None:
    simulator.fault("marketStatus", Fault(FaultKind.ANSWER, times=None, body={"s": "ok", "code": 200} | body))
    with pytest.raises(NotNow):
        broker.market_status(within(1.0))


# -- what is sent


def test_an_entry_goes_out_field_by_field_as_fyers_documents_it(
    broker: FyersBroker, simulator: Simulator, call: str
) -> None:
    outcome = place(broker, order_for(call))
    (entry,) = simulator.log
    assert outcome == Accepted(entry.orders[0])
    assert (entry.method, entry.path) == ("POST", "/api/v3/orders/sync")
    assert entry.body == {
        "symbol": call,
        "qty": 65,
        "type": 1,
        "side": -1,
        "productType": "INTRADAY",
        "limitPrice": 164.9,
        "stopPrice": 0,
        "disclosedQty": 0,
        "validity": "DAY",
        "offlineOrder": False,
        "stopLoss": 25.05,
        "takeProfit": 41.05,
        "legType": 1,
        "orderTag": TAG,
        "isSliceOrder": False,
    }


def test_a_cover_carries_no_legs_and_a_market_order_no_price(
    broker: FyersBroker, simulator: Simulator, call: str
) -> None:
    cover = order_for(
        call,
        side=Side.BUY,
        product=Product.MARGIN,
        order_type=OrderType.MARKET,
        covers=True,
        stop_loss_points=None,
        take_profit_points=None,
    )
    assert isinstance(place(broker, cover), Accepted)
    body = simulator.log[0].body
    assert (body["side"], body["type"], body["limitPrice"], body["productType"]) == (1, 2, 0, "MARGIN")
    assert not {"stopLoss", "takeProfit", "legType"} & set(body)


def test_the_headers_are_those_of_the_sdk(at: At) -> None:
    with NastyServer(lambda peer: peer.keep_answering()) as server:
        assert place(at(server.url + "/api/v3"), order_for("NSE:A")) == Accepted("26112000000001")
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /api/v3/orders/sync HTTP/1.1\r\n")
        for line in (f"Authorization: {APP_ID}:a.b.c", "Content-Type: application/json", "version: 3"):
            assert line.encode() in head.split(b"\r\n")
        assert b'"limitPrice": 164.9,' in body


def test_no_log_file_and_no_setting_of_the_sdk_is_touched(
    broker: FyersBroker, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fyers_apiv3 import fyersModel

    monkeypatch.chdir(tmp_path)
    place(broker, order_for(call))
    broker.positions(within(1))
    assert list(tmp_path.iterdir()) == []
    assert fyersModel.Config.API == "https://api-t1.fyers.in/api/v3"


# -- every behaviour of the simulator

FAULTS = {
    "accepts slowly": (Fault(FaultKind.LATENCY, seconds=0.05), Accepted),
    "hangs": (Fault(FaultKind.HANG), Unresolved),
    "hangs, having done nothing": (Fault(FaultKind.HANG, processed=False), Unresolved),
    "drops": (Fault(FaultKind.DROP), Unresolved),
    "drops, having done nothing": (Fault(FaultKind.DROP, processed=False), Unresolved),
    "resets": (Fault(FaultKind.RESET), Unresolved),
    "does not acknowledge": (Fault(FaultKind.NO_ACK), Unresolved),
    "shows a page with 200": (Fault(FaultKind.HTML, status=200), Unresolved),
    "shows a page with 403": (Fault(FaultKind.HTML, status=403, processed=False), Unresolved),
    "shows a page with 502": (Fault(FaultKind.HTML, status=502), Unresolved),
    "shows a page with 503": (Fault(FaultKind.HTML, status=503, processed=False), Unresolved),
    "answers with something else": (Fault(FaultKind.ANSWER, body={"s": "ok"}), Unresolved),
    "answers with an unknown code": (
        Fault(FaultKind.ANSWER, status=400, body={"s": "error", "code": -4, "message": ""}),
        Unresolved,
    ),
    "lost its line to the market": (
        Fault(FaultKind.ANSWER, status=400, body={"s": "error", "code": -202, "message": "Connection error"}),
        Unresolved,
    ),
    "is busy": (Fault(FaultKind.RATE_LIMITED, seconds=2), NotSent),
    "is busy and shows a page": (Fault(FaultKind.RATE_LIMITED_HTML), Unresolved),
    "cuts its answer short": (Fault(FaultKind.TRUNCATED), Unresolved),
    "answers nothing": (Fault(FaultKind.EMPTY), Unresolved),
    "drips": (Fault(FaultKind.DRIP), Unresolved),
    "forgets the id": (Fault(FaultKind.OK_WITHOUT_ID), Unresolved),
    "answers with a list": (Fault(FaultKind.ARRAY), Unresolved),
    "gives the id as a number": (Fault(FaultKind.NUMBER_ID), Unresolved),
    "redirects": (Fault(FaultKind.REDIRECT), Unresolved),
    "rejects": (Fault(FaultKind.REJECT), Rejected),
    "rejects later": (Fault(FaultKind.REJECT_LATER), Accepted),
    "refuses": (Fault(FaultKind.REFUSE), Rejected),
    "refuses the app": (Fault(FaultKind.APP_REFUSED), Rejected),
    "refuses the token": (Fault(FaultKind.TOKEN_DEAD), Rejected),
    "answers with far too much": (Fault(FaultKind.OVERSIZED), Unresolved),
}


@pytest.mark.parametrize("behaviour", FAULTS)
def test_each_behaviour_of_the_broker_has_its_outcome_in_time_and_no_live_order_is_called_off(
    broker: FyersBroker, simulator: Simulator, call: str, behaviour: str
) -> None:
    fault, expected = FAULTS[behaviour]
    broker.positions(within(1))  # a kept connection, as in an alert's flow
    simulator.clear_log()
    simulator.fault("place", fault)
    with Stopwatch(0.2 + 0.15):
        outcome = place(broker, order_for(call), seconds=0.2 + PLACE_TAIL)
    assert type(outcome) is expected
    (entry,) = simulator.log  # one POST, whatever happened
    if isinstance(outcome, NotSent | Rejected):
        assert not entry.live
    if isinstance(outcome, Rejected) and outcome.broker_order_id:
        assert outcome.broker_order_id == entry.orders[0]


def test_every_kind_of_fault_that_concerns_an_order_is_in_that_list() -> None:
    reads_only = {FaultKind.LATE_BOOK, FaultKind.PARTIAL_BOOK}
    assert {fault.kind for fault, _ in FAULTS.values()} == set(FaultKind) - reads_only


def test_a_broker_that_is_down_was_sent_nothing(at: At) -> None:
    outcome = place(at(f"http://127.0.0.1:{closed_port()}"), order_for("NSE:A"))
    assert outcome == NotSent("the connection was refused while connecting")


def test_a_broker_that_swallows_packets_costs_the_connect_time_alone(at: At) -> None:
    with swallowing_port() as port, Stopwatch(CONNECT + 0.15):
        outcome = place(at(f"http://127.0.0.1:{port}"), order_for("NSE:A"))
    assert outcome == NotSent("timed out while connecting")


def test_the_total_leaves_time_for_the_record(at: At) -> None:
    with NastyServer(hang) as server, Stopwatch(0.25):
        left = within(0.2 + PLACE_TAIL)
        assert isinstance(at(server.url).place(order_for("NSE:A"), within(1.2), left), Unresolved)
        assert left.left() > RECORD


@pytest.mark.parametrize(("window", "seconds"), [(0.0, 2.4), (-1.0, 2.4), (1.2, PLACE_TAIL), (1.2, 0.0)])
def test_nothing_leaves_once_window_or_deadline_is_over(
    broker: FyersBroker, simulator: Simulator, call: str, window: float, seconds: float
) -> None:
    assert isinstance(place(broker, order_for(call), seconds, window), NotSent)
    assert simulator.log == []


def test_nothing_leaves_without_a_token_or_for_an_order_that_cannot_be_written(
    broker: FyersBroker, simulator: Simulator, tokens: Tokens, call: str
) -> None:
    unwritable = order_for(call, limit_price=Decimal("164.900000000000000000001"))
    assert place(broker, unwritable) == NotSent("a fault in the gateway before anything was sent", again=False)
    tokens.logged_out = True
    assert place(broker, order_for(call)) == NotSent(NotNow(Reason.NEEDS_LOGIN).message, again=False)
    assert simulator.log == []


# -- refusals that are not about the order alone


def test_a_refused_login_is_passed_on_and_the_order_is_not_sent_again(
    simulator: Simulator, transport: Transport, tokens: Tokens, call: str
) -> None:
    tokens = Tokens(tokens.current.access_token, "a newer one")
    broker = FyersBroker(APP_ID, tokens, transport, simulator.api_url, simulator.data_url)
    dead = tokens.current
    simulator.kill_token(dead.access_token, -8)
    outcome = rejection(place(broker, order_for(call)))
    assert (outcome.code, outcome.about) == (-8, Refusal.LOGIN)
    assert [(token, message) for token, message, _ in tokens.refusals] == [(dead, outcome.message)]
    assert len(simulator.log) == 1


def test_a_refused_app_is_passed_on_without_its_id(
    broker: FyersBroker, simulator: Simulator, tokens: Tokens, call: str
) -> None:
    simulator.fault("place", Fault(FaultKind.APP_REFUSED))
    outcome = rejection(place(broker, order_for(call)))
    assert outcome.about is Refusal.APP
    assert [message for message, _ in tokens.forbidden_because] == [outcome.message]
    assert "not allowed from this app" in outcome.message
    assert APP_ID not in outcome.message


@pytest.mark.parametrize("kind", [FaultKind.APP_REFUSED, FaultKind.TOKEN_DEAD])
def test_passing_a_refusal_on_may_fail_and_leaves_time_for_the_record(
    simulator: Simulator, transport: Transport, tokens: Tokens, call: str, kind: FaultKind
) -> None:
    tokens = Tokens(tokens.current.access_token, problem=RuntimeError("the store is down"))
    broker = FyersBroker(APP_ID, tokens, transport, simulator.api_url, simulator.data_url)
    simulator.fault("place", Fault(kind))
    assert isinstance(place(broker, order_for(call), seconds=0.6), Rejected)
    (told,) = tokens.refusals or tokens.forbidden_because
    assert told[-1] < 0.6 - RECORD


# -- reads


def test_quotes_are_exact_and_an_unknown_symbol_is_left_out(broker: FyersBroker, call: str) -> None:
    quotes = broker.quotes([call, "NSE:NO-SUCH-THING"], within(1))
    assert list(quotes) == [call]
    assert (quotes[call].ltp, quotes[call].bid, quotes[call].ask) == (LTP, BID, ASK)


def test_no_symbols_cost_no_call_and_too_many_are_a_mistake(broker: FyersBroker, simulator: Simulator) -> None:
    assert broker.quotes([], within(1)) == {}
    with pytest.raises(ValueError, match="51 symbols"):
        broker.quotes(["NSE:A"] * 51, within(1))
    assert simulator.log == []


def test_an_order_is_found_in_book_and_positions(transport: Transport) -> None:
    exchange = FixtureExchange(seed=11)
    option = FixtureContract.of()
    with Simulator(exchange, rate_limits=False) as simulator:
        tokens = Tokens(simulator.issue_token(APP_ID))
        broker = FyersBroker(APP_ID, tokens, transport, simulator.api_url, simulator.data_url)
        assert (broker.order_book(within(1)), broker.positions(within(1))) == ((), ())
        placed = acceptance(place(broker, order_for(option.symbol)))
        book = {row.broker_order_id: row for row in broker.order_book(within(1))}
        row = book.pop(placed.broker_order_id)
        assert (row.tag, row.symbol, row.side, row.product) == (TAG, option.symbol, "SELL", "INTRADAY")
        assert (row.status, row.quantity, row.filled_quantity, row.average_price) == (OrderStatus.FILLED, 65, 65, BID)
        assert row.limit_price == Decimal("164.9")
        assert {leg.protects for leg in book.values()} == {placed.broker_order_id}
        lost = (BID - LTP) * 65
        assert broker.positions(within(1)) == (
            a_position(-65, symbol=option.symbol, bought=0, sold=65, unrealised=lost),
        )

        assert broker.exit_position(f"{option.symbol}-INTRADAY", within(1)) == Accepted(f"{option.symbol}-INTRADAY")
        (closed,) = broker.positions(within(1))
        assert (closed.net_quantity, closed.bought, closed.realised) == (0, 65, (BID - ASK) * 65)


READS = {
    "quotes": lambda broker, deadline: broker.quotes(["NSE:A"], deadline),
    "positions": lambda broker, deadline: broker.positions(deadline),
    "orders": lambda broker, deadline: broker.order_book(deadline),
}


def refusal(read: str, broker: FyersBroker, seconds: float = 0.2) -> NotNow:
    with Stopwatch(seconds + 0.15), pytest.raises(NotNow) as caught:
        READS[read](broker, within(seconds))
    return caught.value


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize(
    "fault",
    [
        Fault(FaultKind.DROP),
        Fault(FaultKind.RESET),
        Fault(FaultKind.TRUNCATED),
        Fault(FaultKind.HTML, status=502),
        Fault(FaultKind.HTML, status=503, times=2),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
def test_a_read_is_tried_again_after_a_fault_of_the_line(
    broker: FyersBroker, simulator: Simulator, read: str, fault: Fault
) -> None:
    simulator.fault(read, fault)
    READS[read](broker, within(2))
    assert fault.times is not None
    assert len(simulator.log) == fault.times + 1


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize(
    ("fault", "calls"),
    [
        (Fault(FaultKind.DROP, times=None), 3),
        (Fault(FaultKind.HTML, status=500, times=None), 3),
        (Fault(FaultKind.HANG, times=None), 1),
        (Fault(FaultKind.DRIP, times=None), 1),
        (Fault(FaultKind.HTML, status=403, times=None), 1),
        (Fault(FaultKind.HTML, status=200, times=None), 1),
        (Fault(FaultKind.EMPTY, times=None), 1),
        (Fault(FaultKind.ARRAY, times=None), 1),
        (Fault(FaultKind.REDIRECT, times=None), 1),
        (Fault(FaultKind.REFUSE, times=None), 1),
        (Fault(FaultKind.ANSWER, body={"s": "ok", "code": 200}, times=None), 1),
        (Fault(FaultKind.ANSWER, status=503, headers={"Retry-After": "9"}, times=None), 1),
    ],
    ids=lambda value: f"{value.kind}-{value.status}" if isinstance(value, Fault) else None,
)
def test_a_read_that_brings_nothing_says_so_within_its_deadline(
    broker: FyersBroker, simulator: Simulator, read: str, fault: Fault, calls: int
) -> None:
    simulator.fault(read, fault)
    assert refusal(read, broker).reason is Reason.BROKER_DOWN
    assert len(simulator.log) == calls


def both(broker: FyersBroker, seconds: float = 2.0) -> tuple[dict[str, Quote], tuple[Position, ...]]:
    return broker.quotes_and_positions(["NSE:A"], within(seconds))


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as readers:
        yield readers


def test_quotes_and_positions_are_those_of_the_two_reads(broker: FyersBroker, simulator: Simulator) -> None:
    assert both(broker) == (broker.quotes(["NSE:A"], within(1)), broker.positions(within(1)))
    assert len(simulator.log) == 4


@pytest.mark.parametrize("warm", [0, 1, 2])
def test_quotes_and_positions_take_no_longer_than_one_of_them(
    simulator: Simulator,
    tokens: Tokens,
    transport: Transport,
    beside: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
    warm: int,
) -> None:
    """However many connections are open already."""
    broker = FyersBroker(APP_ID, tokens, transport, simulator.api_url, simulator.data_url, beside)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: transport.warm(simulator.api_url, 1.0), range(warm)))
    monkeypatch.setattr(simulator, "latency", 0.2)
    with Stopwatch(0.35):
        both(broker)
    assert len(simulator.log) == 2


@pytest.mark.parametrize("warm", [False, True])
def test_positions_that_do_not_come_are_another_reason_than_quotes_that_do_not(
    broker: FyersBroker, simulator: Simulator, transport: Transport, warm: bool
) -> None:
    if warm:
        assert transport.warm(simulator.api_url, 1.0)
    for endpoint, reason in (("positions", Reason.POSITION_UNKNOWN), ("quotes", Reason.BROKER_DOWN)):
        simulator.fault(endpoint, Fault(FaultKind.HTML, status=403, times=None))
        with pytest.raises(NotNow) as caught:
            both(broker)
        assert caught.value.reason is reason  # in the end both fail, and then it is the quotes' that is told


def test_both_are_tried_again_and_each_keeps_its_own_answer(
    broker: FyersBroker, simulator: Simulator, transport: Transport
) -> None:
    assert transport.warm(simulator.api_url, 1.0)
    for endpoint in ("quotes", "positions"):
        simulator.fault(endpoint, Fault(FaultKind.RESET))
    both(broker)
    assert len(simulator.log) == 4


def test_a_quote_that_was_asked_for_is_waited_for_though_the_positions_fail(
    broker: FyersBroker, simulator: Simulator, transport: Transport
) -> None:
    """Its reply would be taken for the one to the next request on that connection."""
    for _ in range(40):  # more than there are connections
        assert transport.warm(simulator.api_url, 1.0)
        simulator.fault("positions", Fault(FaultKind.HTML, status=403))
        with pytest.raises(NotNow):
            both(broker)
    assert both(broker)[0] == broker.quotes(["NSE:A"], within(1))


def test_a_read_that_gets_no_turn_does_not_say_that_fyers_is_down(simulator: Simulator, tokens: Tokens) -> None:
    transport = PacedTransport(Pace(per_second=1))
    broker = FyersBroker(APP_ID, tokens, transport, simulator.api_url, simulator.data_url)
    broker.positions(within(1))
    with pytest.raises(NotNow) as refused:
        broker.order_book(within(0.5))
    transport.close()
    assert refused.value.reason is Reason.BROKER_BUSY
    assert len(simulator.log) == 1


@pytest.mark.parametrize("read", READS)
def test_a_read_ends_at_its_own_cap_where_the_deadline_is_long(
    at: At, read: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "RETRIES", 0)
    monkeypatch.setattr(broker_module, "BOOK_READ", 0.75)
    with NastyServer(hang) as server, Stopwatch(0.9), pytest.raises(NotNow):
        READS[read](at(server.url), within(5))


@pytest.mark.parametrize("read", READS)
def test_a_busy_broker_is_not_asked_again_unless_its_own_time_to_wait_fits(
    broker: FyersBroker, simulator: Simulator, read: str
) -> None:
    simulator.fault(read, Fault(FaultKind.RATE_LIMITED, seconds=30))
    simulator.fault(read, Fault(FaultKind.RATE_LIMITED_HTML, times=2))
    for _ in range(2):
        assert refusal(read, broker).reason is Reason.BROKER_BUSY
    assert len(simulator.log) == 2
    simulator.clear_faults()
    simulator.fault(read, Fault(FaultKind.RATE_LIMITED, seconds=0.1))
    with Stopwatch(0.5):
        READS[read](broker, within(2))
    waited = simulator.log[-1].at - simulator.log[-2].at
    assert waited.total_seconds() >= 0.1


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("code", [-8, -15, -16, -17])
def test_a_dead_token_is_reported_and_the_read_needs_a_login(
    broker: FyersBroker, simulator: Simulator, tokens: Tokens, read: str, code: int
) -> None:
    simulator.fault(read, Fault(FaultKind.TOKEN_DEAD, code=code, times=None))
    dead = tokens.current
    assert refusal(read, broker).reason is Reason.NEEDS_LOGIN
    assert [token for token, _, _ in tokens.refusals] == [dead]
    assert len(simulator.log) == 1


@pytest.mark.parametrize("read", READS)
def test_a_read_goes_on_with_a_newer_token_but_only_once(
    simulator: Simulator, transport: Transport, tokens: Tokens, read: str
) -> None:
    newer = simulator.issue_token(APP_ID)
    tokens = Tokens(tokens.current.access_token, newer, "a third one", "a fourth one")
    broker = FyersBroker(APP_ID, tokens, transport, simulator.api_url, simulator.data_url)
    simulator.kill_token(tokens.current.access_token)
    READS[read](broker, within(1))
    assert (tokens.current.access_token, len(simulator.log)) == (newer, 2)
    simulator.fault(read, Fault(FaultKind.TOKEN_DEAD, times=None))
    assert refusal(read, broker).reason is Reason.NEEDS_LOGIN
    assert len(simulator.log) == 4


def test_no_token_is_no_read(broker: FyersBroker, simulator: Simulator, tokens: Tokens) -> None:
    tokens.logged_out = True
    for read in READS:
        assert refusal(read, broker).reason is Reason.NEEDS_LOGIN
    assert simulator.log == []


def test_a_full_days_book_is_read_though_an_orders_reply_may_not_be_as_large(at: At) -> None:
    row = b'{"id":"%d","orderTag":"1:' + TAG.encode() + b'","status":6,"pad":"' + b"x" * 700 + b'"}'
    many = b",".join(row % number for number in range(1000))
    page = b'{"s":"ok","code":200,"message":"","orderBook":[%s]}' % many
    with NastyServer(lambda peer: peer.keep_answering(reply(page))) as server:
        assert len(at(server.url).order_book(within(3))) == 1000
        assert isinstance(place(at(server.url), order_for("NSE:A")), Unresolved)


# -- cancel, exit


@pytest.fixture
def pending(broker: FyersBroker, call: str) -> str:
    """The id of an order that waits in the book."""
    return acceptance(place(broker, order_for(call, limit_price=Decimal("170.00")))).broker_order_id


def test_a_pending_order_is_cancelled_and_a_second_cancellation_is_refused(broker: FyersBroker, pending: str) -> None:
    assert broker.cancel(pending, within(1)) == Accepted(pending)
    (row,) = (row for row in broker.order_book(within(1)) if row.broker_order_id == pending)
    assert row.status is OrderStatus.CANCELLED
    assert rejection(broker.cancel(pending, within(1))).code == -161
    assert rejection(broker.cancel("26000000000000", within(1))).code == -51


def test_a_cancellation_in_doubt_is_sent_again(broker: FyersBroker, simulator: Simulator, pending: str) -> None:
    simulator.clear_log()
    simulator.fault("cancel", Fault(FaultKind.DROP, processed=False, times=2))
    assert broker.cancel(pending, within(2)) == Accepted(pending)
    assert len(simulator.log) == 3
    simulator.fault("cancel", Fault(FaultKind.DROP, times=None))
    assert isinstance(broker.cancel(pending, within(2)), Unresolved)
    assert len(simulator.log) == 6


def test_a_cancellation_ends_with_its_deadline(at: At) -> None:
    with NastyServer(hang) as server, Stopwatch(0.45):
        assert isinstance(at(server.url).cancel("26112000000001", within(0.3)), Unresolved)


def row_of(broker: FyersBroker, broker_order_id: str) -> BookRow:
    return next(row for row in broker.order_book(within(1)) if row.broker_order_id == broker_order_id)


def test_a_pending_order_is_made_smaller_and_nothing_else_of_it_changes(
    broker: FyersBroker, simulator: Simulator, call: str
) -> None:
    entry = acceptance(place(broker, order_for(call, quantity=130))).broker_order_id
    stop, target = [row.broker_order_id for row in broker.order_book(within(1)) if row.protects == entry]
    for leg, kind in ((stop, 4), (target, 1)):
        before = row_of(broker, leg)
        simulator.clear_log()
        assert broker.resize(before, 65, within(1)) == Accepted(leg)
        assert row_of(broker, leg) == replace(before, quantity=65)
        (change, _) = simulator.log
        assert (change.method, change.path, change.body["type"]) == ("PATCH", "/api/v3/orders/sync", kind)
        assert set(change.body) == {"id", "qty", "type", "limitPrice", "stopPrice"}


def test_a_change_of_size_in_doubt_is_sent_again_and_a_refusal_is_not(
    broker: FyersBroker, simulator: Simulator, pending: str
) -> None:
    row = row_of(broker, pending)
    simulator.clear_log()
    simulator.fault("modify", Fault(FaultKind.DROP, times=2))
    assert broker.resize(row, 65, within(2)) == Accepted(pending)
    assert len(simulator.log) == 3
    broker.cancel(pending, within(1))
    simulator.clear_log()
    assert rejection(broker.resize(row, 65, within(1))).code == -161
    assert len(simulator.log) == 1


@pytest.mark.parametrize(("quantity", "filled"), [(0, 0), (-65, 0), (65, 13)])
def test_a_change_of_size_that_could_mean_two_things_is_never_sent(
    broker: FyersBroker, simulator: Simulator, pending: str, quantity: int, filled: int
) -> None:
    row = replace(row_of(broker, pending), filled_quantity=filled)
    simulator.clear_log()
    with pytest.raises(ValueError, match="cannot be made"):
        broker.resize(row, quantity, within(1))
    assert simulator.log == []


def test_an_exit_in_doubt_is_not_sent_again(broker: FyersBroker, simulator: Simulator, call: str) -> None:
    simulator.fault("exit", Fault(FaultKind.DROP, processed=False))
    assert isinstance(broker.exit_position(f"{call}-INTRADAY", within(1)), Unresolved)
    assert len(simulator.log) == 1


@pytest.mark.parametrize("identifier", ["", "  "])
def test_an_exit_or_cancellation_of_nothing_in_particular_is_never_sent(
    broker: FyersBroker, simulator: Simulator, identifier: str
) -> None:
    for change in (broker.exit_position, broker.cancel):
        with pytest.raises(ValueError, match="is needed"):
            change(identifier, within(1))
    assert simulator.log == []


# -- together


def test_sixteen_threads_place_and_read_through_one_broker(
    broker: FyersBroker, simulator: Simulator, call: str
) -> None:
    def one(number: int) -> bool:
        if number % 2:
            return broker.quotes([call], within(5))[call].ltp == LTP
        return isinstance(place(broker, order_for(call), seconds=5, window=5), Accepted)

    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        assert all(threads.map(one, range(96)))
    placed = [entry.orders[0] for entry in simulator.log if entry.endpoint == "place"]
    assert len(set(placed)) == 48


def test_no_outcome_and_no_log_line_tells_a_secret(at: At, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    tokens = Tokens("eyJ.very-secret.x")
    said = f'{{"s":"error","code":-50,"message":"bad {APP_ID}:eyJ.very-secret.x"}}'.encode()
    told = []
    for script in (
        lambda peer: peer.answer(reply(said, "400 Bad Request")),
        lambda peer: peer.answer(reply(said.replace(b"-50", b"-4"))),
        lambda peer: peer.answer(b"nonsense"),
        lambda peer: peer.read_request(),
    ):
        with NastyServer(script) as server:
            told.append(repr(place(at(server.url, tokens), order_for("NSE:A"))))
            told.append(str(refusal("quotes", at(server.url, tokens))))
    assert len([record for record in caplog.records if record.message == "place"]) == 4
    told += [str(record.__dict__) for record in caplog.records]
    assert not any(secret in line for line in told for secret in ("very-secret", APP_ID))


def test_an_accepted_reply_is_read_in_any_framing(at: At) -> None:
    framed = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"%x\r\n%b\r\n0\r\n\r\n" % (len(JSON), JSON)
    for content in (reply(), reply(close=True), framed):
        with NastyServer(methodcaller("answer", content)) as server:
            assert place(at(server.url), order_for("NSE:A")) == Accepted("26112000000001")
            time.sleep(0.01)
