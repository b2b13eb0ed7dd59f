"""What passes between a worker and the process that asks its shadows.

Each message is a frame: a kind, a length, and MessagePack. The worker says which shadows there are and what
was asked; the process says which it holds and what became of what was asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from esteira.serving.mirroring.plans import Target
from esteira.serving.runtimes.frames import HEADER, LARGEST, MalformedFrame, framed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

TARGETS, ASKED = b"V", b"A"  # of the worker
HELD, TOLD = b"H", b"T"  # of the process


class Mirrored(NamedTuple):
    """A request that was answered, as it came."""

    targets: tuple[tuple[str, int], ...]  # the names and versions of the shadows
    model: str
    door: str  # the protocol: mlflow, oip or grpc
    header: str | None  # what the door must know besides the body
    body: bytes
    id: str
    key: str
    at: int  # UTC microseconds
    revision: int  # of the routes that chose who answered


class Told(NamedTuple):
    """What became of requests that a shadow was asked; answers are on disk by then, failures too."""

    model: str
    version: int
    answered: int
    failed: int


class Held(NamedTuple):
    """Whether a shadow can be asked."""

    target: Target
    is_held: bool


_encode = msgspec.msgpack.Encoder().encode
_targets = msgspec.msgpack.Decoder(list[Target]).decode
_asked = msgspec.msgpack.Decoder(list[Mirrored]).decode
_told = msgspec.msgpack.Decoder(list[Told]).decode
_held = msgspec.msgpack.Decoder(list[Held]).decode


def of_targets(targets: Sequence[Target]) -> bytes:
    """The frame of all shadows that there are."""
    return framed(TARGETS, _encode(targets))


def of_asked(mirrored: Sequence[Mirrored]) -> bytes:
    """The frame of some requests."""
    return framed(ASKED, _encode(mirrored))


def of_told(told: Sequence[Told]) -> bytes:
    """The frame of what became of some requests."""
    return framed(TOLD, _encode(told))


def of_held(held: Sequence[Held]) -> bytes:
    """The frame of which shadows can be asked."""
    return framed(HELD, _encode(held))


Message = list[Target] | list[Mirrored] | list[Told] | list[Held]
_READERS: Mapping[bytes, Any] = {TARGETS: _targets, ASKED: _asked, TOLD: _told, HELD: _held}


class Frames:
    """Puts together what comes in pieces.

    >>> frames = Frames()
    >>> whole = of_told([Told("late", 2, 5, 0)])
    >>> list(frames.feed(whole[:4])), list(frames.feed(whole[4:]))
    ([], [(b'T', [Told(model='late', version=2, answered=5, failed=0)])])
    """

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, piece: bytes) -> Iterator[tuple[bytes, Message]]:
        """The messages that are whole by now. Raises: MalformedFrame."""
        waiting = self._waiting
        waiting += piece
        at = 0
        while len(waiting) - at >= HEADER.size:
            kind, size = HEADER.unpack_from(waiting, at)
            if size > LARGEST or kind not in _READERS:
                raise MalformedFrame(kind, f"a message of {size:,} bytes")
            if len(waiting) - at - HEADER.size < size:
                break
            start = at + HEADER.size
            at = start + size
            yield kind, self._read(kind, bytes(waiting[start:at]))
        del waiting[:at]

    def _read(self, kind: bytes, content: bytes) -> Message:
        try:
            read: Callable[[bytes], Message] = _READERS[kind]
            return read(content)
        except msgspec.MsgspecError as wrong:
            raise MalformedFrame(kind, str(wrong)) from wrong
