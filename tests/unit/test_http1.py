"""A request is written whole or not at all; one strict reader decides what is a reply, however its bytes are split."""

import gzip
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.http.http1 import (
    MOST_HEADERS,
    CannotUnpack,
    CutShort,
    NotHttp,
    Response,
    TooLarge,
    request,
)

MOST = 1000


def read(*parts: bytes, ended: bool = False) -> Response:
    response = Response(MOST)
    for part in parts:
        response.feed(part)
    if ended:
        response.end()
    return response


def reply(*headers: str, body: bytes = b"ok", status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body


WHOLE = reply("Content-Length: 2", "X-Word: yes")


def test_a_request_is_written_in_full() -> None:
    written = request("POST", "/orders/sync?a=b", "api:99", {"Authorization": "APP:token"}, b"{}")
    head = b"POST /orders/sync?a=b HTTP/1.1\r\nHost: api:99\r\nAuthorization: APP:token\r\nContent-Length: 2\r\n\r\n"
    assert written == head + b"{}"
    assert b"Content-Length: 0\r\n" in request("DELETE", "/", "api", {}, None)
    assert b"Content-Length" not in request("GET", "/", "api", {}, None)


@pytest.mark.parametrize("target", ["/a b", "/a\r\nX: y", "/\x00", "/é", ""])
def test_a_target_that_would_be_more_than_one_is_not_written(target: str) -> None:
    with pytest.raises(ValueError, match="target"):
        request("GET", target, "api", {}, None)


@pytest.mark.parametrize(
    "headers",
    [{"A": "x\r\nB: y"}, {"A": "x\ny"}, {"A": "x\x00"}, {"A": "₹"}, {"A b": "x"}, {"A:": "x"}, {"": "x"}, {"A\n": "x"}],
)
def test_a_header_that_would_be_more_than_one_is_not_written_nor_repeated(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="header") as refused:
        request("GET", "/", "api", headers, None)
    assert str(refused.value) == "a header with characters that no header has"


@given(st.lists(st.integers(0, len(WHOLE)), max_size=6))
def test_a_reply_is_the_same_in_whatever_parts_it_comes(cuts: list[int]) -> None:
    ends = sorted({0, len(WHOLE), *cuts})
    response = read(*(WHOLE[start:end] for start, end in pairwise(ends)))
    assert (response.complete, response.reusable, response.status) == (True, True, 200)
    assert (response.body, response.headers) == (b"ok", {"content-length": "2", "x-word": "yes"})


@given(st.integers(0, len(WHOLE) - 1))
def test_a_reply_that_ends_too_early_is_none(length: int) -> None:
    response = read(WHOLE[:length])
    assert not response.complete
    with pytest.raises(CutShort):
        response.end()


def test_a_reply_without_a_length_ends_with_its_connection() -> None:
    response = read(reply("Connection: close"), b" and more", ended=True)
    assert (response.complete, response.reusable, response.body) == (True, False, b"ok and more")


def test_a_reply_in_chunks_ends_with_the_last_one_and_its_trailers_are_no_headers() -> None:
    response = read(reply("Transfer-Encoding: chunked", body=b"2\r\nok\r\n0\r\nX-Trailer: a\r\n\r\n"))
    assert (response.complete, response.reusable, response.body) == (True, True, b"ok")
    assert "x-trailer" not in response.headers


def test_interim_replies_are_passed_over() -> None:
    response = read(b"HTTP/1.1 100 Continue\r\nX-Word: no\r\n\r\n" * 2 + b"HTTP/1.1 103 Early\r\n\r\n", WHOLE)
    assert (response.status, response.body, response.headers["x-word"]) == (200, b"ok", "yes")
    assert not read(b"HTTP/1.1 100 Continue\r\n\r\n").has_begun


@pytest.mark.parametrize(
    "more", [b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", b"\r\nHTTP/1.1 500 No\r\n\r\n"]
)
def test_what_follows_a_reply_is_not_taken_for_it_and_ends_the_connection(more: bytes) -> None:
    response = read(WHOLE + more)
    assert (response.complete, response.reusable) == (True, False)
    assert (response.status, response.body) == (200, b"ok")


@pytest.mark.parametrize(
    "content",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"<html>",
        reply("Content-Length: 2", "Content-Length: 3"),
        reply("Content-Length: -2"),
        reply("Content-Length: two"),
        reply("Content-Length: 2", "Transfer-Encoding: chunked"),
        reply("no colon"),
        reply("Transfer-Encoding: chunked", body=b"xyz\r\nok\r\n"),
        reply("Upgrade: other", "Connection: upgrade", status="101 Switching", body=b""),
    ],
)
def test_what_can_be_read_in_two_ways_is_no_reply(content: bytes) -> None:
    with pytest.raises(NotHttp):
        read(content)


def test_a_reply_may_have_so_many_headers_and_bytes_and_no_more() -> None:
    lines = [f"X-{number}: y" for number in range(MOST_HEADERS - 1)]
    assert read(reply("Content-Length: 2", *lines)).complete
    with pytest.raises(TooLarge):
        read(reply("Content-Length: 2", "One: more", *lines))
    with pytest.raises(TooLarge):
        read(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 70_000)
    assert read(reply(f"Content-Length: {MOST}", body=b"x" * MOST)).body == b"x" * MOST
    with pytest.raises(TooLarge):
        read(reply(f"Content-Length: {MOST + 1}", body=b"x" * (MOST + 1)))


@pytest.mark.parametrize(
    "endless",
    [b"0\r\nX-Trailer: ", b"0\r\n", b"1;extension=", b"1\r\nx\r\n0\r\nX-Trailer: "],
    ids=["trailer", "trailers", "chunk extension", "trailer after a body"],
)
def test_what_follows_a_body_is_bounded_as_its_head_is(endless: bytes) -> None:
    response = read(reply("Transfer-Encoding: chunked", body=endless))
    more = b"A: b\r\n" * 200 if endless == b"0\r\n" else b"y" * 1000
    with pytest.raises(TooLarge):
        feed_often(response, more)
    assert not response.complete


def feed_often(response: Response, part: bytes) -> None:
    for _ in range(67):
        response.feed(part)


def test_a_body_in_small_chunks_is_read_whole() -> None:
    response = Response(100_000)
    response.feed(reply("Transfer-Encoding: chunked", body=b""))
    for _ in range(20_000):
        response.feed(b"1\r\nx\r\n")
    response.feed(b"0\r\nX-Trailer: a\r\n\r\n")
    assert (response.complete, response.body) == (True, b"x" * 20_000)


@pytest.mark.parametrize("how", ["gzip", "GZIP", "x-gzip", "deflate"])
def test_a_packed_body_is_unpacked_within_its_bound(how: str) -> None:
    def packed(content: bytes) -> Response:
        body = zlib.compress(content) if how == "deflate" else gzip.compress(content)
        return read(reply(f"Content-Encoding: {how}", f"Content-Length: {len(body)}", body=body))

    assert packed(b"ok").body == b"ok"
    assert packed(b"x" * MOST).body == b"x" * MOST
    with pytest.raises(TooLarge):
        _ = packed(b"x" * (MOST + 1)).body


@pytest.mark.parametrize("how", ["gzip", "br", "gzip, br"])
def test_a_body_packed_in_another_way_is_none(how: str) -> None:
    with pytest.raises(CannotUnpack):
        _ = read(reply(f"Content-Encoding: {how}", "Content-Length: 2")).body


def test_a_packed_body_that_is_cut_short_is_none() -> None:
    body = gzip.compress(b"a whole order")[:-9]
    with pytest.raises(CannotUnpack):
        _ = read(reply("Content-Encoding: gzip", f"Content-Length: {len(body)}", body=body)).body
