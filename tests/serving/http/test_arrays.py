from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, from_dtype

from esteira.base.errors import BadInput
from esteira.registry.tensors import DTYPES, TensorSignature, TensorSpec
from esteira.serving.http.arrays import array_of, tensors_of_json
from esteira.serving.http.decoding import MalformedBody
from esteira.serving.http.formats import UnfitRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

OUT = (TensorSpec("score", "FP64", (-1,)),)
MATRIX = TensorSignature((TensorSpec("x", "FP32", (-1, 3)),), OUT)
PAIR = TensorSignature((TensorSpec("a", "FP32", (-1, 2)), TensorSpec("b", "INT64", (-1,))), OUT)
IMAGE = TensorSignature((TensorSpec("image", "UINT8", (-1, 2, 2)),), OUT)

numbers = {name: kind for name, kind in DTYPES.items() if name != "BYTES"}
some_arrays = st.sampled_from(sorted(numbers)).flatmap(
    lambda name: arrays(
        np.dtype(numbers[name]),
        array_shapes(max_dims=3, max_side=4),
        elements=from_dtype(np.dtype(numbers[name]), allow_infinity=False),
    ).map(lambda array: (name, array))
)


def read(document: object, tensors: TensorSignature) -> dict[str, NDArray[Any]]:
    return tensors_of_json(json.dumps(document).encode(), tensors)


@given(some_arrays)
def test_what_numpy_writes_as_lists_is_read_to_the_bit(given_array: tuple[str, NDArray[Any]]) -> None:
    name, array = given_array
    spec = TensorSpec("x", name, (-1,) * array.ndim)
    found = array_of(spec, array.tolist())
    assert found.dtype == array.dtype
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, array)


@settings(max_examples=50)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3), st.lists))
def test_any_value_is_an_array_or_refused(value: object) -> None:
    for name in DTYPES:
        try:
            found = array_of(TensorSpec("x", name, ()), value)
        except BadInput:
            continue
        assert found.dtype == np.dtype(DTYPES[name])


def test_a_matrix_comes_with_or_without_its_name_and_as_a_frame() -> None:
    rows = [[1, 2, 3], [4, 5, 6]]
    for document in (
        {"inputs": rows},
        {"instances": rows},
        {"inputs": {"x": rows}},
        {"instances": [{"x": row} for row in rows]},
        {"dataframe_split": {"data": rows}},
        {"dataframe_split": {"columns": ["p", "q", "r"], "data": rows}},
        {"dataframe_records": [dict(zip("pqr", row, strict=True)) for row in rows]},
        {"dataframe_records": [{"x": row} for row in rows]},
    ):
        found = read(document, MATRIX)["x"]
        assert (found.dtype, found.tolist()) == (np.float32, rows)


def test_a_flat_cell_of_a_frame_takes_the_shape_of_its_tensor() -> None:
    frame = {"dataframe_split": {"columns": ["image"], "data": [[[1, 2, 3, 4]]]}}
    assert read(frame, IMAGE)["image"].tolist() == [[[1, 2], [3, 4]]]


def test_a_long_text_among_short_ones_takes_only_its_own_room() -> None:
    found = array_of(TensorSpec("x", "BYTES", (-1,)), ["x" * 1_000_000, *["y"] * 10_000])
    assert (found.dtype, found[1]) == (np.dtype(object), "y")


@pytest.mark.parametrize(
    ("tensors", "document", "said"),
    [
        (MATRIX, {"inputs": [[1, 2]]}, r"must have shape \[-1, 3\], found \[1, 2\]"),
        (MATRIX, {"inputs": {"y": []}}, "tensor 'x' must be given, found 'y'"),
        (MATRIX, {"inputs": 7}, "inputs must be an object with the tensors 'x', found '7'"),
        (PAIR, {"inputs": {"a": [[1, 2]], "b": [1, 2]}}, "tensors differ in rows: 'a' 1, 'b' 2"),
        (PAIR, {"inputs": [[1, 2]]}, "must be an object with the tensors 'a', 'b'"),
        (PAIR, {"instances": [{"a": [1, 2], "b": 1}, {"a": [1, 2]}]}, "row 1: tensor 'b' must be given"),
        (PAIR, {"dataframe_records": [{"a": [1, 2]}]}, "tensor 'b' must be given, found 'a'"),
    ],
)
def test_tensors_that_are_not_the_models_are_told_apart(
    tensors: TensorSignature, document: object, said: str
) -> None:
    with pytest.raises(UnfitRows, match=said):
        read(document, tensors)


@pytest.mark.parametrize(
    ("datatype", "value", "said"),
    [
        ("FP32", [[1, 2], [3]], "lists of equal length"),
        ("FP32", ["1"], "FP32 elements, found '1'"),
        ("FP32", [1e39], "too large for FP32"),
        ("FP64", [10**400], "too large"),
        ("INT8", [1.5], "whole numbers from -128 to 127, found '1.5'"),
        ("INT8", [128], "found '128'"),
        ("UINT8", [-1], "whole numbers from 0 to 255"),
        ("INT64", [float("nan")], "found 'nan'"),
        ("INT64", [None], "INT64 elements, found 'None'"),
        ("BOOL", [2], "true and false, found '2'"),
        ("BYTES", [1], "BYTES elements, found '1'"),
    ],
)
def test_what_numpy_would_bend_to_fit_is_refused(datatype: str, value: object, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        array_of(TensorSpec("x", datatype, (-1,)), value)


def test_a_ragged_frame_is_malformed() -> None:
    with pytest.raises(MalformedBody, match="row 1 has 1 values for 2 columns"):
        read({"dataframe_split": {"data": [[1, 2], [1]]}}, MATRIX)
