"""HTTP/1.1 in bytes: a request built once, and responses cut from what a connection sends."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from esteira.base.errors import BadInput, EsteiraError

if TYPE_CHECKING:
    from collections.abc import Mapping

_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length: "
_LARGEST_HEAD = 65_536
_NO_BODY = frozenset({204, 304})


class NotHttp(EsteiraError):
    """Bytes of a server that are no HTTP/1.1 response of known length."""

    def __init__(self, found: str) -> None:
        super().__init__(f"expected an HTTP/1.1 response with its length, found {found}; check the URL")
        self.found = found


def split_url(url: str) -> tuple[str, int, str]:
    """Host, port and path of an http URL. Raises: BadInput.

    >>> split_url("http://[::1]:8080/v2")
    ('::1', 8080, '/v2')
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError as wrong:
        raise BadInput(f"not a URL: {url!r}: {wrong}; write http://127.0.0.1:8080") from wrong
    if parts.scheme != "http" or not parts.hostname:
        raise BadInput(f"expected a URL such as http://127.0.0.1:8080, found {url!r}")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.hostname, port, path


def request_bytes(url: str, body: bytes, headers: Mapping[str, str], method: str = "POST") -> bytes:
    """A whole keep-alive request to a URL. Raises: BadInput.

    >>> request_bytes("http://127.0.0.1:80/ping", b"", {}, "GET").splitlines()[0]
    b'GET /ping HTTP/1.1'
    """
    host, port, path = split_url(url)
    named = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"{method} {path} HTTP/1.1", f"host: {named}"]
    lines += [f"{name.lower()}: {value}" for name, value in headers.items()]
    lines += [f"content-length: {len(body)}"] if body or method != "GET" else []
    if any(ord(sign) < 32 or ord(sign) > 126 for line in lines for sign in line):
        raise BadInput("a path and headers are ASCII text in one line; quote the path as a URL is quoted")
    return "\r\n".join(lines).encode() + _END + body


class Responses:
    """Cuts the responses of one connection; one request is in flight at a time.

    >>> responses = Responses()
    >>> responses.feed(b"HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\nh"), responses.feed(b"i")
    (0, 200)
    >>> responses.body
    b'hi'
    """

    __slots__ = ("_data", "_parts", "_starts", "_status", "_wanted", "is_last")

    def __init__(self) -> None:
        self._data = b""
        self._parts: list[bytes] = []  # of a response that is not whole yet
        self._starts = self._status = self._wanted = 0  # where the body starts, bytes still to come
        self.is_last = False  # the server closes the connection after this response

    def feed(self, data: bytes) -> int:
        """Take bytes: the status when the response is whole, 0 before that. Raises: NotHttp."""
        if self._parts:
            return self._more(data)
        end = data.find(_END)
        at = data.find(_LENGTH, 0, end + 2)
        if end < 0 or at < 0 or not data.startswith(b"HTTP/1.1 "):
            return self._slowly(data)
        try:
            length, self._status = int(data[at + 18 : data.find(b"\r", at + 18)]), int(data[9:12])
        except ValueError:
            return self._slowly(data)
        self._data, self._starts, self._wanted = data, end + 4, length - (len(data) - end - 4)
        self.is_last = data.find(b"\r\nconnection: close", 0, end) >= 0
        return self._status if not self._wanted else self._incomplete()

    @property
    def body(self) -> bytes:
        """Of the response that was whole last."""
        return self._data[self._starts :]

    @property
    def is_begun(self) -> bool:
        """Whether a part of a response has come."""
        return bool(self._parts)

    def _incomplete(self) -> int:
        if self._wanted < 0:
            raise NotHttp("more bytes than it says")
        if self._status in _NO_BODY:
            return self._status
        self._parts = [self._data]
        return 0

    def _more(self, data: bytes) -> int:
        self._parts.append(data)
        self._wanted -= len(data)
        if self._wanted > 0:
            return 0
        known, whole = self._wanted == 0, b"".join(self._parts)
        self._parts = []
        if known and self._starts:
            self._data = whole
            return self._status
        return self._slowly(whole)

    def _slowly(self, data: bytes) -> int:
        """A head that is not whole, or says its length in another way."""
        end = data.find(_END)
        if end < 0:
            if len(data) > _LARGEST_HEAD or not data.startswith(b"HTTP/1."[: len(data)]):
                raise NotHttp(repr(data[:40]))
            return self._wait(data)
        first, headers = _head(data[:end])
        self._status, body = first, data[end + 4 :]
        self.is_last = headers.get("connection", "").lower() == "close" or data.startswith(b"HTTP/1.0")
        if headers.get("transfer-encoding", "").lower() == "chunked":
            found = _joined(body)
            if found is None:
                return self._wait(data)
        elif first in _NO_BODY:
            found = b""
        else:
            length = headers.get("content-length", "")
            if not length.isdecimal():
                raise NotHttp("neither a content-length nor chunks")
            if len(body) < int(length):
                self._parts, self._starts, self._wanted = [data], end + 4, int(length) - len(body)
                return 0
            found = body[: int(length)]
        self._data, self._starts = found, 0
        return self._status

    def _wait(self, data: bytes) -> int:
        self._parts, self._starts, self._wanted = [data], 0, 0
        return 0


def _head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    words = first.split(" ", 2)
    if not words[0].startswith("HTTP/1.") or len(words) < 2 or not words[1].isdecimal():
        raise NotHttp(repr(first[:40]))
    return int(words[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}


def _joined(body: bytes) -> bytes | None:
    """The data of chunks; None while some are missing. Raises: NotHttp."""
    found: list[bytes] = []
    at = 0
    while True:
        line = body.find(b"\r\n", at)
        if line < 0:
            return None
        try:
            size = int(body[at:line].partition(b";")[0], 16)
        except ValueError as wrong:
            raise NotHttp(f"a chunk of size {body[at:line][:20]!r}") from wrong
        start, at = line + 2, line + 4 + size
        if len(body) < at:
            return None
        if not size:
            return b"".join(found)
        found.append(body[start : start + size])
