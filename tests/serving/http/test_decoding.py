from __future__ import annotations

import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.serving.http.decoding import MalformedBody, decode

ANYTHING = msgspec.json.Decoder(dict[str, list[float | str | bool | None]])

VALUES = st.lists(st.floats() | st.text(max_size=5) | st.booleans() | st.none(), max_size=5)


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
def test_what_python_writes_is_read_back_even_where_it_is_no_json(
    document: dict[str, list[object]],
) -> None:
    read = decode(ANYTHING, json.dumps(document).encode())
    assert repr(read) == repr(document)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"a": [1]',
        b'{"a": [1]}}',
        b"{'a': [1]}",
        b'{"a": [\xff]}',
        b'{"a": ["\xff"]}',
        b'{"a": [NaN]',
        b'{"a": [NaN, \xff]}',
        b'{"a": [Infinity]}}',
        b'{"a": ["\\ud800"]}',
        b'{"a": ["\\ud800", NaN]}',
        b"\x00\x01\x02",
        b"a,b\n1,2\n",
    ],
)
def test_what_is_no_json_is_refused_with_what_is_wrong(body: bytes) -> None:
    with pytest.raises(MalformedBody, match="not JSON"):
        decode(ANYTHING, body)


@pytest.mark.parametrize("body", [b"[]", b'{"a": 1}', b'{"a": [[]]}', b'{"a": [{}, NaN]}', b'"NaN"'])
def test_what_is_json_of_another_shape_is_refused_with_the_place(body: bytes) -> None:
    with pytest.raises(MalformedBody, match="does not fit: Expected"):
        decode(ANYTHING, body)


@pytest.mark.parametrize("unit", [b"[", b'{"a":'])
@pytest.mark.parametrize("end", [b"", b"NaN"])
def test_json_nested_without_end_is_refused(unit: bytes, end: bytes) -> None:
    with pytest.raises(MalformedBody):
        decode(msgspec.json.Decoder(dict[str, object]), b'{"a":' + unit * 200_000 + end)


def test_numbers_beyond_every_float_do_not_break_the_door() -> None:
    for digits in (b"1e999", b"9" * 400, b"9" * 6000, b"-" + b"9" * 6000):
        try:
            (value,) = decode(ANYTHING, b'{"a": [' + digits + b"]}")["a"]
        except MalformedBody:
            continue
        assert isinstance(value, float)
        assert math.isfinite(value) or math.isinf(value)
