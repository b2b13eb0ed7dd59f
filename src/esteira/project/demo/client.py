"""A lean HTTP/1.1 client for replays: a few keep-alive connections, requests pipelined, answers counted."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from esteira.base.errors import ServiceUnreachable

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEAD_END = b"\r\n\r\n"
_ATTEMPTS = 3
_PIPELINED = 2_000  # requests under way at once: more, and both sides may wait for the other to read


@dataclass(slots=True)
class Answers:
    """How many requests were answered, and the first answers that were not 2xx."""

    count: int = 0
    failed: int = 0
    failures: list[tuple[int, bytes]] = field(default_factory=list)  # status, body: at most ten


class ReplayClient:
    """Sends prepared POST bodies in order over `connections` sockets. Raises: ServiceUnreachable."""

    def __init__(self, url: str, *, connections: int = 4, timeout: float = 30.0) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._timeout = timeout
        self._sockets = [self._connect() for _ in range(connections)]
        self.answers = Answers()

    def _connect(self) -> socket.socket:
        try:
            made = socket.create_connection(self._address, timeout=self._timeout)
        except OSError as refused:
            raise self._unreachable(refused) from refused
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def _unreachable(self, reason: object) -> ServiceUnreachable:
        return ServiceUnreachable("the gateway", f"{self._address[0]}:{self._address[1]}", str(reason))

    def frame(self, path: str, body: bytes) -> bytes:
        """The bytes of one POST."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._address[0]}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def send(self, frames: Sequence[bytes]) -> None:
        """Send frames spread over the connections and wait for every answer.

        A connection that the server closed while it was idle is opened again, and what it left unanswered
        is sent once more: predictions carry their id, so a repeated one counts once.
        """
        for first in range(0, len(frames), _PIPELINED):
            self._send(frames[first : first + _PIPELINED])

    def _send(self, frames: Sequence[bytes]) -> None:
        lanes = len(self._sockets)
        shares = [frames[lane::lanes] for lane in range(lanes)]
        for lane, share in enumerate(shares):
            if share:
                with suppress(OSError):  # what could not be sent is found out when nothing comes back
                    self._sockets[lane].sendall(b"".join(share))
        for lane, share in enumerate(shares):
            self._collect(lane, share)

    def _collect(self, lane: int, share: Sequence[bytes]) -> None:
        answered = self._receive(self._sockets[lane], len(share))
        for _ in range(_ATTEMPTS):
            if answered == len(share):
                return
            self._sockets[lane].close()
            self._sockets[lane] = self._connect()
            with suppress(OSError):
                self._sockets[lane].sendall(b"".join(share[answered:]))
            answered += self._receive(self._sockets[lane], len(share) - answered)
        if answered < len(share):
            raise self._unreachable("it closes every connection")

    def _receive(self, connection: socket.socket, expected: int) -> int:
        """How many of the expected answers came before the connection ended."""
        buffer, came = b"", 0
        while came < expected:
            end = buffer.find(_HEAD_END)
            length = _content_length(buffer[:end]) if end >= 0 else 0
            if end < 0 or len(buffer) < end + 4 + length:
                try:
                    chunk = connection.recv(262_144)
                except OSError:
                    chunk = b""
                if not chunk:
                    break
                buffer += chunk
                continue
            self._count(int(buffer[9:12]), buffer[end + 4 : end + 4 + length])
            buffer = buffer[end + 4 + length :]
            came += 1
        return came

    def _count(self, status: int, body: bytes) -> None:
        self.answers.count += 1
        if not 200 <= status < 300:
            self.answers.failed += 1
            if len(self.answers.failures) < 10:
                self.answers.failures.append((status, body))

    def close(self) -> None:
        for connection in self._sockets:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _content_length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
