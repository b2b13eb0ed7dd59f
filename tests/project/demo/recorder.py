"""A server on a real socket that remembers what it was asked and answers as it is told."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType


class Recorder:
    """Answers every POST with `status`; closes each connection after `patience` answers, if that is set."""

    def __init__(self, *, status: int = 200, patience: int | None = None) -> None:
        self.asked: list[tuple[str, Any]] = []  # path and document, in the order of arrival
        self.connections = 0
        self._status, self._patience = status, patience
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        answered = 0
        with suppress(OSError), connection, connection.makefile("rb") as lines:
            while line := lines.readline():
                path, length = line.split()[1].decode(), 0
                while (header := lines.readline().strip()) != b"":
                    name, _, value = header.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                with self._lock:
                    self.asked.append((path, json.loads(lines.read(length))))
                body = b'{"said":"so"}'
                head = f"HTTP/1.1 {self._status} Said\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall(head.encode() + body)
                answered += 1
                if answered == self._patience:
                    return
