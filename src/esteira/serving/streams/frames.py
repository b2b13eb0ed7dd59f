"""The bytes of the local log: frames of messages, each whole or not at all.

A frame is `[u32 length][u32 crc32]` and then, under both, `[u64 first][i64 at][u32 count]` and the messages
as MessagePack, little-endian. `first` is the number of its first message, so a frame tells its own place.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from esteira.base.errors import CorruptArtifact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HEADER, _ABOUT = struct.Struct("<II"), struct.Struct("<QqI")
_START = _HEADER.size + _ABOUT.size

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[str, bytes]]).decode


class Frame(NamedTuple):
    """Messages that were written together."""

    first: int
    at: int  # UTC microseconds
    rows: int
    content: memoryview  # the messages, not yet decoded
    end: int  # the byte after it

    def messages(self) -> list[tuple[str, bytes]]:
        """Key and payload of each."""
        return _decode(self.content)


def pack(first: int, at: int, messages: Sequence[tuple[str, bytes]]) -> bytes:
    """The frame of some messages.

    >>> [frame.messages() for frame in frames(pack(7, 0, [("", b"{}")]))]
    [[('', b'{}')]]
    """
    body = _ABOUT.pack(first, at, len(messages)) + _encode(messages)
    return _HEADER.pack(len(body), zlib.crc32(body)) + body


def frames(content: bytes | memoryview) -> Iterator[Frame]:
    """The whole frames that `content` begins with."""
    view, at = memoryview(content), 0
    while at + _START <= len(view):
        length, check = _HEADER.unpack_from(view, at)
        end = at + _HEADER.size + length
        body = view[at + _HEADER.size : end]
        # Zeros, which a power loss leaves at the end of a file, would pass as an empty frame.
        if length < _ABOUT.size or end > len(view) or zlib.crc32(body) != check:
            return
        first, moment, rows = _ABOUT.unpack_from(body)
        yield Frame(first, moment, rows, body[_ABOUT.size :], end)
        at = end


def size_of_next(content: bytes | memoryview) -> int:
    """The bytes of the frame that `content` begins with, whole or not; 0 where none begins."""
    if len(content) < _HEADER.size:
        return 0
    length, _ = _HEADER.unpack_from(content)
    return _HEADER.size + length if length >= _ABOUT.size else 0


def refuse_damaged(name: str, rest: bytes | memoryview) -> None:
    """Refuse what follows the last whole frame unless it is a torn end, which holds no message.

    A write that was cut off left the beginning of a frame, or zeros. A frame that is complete but for its
    check sum, with more behind it, was damaged later.
    Raises: CorruptArtifact.
    """
    size = size_of_next(rest)
    if 0 < size < len(rest) or (size == 0 and len(rest) >= _HEADER.size and any(rest)):
        raise CorruptArtifact(f"the stream's file {name}", "whole frames", "one with another check sum")
