"""Servers of a few lines that answer in every way that a load generator may meet."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Answer = Callable[[int, bytes], bytes | None]  # of the number and bytes of a request; None hangs up


HANG_UP = b"--hang up--"  # at the end of an answer: not sent, but done


def answered(body: bytes = b"ok", status: str = "200 OK", *headers: str) -> bytes:
    """A response."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Server:
    """Answers each request on each connection as it is told, and keeps what it was sent."""

    def __init__(self, answer: Answer, family: socket.AddressFamily = socket.AF_INET) -> None:
        self._answer, self._lock = answer, threading.Lock()
        self.requests: list[bytes] = []
        host = "127.0.0.1" if family == socket.AF_INET else "::1"
        self._socket = socket.create_server((host, 0), family=family, backlog=128)
        port = self._socket.getsockname()[1]
        self.url = f"http://{host}:{port}" if family == socket.AF_INET else f"http://[{host}]:{port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError), connection.makefile("rb") as stream:
            while first := stream.readline():
                length, head = 0, first
                while (line := stream.readline()) not in (b"\r\n", b""):
                    head += line
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                sent = head + b"\r\n" + stream.read(length)
                with self._lock:
                    self.requests.append(sent)
                    number = len(self.requests)
                answer = self._answer(number, sent)
                if answer is None:
                    return
                connection.sendall(answer.removesuffix(HANG_UP))
                if answer.endswith(HANG_UP):
                    return


@contextmanager
def serving(answer: Answer, family: socket.AddressFamily = socket.AF_INET) -> Iterator[Server]:
    """A server for the time of a test."""
    server = Server(answer, family)
    try:
        yield server
    finally:
        server.close()


def slowly(seconds: float, answer: bytes) -> Answer:
    """Every answer takes its time."""

    def after(_number: int, _request: bytes) -> bytes:
        time.sleep(seconds)
        return answer

    return after
