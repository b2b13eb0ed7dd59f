from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from esteira.base.errors import BadInput
from esteira.registry.tensors import DTYPES
from esteira.serving.tensors import MalformedTensor, as_objects, count_of, datatype_of, from_raw, to_raw

NUMBERS = [name for name in DTYPES if name != "BYTES"]
SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)


@st.composite
def tensors(draw: st.DrawFn) -> tuple[str, Any]:
    datatype, shape = draw(st.sampled_from([*DTYPES])), draw(SHAPES)
    if datatype == "BYTES":
        count = int(np.prod(shape))
        texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
        found = draw(st.lists(texts, min_size=count, max_size=count))
        return datatype, as_objects(found).reshape(shape)
    return datatype, draw(arrays.arrays(DTYPES[datatype], shape))


@given(tensors())
def test_what_is_written_is_read_again_to_the_bit(tensor: tuple[str, Any]) -> None:
    datatype, array = tensor
    assert datatype_of(array) == datatype
    read = from_raw(datatype, array.shape, to_raw(array))
    assert (read.dtype, read.shape) == (array.dtype, array.shape)
    assert to_raw(read) == to_raw(array)
    if datatype == "BYTES":
        assert read.tolist() == array.tolist()


@given(tensors(), st.binary(min_size=1, max_size=9), st.data())
def test_bytes_too_many_or_too_few_are_refused_with_the_length(
    tensor: tuple[str, Any], more: bytes, data: st.DataObject
) -> None:
    datatype, array = tensor
    raw = to_raw(array)
    with pytest.raises(MalformedTensor):
        from_raw(datatype, array.shape, raw + more)
    if raw:
        cut = data.draw(st.integers(0, len(raw) - 1))
        with pytest.raises(MalformedTensor, match="found"):
            from_raw(datatype, array.shape, raw[:cut])


@given(
    st.sampled_from([*DTYPES, "FP8", ""]),
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 4), max_size=40),
    st.binary(max_size=64),
)
def test_whatever_comes_is_a_tensor_or_bad_input(datatype: str, shape: list[int], raw: bytes) -> None:
    try:
        read = from_raw(datatype, shape, raw)
    except BadInput:
        return
    assert list(read.shape) == shape


@pytest.mark.parametrize(
    ("datatype", "shape", "raw", "said"),
    [
        ("FP32", [3], b"\0" * 8, "must be 12 bytes, 3 elements of FP32, found 8"),
        ("BOOL", [2], b"\x01\x02", "bytes 0 and 1"),
        ("BYTES", [1], b"", "at least 4 bytes"),
        ("BYTES", [1], struct.pack("<I", 9) + b"UA", "an end in element 0"),
        ("BYTES", [1], struct.pack("<I", 2) + b"\xff\xfe", "UTF-8"),
        ("BYTES", [0], b"UA", "0 and 2 bytes more"),
        ("BF16", [1], b"\0\0", "of datatype BOOL, UINT8"),
        ("FP32", [-1], b"\0" * 4, "none negative"),
        ("FP32", [1] * 33, b"\0" * 4, "at most 32 dimensions"),
        ("FP64", [0, 2**61, 2**61], b"", "a shape that holds its elements"),
    ],
)
def test_a_wrong_tensor_is_refused_with_what_was_expected(
    datatype: str, shape: list[int], raw: bytes, said: str
) -> None:
    with pytest.raises(MalformedTensor, match=said):
        from_raw(datatype, shape, raw)


@pytest.mark.parametrize("datatype", NUMBERS)
def test_the_bytes_are_little_endian_and_row_major_wherever_they_lie(datatype: str) -> None:
    array = np.array([[0, 1], [1, 0], [1, 1]], dtype=DTYPES[datatype])
    swapped = np.asfortranarray(array.astype(array.dtype.newbyteorder(">")))
    assert to_raw(swapped) == to_raw(array) == array.astype(array.dtype.newbyteorder("<")).tobytes()
    assert datatype_of(swapped) == datatype
    assert len(to_raw(array)) == count_of(datatype, array.shape) * array.itemsize


def test_a_dtype_that_the_protocol_does_not_know_is_refused() -> None:
    with pytest.raises(MalformedTensor, match="complex128"):
        datatype_of(np.zeros(1, complex))
    assert to_raw(np.array(["é", ""])) == b"\x02\0\0\0\xc3\xa9\0\0\0\0"
    assert to_raw(np.array([b"\xff"], dtype=object)) == b"\x01\0\0\0\xff"
