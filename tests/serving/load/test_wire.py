from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput
from esteira.serving.load.wire import NotHttp, Responses, request_bytes, split_url

LENGTH = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx: y\r\n\r\nhello"
SHOUTED = b"HTTP/1.1 503 No\r\nContent-Length:5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n"
BARE = b"HTTP/1.1 204 No Content\r\n\r\n"


def fed(responses: Responses, *parts: bytes) -> list[int]:
    return [responses.feed(part) for part in parts]


@pytest.mark.parametrize(
    ("whole", "status", "body"),
    [(LENGTH, 200, b"hello"), (SHOUTED, 503, b"hello"), (CHUNKED, 200, b"hello"), (BARE, 204, b"")],
)
@given(cuts=st.lists(st.integers(1, 90), max_size=4))
def test_a_response_is_whole_when_its_last_byte_came_however_it_was_cut(
    whole: bytes, status: int, body: bytes, cuts: list[int]
) -> None:
    responses = Responses()
    places = sorted({0, *(cut for cut in cuts if cut < len(whole)), len(whole)})
    parts = [whole[start:end] for start, end in pairwise(places)]
    for _ in range(2):  # a connection is kept
        assert fed(responses, *parts) == [0] * (len(parts) - 1) + [status]
        assert responses.body == body
        assert not responses.is_begun


def test_a_server_that_will_close_says_so() -> None:
    responses = Responses()
    closing = LENGTH.replace(b"x: y", b"connection: close")
    assert fed(responses, closing, LENGTH) == [200, 200]
    responses.feed(closing)
    assert responses.is_last
    responses.feed(SHOUTED.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert responses.is_last


@pytest.mark.parametrize(
    "wrong",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"\x16\x03\x01",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 " + b"x" * 70_000,
    ],
)
def test_what_is_no_response_of_known_length_is_refused(wrong: bytes) -> None:
    with pytest.raises(NotHttp):
        Responses().feed(wrong)


@given(st.binary(max_size=200))
def test_whatever_a_server_sends_only_one_error_comes_of_it(data: bytes) -> None:
    for start in (b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\ncontent-length: "):
        with suppress(NotHttp):
            Responses().feed(start + data)


def test_a_request_has_its_length_and_headers() -> None:
    sent = request_bytes("http://[::1]:80/v2?x=1", b"{}", {"X-Key": "a"})
    head, _, body = sent.partition(b"\r\n\r\n")
    assert body == b"{}"
    assert head.split(b"\r\n") == [
        b"POST /v2?x=1 HTTP/1.1",
        b"host: [::1]:80",
        b"x-key: a",
        b"content-length: 2",
    ]


@pytest.mark.parametrize("name", ["a\r\nhost: x", "é"])
def test_a_header_that_would_be_two_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="one line"):
        request_bytes("http://localhost/", b"", {"x": name})


@pytest.mark.parametrize(
    "url", ["https://localhost", "localhost:80", "http://", "http://h:99999", "ftp://h/"]
)
def test_a_url_is_http_with_a_host(url: str) -> None:
    with pytest.raises(BadInput, match=r"127\.0\.0\.1"):
        split_url(url)
