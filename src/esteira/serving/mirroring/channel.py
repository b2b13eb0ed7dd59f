"""A worker's end of the line to the process that asks its shadows: it never waits for the other end."""

from __future__ import annotations

from collections import Counter
from time import monotonic
from typing import TYPE_CHECKING

from esteira.serving.mirroring.messages import Frames
from esteira.serving.runtimes.frames import MalformedFrame

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from esteira.serving.mirroring.messages import Message

_CHUNK = 1 << 16


class Channel:
    """One process, from its start to its end. For the thread that answers requests."""

    def __init__(self, ours: socket.socket) -> None:
        ours.setblocking(False)  # noqa: FBT003 - the method of a socket
        self._socket, self._frames = ours, Frames()
        self._rest = memoryview(b"")  # of what the other end did not take at once
        self.waiting: Counter[tuple[str, str]] = Counter()  # requests without a word, by model and version
        self.moved_at = monotonic()  # when the other end was last heard, or had nothing to say
        self.is_over = self.is_finished = False  # the other end's part, and ours

    @property
    def is_free(self) -> bool:
        """Whether all that was sent has left."""
        return not self._rest and not self.is_finished and not self.is_over

    def send(self, frame: bytes) -> None:
        """Send when all before has left."""
        self._rest = memoryview(frame)
        self.push()

    def push(self) -> None:
        """Send as much of the rest as the other end takes now."""
        while self._rest and not self.is_over:
            try:
                self._rest = self._rest[self._socket.send(self._rest) :]
            except BlockingIOError:
                return
            except OSError:  # the other end is gone; what it said before is still to be heard
                self._rest = memoryview(b"")
                self.is_finished = True

    def expect(self, key: tuple[str, str], requests: int) -> None:
        """Take note that so many requests were sent."""
        if not self.waiting:
            self.moved_at = monotonic()
        self.waiting[key] += requests

    def settle(self, key: tuple[str, str], requests: int) -> None:
        """Take note of what became of so many."""
        self.waiting[key] -= requests
        if not self.waiting[key]:
            del self.waiting[key]

    def heard(self) -> Iterator[tuple[bytes, Message]]:
        """What the other end has said since."""
        while not self.is_over:
            try:
                piece = self._socket.recv(_CHUNK)
            except BlockingIOError:
                return
            except OSError:
                piece = b""
            if not piece:
                self.close()
                return
            self.moved_at = monotonic()
            try:
                yield from self._frames.feed(piece)
            except MalformedFrame:
                self.close()

    def finish(self) -> None:
        """Say that nothing more will come; the other end then says the rest and ends."""
        if not self.is_finished:
            self.is_finished = True
            try:
                self._socket.shutdown(1)
            except OSError:  # it has ended already
                return

    def close(self) -> None:
        """Let go of the line."""
        self.is_over = True
        self._rest = memoryview(b"")
        self._socket.close()
