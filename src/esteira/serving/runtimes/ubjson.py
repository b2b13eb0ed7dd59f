"""Universal Binary JSON, as far as XGBoost writes it: read to its end before the library reads it.

The library ends the process on some files that were cut short, or asks for all memory.
Source: ubjson.org, draft 12.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Json = Any  # what JSON could hold, arrays of numbers as arrays

_NUMBERS = {
    b"i": struct.Struct(">b"),
    b"U": struct.Struct(">B"),
    b"I": struct.Struct(">h"),
    b"l": struct.Struct(">i"),
    b"L": struct.Struct(">q"),
    b"d": struct.Struct(">f"),
    b"D": struct.Struct(">d"),
}
_WHOLE = frozenset(b"iUIlL")
_CONSTANTS = {b"Z": None, b"T": True, b"F": False}
_DEEPEST = 64


class MalformedUbjson(BadInput):
    """Bytes that are no whole UBJSON document."""

    def __init__(self, expected: str, at: int) -> None:
        super().__init__(f"UBJSON needs {expected} at byte {at}; save the model again")
        self.expected, self.at = expected, at


def decode(content: bytes) -> Json:
    """The document; an array of numbers of one type stands as NumPy's, over the bytes that it was read from.

    Raises: MalformedUbjson, also for a doubled name: a library could take the value that was not looked at.
    >>> decode(b"{i\\x01ai\\x07i\\x01b[$U#i\\x02\\x00\\x05}")
    {'a': 7, 'b': array([0, 5], dtype=uint8)}
    """
    reader = _Reader(content)
    value = reader.value(reader.take(1), 0)
    if reader.at != len(content):
        raise MalformedUbjson("its end", reader.at)
    return value


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def take(self, count: int) -> bytes:
        self.skip(count)
        return self.content[self.at - count : self.at]

    def skip(self, count: int) -> None:
        left = len(self.content) - self.at
        if not 0 <= count <= left:
            raise MalformedUbjson(f"{count} bytes, {left} are left,", self.at)
        self.at += count

    def value(self, mark: bytes, depth: int) -> Json:
        if mark in _NUMBERS:
            number = _NUMBERS[mark]
            return number.unpack(self.take(number.size))[0]
        if mark in _CONSTANTS:
            return _CONSTANTS[mark]
        if mark == b"S":
            return self.text()
        if mark not in (b"{", b"[") or depth == _DEEPEST:
            raise MalformedUbjson("a value", self.at - 1)
        return self.members(depth) if mark == b"{" else self.elements(depth)

    def text(self) -> str:
        return self.take(self.length()).decode(errors="replace")

    def length(self) -> int:
        mark = self.take(1)
        if mark[0] not in _WHOLE:
            raise MalformedUbjson("a length", self.at - 1)
        return int(self.value(mark, 0))

    def members(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self.content[self.at : self.at + 1] != b"}":
            name = self.text()
            if name in found:
                raise MalformedUbjson(f"{name!r} once", self.at)
            found[name] = self.value(self.take(1), depth + 1)
        self.at += 1
        return found

    def elements(self, depth: int) -> list[Any] | NDArray[Any]:
        mark = self.take(1)
        if mark == b"$":
            kind = self.take(1)
            if kind not in _NUMBERS or self.take(1) != b"#":
                raise MalformedUbjson("an array of numbers", self.at - 1)
            count, number = self.length(), _NUMBERS[kind]
            start = self.at
            self.skip(count * number.size)
            return np.frombuffer(self.content, number.format, count, start)
        found = []
        if mark == b"#":
            return [self.value(self.take(1), depth + 1) for _ in range(self.length())]
        while mark != b"]":
            found.append(self.value(mark, depth + 1))
            mark = self.take(1)
        return found
