from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.serving.runtimes.ubjson import MalformedUbjson, decode


def encoded(value: Any) -> bytes:
    """The document of a value, as XGBoost writes it; an array of bytes stands for one of numbers."""
    if value is None or isinstance(value, bool):
        return {None: b"Z", True: b"T", False: b"F"}[value]
    if isinstance(value, int | float):
        return b"L" + struct.pack(">q", value) if isinstance(value, int) else b"D" + struct.pack(">d", value)
    if isinstance(value, str):
        text = value.encode()
        return b"SL" + struct.pack(">q", len(text)) + text
    if isinstance(value, bytes):
        return b"[$U#L" + struct.pack(">q", len(value)) + value
    if isinstance(value, list):
        return b"[" + b"".join(map(encoded, value)) + b"]"
    parts = (encoded(name)[1:] + encoded(each) for name, each in value.items())
    return b"{" + b"".join(parts) + b"}"


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN)
def test_what_was_written_is_read(value: Any) -> None:
    assert decode(encoded(value)) == value


@given(st.binary(max_size=30))
def test_an_array_of_numbers_is_kept(content: bytes) -> None:
    array, one = decode(encoded([content, 1]))
    assert (array.tolist(), one) == ([*content], 1)


def test_numbers_of_an_array_are_big_endian() -> None:
    assert decode(b"[$l#U\x02\xff\xff\xff\xff\x00\x00\x00\x07").tolist() == [-1, 7]
    assert decode(b"[$L#U\x01\x00\x00\x00\x00\x00\x00\x01\x00").tolist() == [256]


def test_a_doubled_name_is_refused_as_a_library_may_take_the_other_value() -> None:
    with pytest.raises(MalformedUbjson, match="'a' once"):
        decode(b"{U\x01aU\x01U\x01aU\x02}")


@given(st.dictionaries(st.text(max_size=5), PLAIN, max_size=4), st.data())
def test_a_document_cut_anywhere_is_refused(value: dict[str, Any], data: st.DataObject) -> None:
    whole = encoded(value)
    with pytest.raises(MalformedUbjson):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with suppress(MalformedUbjson):
        decode(content)


def test_a_document_in_a_document_without_end_is_refused() -> None:
    with pytest.raises(MalformedUbjson):
        decode(b"[" * 5000)


def test_a_length_below_zero_or_beyond_memory_is_refused() -> None:
    for length in (-1, 2**62):
        with pytest.raises(MalformedUbjson):
            decode(b"[$D#L" + struct.pack(">q", length))
        with pytest.raises(MalformedUbjson):
            decode(
                b"[#L" + struct.pack(">q", length) + b"Z" if length > 0 else b"SL" + struct.pack(">q", length)
            )


def test_what_follows_the_end_is_refused() -> None:
    with pytest.raises(MalformedUbjson, match="its end"):
        decode(b"TT")
