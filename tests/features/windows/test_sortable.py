"""Values and their whole numbers have one order, and come back as they were."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.features.windows.sortable import from_sortable, is_sortable, to_sortable

RANGES = {
    "int8": (-(2**7), 2**7 - 1),
    "uint8": (0, 2**8 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
    "bool": (0, 1),
    "date32": (-(2**31), 2**31 - 1),
    "time32": (0, 86_399),
    "time64": (0, 86_399_999_999),
    "timestamp": (-(2**63), 2**63 - 1),
    "duration": (-(2**63), 2**63 - 1),
}
TYPES = {
    "bool": pa.bool_(),
    "date32": pa.date32(),
    "time32": pa.time32("s"),
    "time64": pa.time64("us"),
    "timestamp": pa.timestamp("ns", "America/Sao_Paulo"),
    "duration": pa.duration("us"),
}


def array_of(name: str, numbers: list[int]) -> pa.Array:
    kind = TYPES.get(name)
    if kind is None:
        return pa.array(numbers, name)
    narrow = pa.int32() if name in {"date32", "time32"} else pa.int64()
    return pa.array(numbers, narrow).cast(kind)


@pytest.mark.parametrize("name", RANGES)
@given(data=st.data())
def test_whole_numbers_flags_and_times_keep_their_order_and_come_back(name: str, data: st.DataObject) -> None:
    low, high = RANGES[name]
    numbers = data.draw(st.lists(st.integers(low, high) | st.sampled_from([low, high]), max_size=8))
    values = array_of(name, numbers)
    found = to_sortable(values)
    assert [numbers[at] for at in np.argsort(found, kind="stable")] == sorted(numbers)
    assert from_sortable(pa.array(found), values.type).equals(values)


@pytest.mark.parametrize(("kind", "width"), [(pa.float16(), 16), (pa.float32(), 32), (pa.float64(), 64)])
@given(data=st.data())
def test_floats_keep_their_order_and_their_bits(kind: pa.DataType, width: int, data: st.DataObject) -> None:
    floats = data.draw(st.lists(st.floats(allow_nan=False, width=width), max_size=8))
    values = pa.array(np.array(floats, f"float{width}"), kind)
    found = to_sortable(values)
    ordered = [floats[at] for at in np.argsort(found, kind="stable")]
    assert ordered == sorted(floats)
    back = from_sortable(pa.array(found), kind).to_pylist()
    assert [struct.pack("<d", each) for each in back] == [struct.pack("<d", each) for each in floats]


def test_the_negative_zero_is_less_than_zero() -> None:
    assert to_sortable(pa.array([0.0, -0.0])).tolist() == [0, -1]


@pytest.mark.parametrize("kind", [pa.int16(), pa.uint64(), pa.float32(), pa.date32(), pa.bool_(), pa.null()])
def test_null_stays_null(kind: pa.DataType) -> None:
    assert from_sortable(pa.nulls(2, pa.int64()), kind).equals(pa.nulls(2, kind))


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.binary(), pa.decimal128(9, 2), pa.list_(pa.int8()), pa.month_day_nano_interval()]
)
def test_what_has_no_numbers_says_so(kind: pa.DataType) -> None:
    assert not is_sortable(kind)


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.float16(), pa.bool_(), pa.date64(), pa.duration("s"), pa.null()]
)
def test_what_has_numbers_says_so(kind: Any) -> None:
    assert is_sortable(kind)
