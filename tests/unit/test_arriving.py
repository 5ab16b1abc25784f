"""A request is whole once its head and body have arrived, in any pieces; bytes that are no request are seen at once."""

import gc
import weakref
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.http.parser import RequestParser
from hypothesis import given
from hypothesis import strategies as st

from app.domain.alert import MAX_BODY_BYTES
from app.runtime.arriving import MOST_AROUND_BODY, Arriving
from app.runtime.worker import MOST_BODY

MOST = 100
POST = b"POST /webhook HTTP/1.1\r\nHost: x\r\n"

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

WHOLE = {  # head and body
    "no body": (GET, b""),
    "a body": (POST + b"Content-Length: 3\r\n\r\nabc", b"abc"),
    "an empty body": (POST + b"Content-Length: 0\r\n\r\n", b""),
    "as much body as the app takes": (POST + b"Content-Length: 100\r\n\r\n" + b"x" * MOST, b"x" * MOST),
    "a body like a head": (POST + b"Content-Length: 27\r\n\r\n" + GET, GET),
    "chunks": (CHUNKED + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", b"abcde"),
    "no chunks": (CHUNKED + b"0\r\n\r\n", b""),
    "chunks and a trailer": (CHUNKED + b"3\r\nabc\r\n0\r\nX: 9\r\n\r\n", b"abc"),
    "another protocol offered": (b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", b""),
    "a tunnel asked for": (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", b""),
    "an empty line before it": (b"\r\n" + GET, b""),
    "the last of its connection": (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", b""),
}


def come(*pieces: bytes) -> Arriving:
    request = Arriving(MOST)
    for piece in pieces:
        assert not request.whole
        request.take(piece)
    return request


def bytewise(sent: bytes) -> Arriving:
    return come(*(sent[at : at + 1] for at in range(len(sent))))


@pytest.mark.parametrize("name", WHOLE)
def test_it_is_whole_with_its_last_byte_and_not_before(name: str) -> None:
    sent, body = WHOLE[name]
    head = sent[: sent.index(b"\r\n\r\n") + 4]
    for request in (bytewise(sent), come(sent)):
        assert (request.whole, request.broken, request.last, request.behind) == (True, False, False, b"")
        assert (bytes(request.head), bytes(request.body)) == (head, body)


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("behind", [GET, b"GARBAGE\r\n\r\n", b"0\r\n\r\n"])
def test_what_was_sent_behind_it_is_kept_and_changes_nothing(name: str, behind: bytes) -> None:
    sent, body = WHOLE[name]
    request = come(sent + behind)
    assert (request.whole, request.broken, bytes(request.body)) == (True, False, body)
    if CHUNKED in sent:  # where it ends is not known, so nothing is read from its connection any more
        assert request.last
    else:
        assert (request.last, request.behind) == (False, behind)


@pytest.mark.parametrize(
    "sent",
    [
        POST + b"Content-Length: 101\r\n\r\n",
        POST + b"Content-Length: 1000000000\r\n\r\n",
        CHUNKED + b"ffff\r\n" + b"x" * (MOST + 1),
    ],
)
def test_of_a_body_that_is_over_no_more_is_waited_for_than_shows_it(sent: bytes) -> None:
    assert not come(sent[:-1]).whole
    request = come(sent)
    assert (request.whole, request.last) == (True, True)


def test_the_server_waits_for_as_much_of_a_body_as_shows_the_app_that_it_is_over() -> None:
    assert MOST_BODY == MAX_BODY_BYTES + 1


@pytest.mark.parametrize(
    ("opening", "unit"),
    [
        (b"GET / HTTP/1.1\r\n", b"X: " + b"y" * 200),
        (b"GET / HTTP/1.1\r\n", b"X: y\r\n"),
        (CHUNKED + b"1;a=", b"y"),
        (CHUNKED, b"1;a=y\r\nx\r\n"),
        (CHUNKED + b"1\r\nx\r\n0\r\nX: ", b"y"),
        (CHUNKED + b"0\r\n", b"X: y\r\n"),
    ],
    ids=["a field", "fields", "an extension", "extensions", "a trailer", "trailers"],
)
@pytest.mark.parametrize("size", [1000, 16_384])
def test_what_stands_around_a_body_has_an_end(opening: bytes, unit: bytes, size: int) -> None:
    """And is taken up to that bound; the body itself does not count."""
    request = Arriving(2 * MOST_AROUND_BODY)
    sent = opening + unit * (4 * MOST_AROUND_BODY // len(unit))
    for taken in range(size, len(sent) + 1, size):
        request.take(sent[taken - size : taken])
        assert not request.whole
        if request.broken:
            break
    assert request.broken
    assert 0 < taken - len(request.body) - MOST_AROUND_BODY <= size


def test_a_body_in_small_chunks_is_read_as_far_as_what_stands_around_it_allows() -> None:
    body = b"x" * (MOST_AROUND_BODY // 8)
    request = Arriving(len(body))
    request.take(CHUNKED + b"1\r\nx\r\n" * len(body) + b"0\r\n\r\n")
    assert (request.whole, bytes(request.body)) == (True, body)


@pytest.mark.parametrize("framing", [b"Content-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"])
@pytest.mark.parametrize("opening", [POST + b"Connection: upgrade\r\nUpgrade: h2c\r\n", b"CONNECT x:80 HTTP/1.1\r\n"])
def test_another_protocol_offered_with_a_body_is_broken_in_however_many_pieces(opening: bytes, framing: bytes) -> None:
    head, end, body = (opening + framing).partition(b"\r\n\r\n")
    assert come(head + end + body).broken
    assert come(head + end).broken


@pytest.mark.parametrize(
    "name", [b"Host", b"content-length", b"Transfer-Encoding", b"Trailer", b"Authorization", b"TE"]
)
def test_a_trailer_that_would_say_how_the_request_is_read_is_broken(name: bytes) -> None:
    assert come(CHUNKED + b"3\r\nabc\r\n0\r\n" + name + b": 3\r\n\r\n").broken


@pytest.mark.parametrize("pieces", [(), (b"GE",), (GET,), (CHUNKED + b"1\r\n",), (CHUNKED + b"0\r\nX: ",), (b"\0",)])
def test_it_goes_with_its_last_reference_and_waits_for_no_collector(pieces: tuple[bytes, ...]) -> None:
    gc.disable()
    try:
        request = come(*pieces)
        gone = weakref.ref(request), weakref.ref(request._heard)
        del request
        assert [each() for each in gone] == [None, None]
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01", b"get / HTTP/1.1\r\n", POST + b"Content-Length: x\r\n\r\n", b"\r\n\r\n"]
)
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


# -- as gunicorn reads it

_EDITS = (b"\r\n", b"\n", b" ", b":", b"0", b"f", b";", b"\0", b"\xff", b"chunked", b"Content-Length: 3\r\n", b"")


@given(
    st.sampled_from([sent for sent, _ in WHOLE.values()]),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 3), st.sampled_from(_EDITS)), max_size=3),
    st.sampled_from([b"", GET, b"0\r\n\r\n"]),
)
def test_gunicorn_reads_the_same_head_and_nothing_beyond_it_or_refuses_it(
    sent: bytes, edits: list[tuple[int, int, bytes]], behind: bytes
) -> None:
    for at, gone, put in edits:
        sent = sent[:at] + put + sent[at + gone :]
    request = Arriving(1000)
    request.take(sent + behind)
    if not request.whole:
        return
    try:
        read, unreader = read_by_gunicorn(bytes(request.head))
        assert unreader.read() == b""
        whole, _ = read_by_gunicorn(sent + behind)
        assert whole.headers == read.headers
        assert whole.body.read(1000) == request.body
    except NoMoreData:
        raise AssertionError("it waits for more than the head") from None
    except ParseException:
        return  # the sender is told that it is no HTTP


def read_by_gunicorn(sent: bytes) -> tuple[Any, Any]:
    parser = RequestParser(Config(), iter([sent]), ("127.0.0.1", 1))
    return next(parser), parser.unreader
