"""What a step says of its types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, NewType, Optional, Protocol, TypedDict, TypeVar, Union

import numpy as np
import pyarrow as pa
import pytest

from esteira.pipelines.annotations import (
    UNSAID,
    UnresolvedAnnotation,
    matches,
    parameter_types,
    return_type,
    spelled,
)

if TYPE_CHECKING:
    from decimal import Decimal

Dollars = NewType("Dollars", float)
T = TypeVar("T")


class Colour(Enum):
    RED = "red"


class Row(TypedDict):
    a: int


class Closable(Protocol):
    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, int),
        (1, float),
        (np.float64(1.5), float),
        ({"auc": 1}, dict[str, float]),
        ([1, 2], list[int]),
        ((1, 2, 3), tuple[int, ...]),
        ((1, "a"), tuple[int, str]),
        ([1], Sequence[int]),
        ({1}, Iterable[int]),
        ({"a": {"b": [1.5]}}, Mapping[str, Mapping[str, list[float]]]),
        (None, None),
        (None, Optional[int]),  # noqa: UP045 - the old spelling is understood too
        (2, Union[int, str]),  # noqa: UP007 - and this one
        ("a", int | str),
        ("red", Literal["red", "blue"]),
        (Colour.RED, Colour),
        (1.5, Dollars),
        ({"a": 1}, Row),
        (object(), object),
        (object(), Any),
        (object(), T),
        (object(), Closable),
        (len, Callable[[list[int]], int]),
        (int, type[int]),
        (pa.table({"a": [1]}), pa.Table),
    ],
)
def test_a_value_of_the_declared_type_matches(value: object, expected: Any) -> None:
    assert matches(value, expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, int),
        (True, float),
        ("1", int),
        (1.0, int),
        ({"auc": "high"}, dict[str, float]),
        ({1: 1.0}, dict[str, float]),
        ([1, "2"], list[int]),
        ((1, 2), list[int]),
        ((1,), tuple[int, str]),
        ((1, "a"), tuple[int, ...]),
        (0, None),
        ("green", Literal["red", "blue"]),
        (True, Literal[1]),
        ("red", Colour),
        ([], Row),
        ("a", Dollars),
        (None, pa.Table),
        ({"a": [1]}, pa.Table),
    ],
)
def test_a_value_of_another_type_does_not(value: object, expected: Any) -> None:
    assert not matches(value, expected)


def test_a_return_annotation_in_text_is_resolved_where_the_function_stands() -> None:
    def model() -> pa.Table: ...

    assert return_type("model", model) is pa.Table


def test_a_wrapped_function_is_asked_for_its_own_annotation() -> None:
    import functools

    def model() -> Colour: ...

    @functools.wraps(model)
    def wrapper() -> Any:
        return model()

    wrapper.__annotations__ = {}
    assert return_type("model", wrapper) is Colour


def test_a_return_annotation_known_only_to_type_checkers_is_refused_with_the_mend() -> None:
    def price() -> Decimal: ...

    with pytest.raises(UnresolvedAnnotation, match=r"'price'.*Decimal.*run time, not under TYPE_CHECKING"):
        return_type("price", price)


def test_a_parameter_annotation_that_cannot_be_resolved_says_nothing() -> None:
    def price(base: Decimal, seed: int) -> None: ...

    assert parameter_types(price) == {"seed": int}


def test_no_annotation_lets_anything_pass() -> None:
    def anything(): ...  # noqa: ANN202 - a step without an annotation is what is tried

    assert return_type("anything", anything) is UNSAID
    assert spelled(pa.Table) == "Table"
    assert spelled(list[int]) == "list[int]"
