from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput
from esteira.registry.columns import WrongInput
from esteira.registry.signature import Column, Signature
from esteira.serving.http.columns import Tensor, matrix_of, rows_of

THREE = Signature(tuple(Column(f"x{at}") for at in range(3)), "y")
LOOSE = Signature((Column("x0"), Column("x1", optional=True), Column("x2")), "y")
NUMBERS = st.lists(st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=3), min_size=1, max_size=5)


def tensor(name: str, shape: list[int], data: Any, datatype: str = "FP64") -> Tensor:
    return Tensor(name, shape, datatype, data)


@given(NUMBERS)
def test_a_matrix_is_the_rows_of_all_columns_flat_nested_or_as_bytes(rows: list[list[float]]) -> None:
    shape = [len(rows), 3]
    flat = [value for row in rows for value in row]
    for data in (rows, flat):
        assert matrix_of(tensor("x", shape, data), None, THREE) == rows
    array = np.array(rows)
    assert matrix_of(tensor("x", shape, None), array, THREE) == rows
    narrow = array.astype("float32")
    assert matrix_of(tensor("x", shape, None), narrow, THREE) == narrow.astype("float64").tolist()


def test_whole_numbers_in_a_matrix_become_numbers() -> None:
    assert matrix_of(tensor("x", [1, 3], [1, 2, 3]), None, THREE) == [[1.0, 2.0, 3.0]]
    (row,) = matrix_of(tensor("x", [1, 3], [[1, None, 3]]), None, LOOSE) or []
    assert repr(row) == "[1.0, nan, 3.0]"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([1, 2], "1 rows of 3 elements"),
        ([[1, 2]], "1 rows of 3 elements"),
        ([[1, 2, 3], [4, 5, 6]], "1 rows of 3 elements"),
        (None, "1 rows of 3 elements"),
        ([1, "b", 3], "'x' must be FP64 elements, found 'b'"),
        ([1, None, 3], "'x1' must be a number, found nothing"),
        ([1, float("nan"), 3], "'x1' must be a finite number"),
    ],
)
def test_a_matrix_that_does_not_fit_is_refused(data: Any, said: str) -> None:
    with pytest.raises(WrongInput, match=said):
        matrix_of(tensor("x", [1, 3], data), None, THREE)


def test_what_is_no_matrix_of_numbers_is_left_to_the_columns() -> None:
    mixed = Signature((Column("a"), Column("b", "category", ("x",))), "y")
    assert matrix_of(tensor("x", [1, 2], [1, 2]), None, THREE) is None
    assert matrix_of(tensor("x", [1, 2], [1, 2]), None, mixed) is None
    assert matrix_of(tensor("a", [2, 1], [1, 2]), None, Signature((Column("a"),), "y")) is None


def test_columns_come_as_json_and_as_bytes_side_by_side() -> None:
    tensors = [tensor("miles", [2], None), tensor("carrier", [2, 1], [["UA"], ["AA"]], "BYTES")]
    rows = rows_of(tensors, {"miles": np.array([1.5, 2.5])})
    assert rows == [{"miles": 1.5, "carrier": "UA"}, {"miles": 2.5, "carrier": "AA"}]


def test_a_tensor_without_data_is_named() -> None:
    with pytest.raises(WrongInput, match="'miles' must be a tensor with data"):
        rows_of([tensor("miles", [1], None)], {})


@pytest.mark.parametrize(
    ("data", "datatype", "said"),
    [
        ([1, 10**400, 3], "FP64", "too large"),
        ([1, True, 3], "FP64", "FP64 elements, found True"),
        ([1, 1.5, 3], "INT64", "INT64 elements, found 1.5"),
        ([1, 2, 3], "FOO", "of datatype"),
    ],
)
def test_elements_of_a_matrix_are_of_its_datatype(data: list[Any], datatype: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        matrix_of(tensor("x", [1, 3], data, datatype), None, THREE)


def test_a_matrix_has_no_more_rows_than_a_request_may() -> None:
    with pytest.raises(BadInput, match="at most 50000 rows"):
        matrix_of(tensor("x", [60_000, 3], None), np.zeros((60_000, 3), "uint8"), THREE)
