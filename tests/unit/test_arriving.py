"""A request is whole when its head and body are here, however it comes; what is none is seen at once."""

import pytest

from app.alert import MAX_BODY_BYTES
from app.arriving import LONGEST_HEAD, Arriving
from app.worker import MOST_BODY

MOST = 100
POST = b"POST /webhook HTTP/1.1\r\nHost: x\r\n"

WHOLE = {
    "no body": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a body": POST + b"Content-Length: 3\r\n\r\nabc",
    "an empty body": POST + b"Content-Length: 0\r\n\r\n",
    "as much body as the app takes": POST + b"Content-Length: 100\r\n\r\n" + b"x" * MOST,
    "chunks": POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
    "chunks and a trailer": POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: 9\r\n\r\n",
    "another protocol offered": b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "another protocol offered, and a body": POST
    + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
    "an empty line before it": b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "the last of its connection": b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
}


def come(*pieces: bytes) -> Arriving:
    request = Arriving(MOST)
    for piece in pieces:
        assert not request.whole
        request.take(piece)
    return request


@pytest.mark.parametrize("name", WHOLE)
def test_it_is_whole_with_its_last_byte_and_not_before(name: str) -> None:
    sent = WHOLE[name]
    request = come(*(sent[at : at + 1] for at in range(len(sent))))
    assert (request.whole, request.broken, bytes(request.bytes)) == (True, False, sent)
    at_once = come(sent)
    assert (at_once.whole, at_once.broken, bytes(at_once.bytes)) == (True, False, sent)


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("behind", [b"GET / HTTP/1.1\r\n\r\n", b"GARBAGE\r\n\r\n"])
def test_what_was_sent_behind_it_is_kept_and_changes_nothing(name: str, behind: bytes) -> None:
    request = come(WHOLE[name] + behind)
    assert (request.whole, request.broken) == (True, False)
    assert bytes(request.bytes) == WHOLE[name] + behind


@pytest.mark.parametrize(
    "sent",
    [
        POST + b"Content-Length: 101\r\n\r\n",
        POST + b"Content-Length: 1000000000\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n" + b"x" * (MOST + 1),
        POST + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 1000\r\n\r\n" + b"x" * (MOST + 1),
    ],
)
def test_of_a_body_that_is_over_no_more_is_waited_for_than_shows_it(sent: bytes) -> None:
    assert not come(sent[:-1]).whole
    assert come(sent).whole


def test_the_server_waits_for_as_much_of_a_body_as_shows_the_app_that_it_is_over() -> None:
    assert MOST_BODY == MAX_BODY_BYTES + 1


@pytest.mark.parametrize("field", [b"X: " + b"y" * 200, b"X: y\r\n" * 50])
def test_a_head_has_an_end(field: bytes) -> None:
    head = b"GET / HTTP/1.1\r\n" + field * (LONGEST_HEAD // len(field) + 1)
    assert come(head[:LONGEST_HEAD]).broken is False
    assert come(head[:LONGEST_HEAD], b"z" * 400).broken is True


@pytest.mark.parametrize("sent", [b"\x16\x03\x01", b"get / HTTP/1.1\r\n", POST + b"Content-Length: x\r\n\r\n"])
def test_what_is_no_http_is_broken_as_soon_as_it_shows(sent: bytes) -> None:
    assert come(sent).broken


def test_who_waits_to_be_told_to_go_on_says_so() -> None:
    assert come(POST + b"Content-Length: 3\r\nExpect: 100-Continue\r\n\r\n").continues
    assert not come(POST + b"Content-Length: 3\r\n\r\n").continues


@pytest.mark.parametrize(
    ("sent", "names_none"),
    [(b"GET /\r\n", True), (b"\r\nGET /\r\n", True), (b"GET /", False), (b"GET / HTTP/1.1\r\nHo", False), (b"", False)],
)
def test_a_request_of_one_line_without_a_version_is_known(sent: bytes, names_none: bool) -> None:
    assert come(sent).names_no_version is names_none
