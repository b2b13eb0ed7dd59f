from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput
from esteira.registry.columns import WrongInput
from esteira.serving.http.binary import SIZE, arrays_of, split_body
from esteira.serving.http.columns import Tensor


def tensor(name: str, size: object, shape: list[int], datatype: str = "FP32") -> Tensor:
    return Tensor(name, shape, datatype, None, {SIZE: size})


ONE = bytes.fromhex("0000803f")


def test_tensors_are_cut_out_in_the_order_of_the_json() -> None:
    inputs = [tensor("a", 4, [1]), Tensor("json", [1], "FP32", [5.0]), tensor("b", 8, [2, 1])]
    found = arrays_of(inputs, ONE + ONE + bytes(4))
    assert {name: array.tolist() for name, array in found.items()} == {"a": [1.0], "b": [[1.0], [0.0]]}


@pytest.mark.parametrize("header", ["", "-1", "11", "1.5", "x", "٣", "9" * 400, "+1"])
def test_a_length_that_is_not_of_this_body_is_refused(header: str) -> None:
    with pytest.raises(BadInput, match="length of the JSON, 0 to 10"):
        split_body(header, b"0123456789")


def test_a_body_is_its_json_and_its_bytes() -> None:
    assert split_body("3", b"abcde") == (b"abc", b"de")
    assert split_body("0", b"") == (b"", b"")


@pytest.mark.parametrize("size", [-1, 5, True, "4", 4.0, None, 2**80])
def test_a_size_that_cannot_be_is_refused(size: object) -> None:
    with pytest.raises(WrongInput, match="'a' must be a binary_data_size"):
        arrays_of([tensor("a", size, [1])], ONE)


def test_bytes_that_nobody_claims_and_tensors_that_come_twice_are_refused() -> None:
    with pytest.raises(BadInput, match="4 bytes after the last tensor"):
        arrays_of([tensor("a", 4, [1])], ONE + ONE)
    with pytest.raises(WrongInput, match="twice"):
        arrays_of([tensor("a", 4, [1]), tensor("a", 4, [1])], ONE + ONE)
    with pytest.raises(WrongInput, match="twice"):
        arrays_of([Tensor("a", [1], "FP32", [1.0], {SIZE: 4})], ONE)


@given(
    st.binary(max_size=40),
    st.lists(st.integers(-2, 5), max_size=3),
    st.sampled_from(["FP32", "BYTES", "BOOL", "X"]),
)
def test_any_bytes_are_a_tensor_or_are_refused(raw: bytes, shape: list[int], datatype: str) -> None:
    try:
        found = arrays_of([tensor("a", len(raw), shape, datatype)], raw)
    except BadInput:
        return
    assert list(found["a"].shape) == shape
