"""The words of the subset."""

from __future__ import annotations

import math

import pytest

from esteira.features.transforms.subset import FUNCTIONS, OF_MANY, OutsideSubset, coalesce, is_null
from esteira.registry.operations import OPERATIONS


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, True),
        (math.nan, True),
        (-math.inf, True),
        (0, False),
        (0.0, False),
        ("", False),
        ("nan", False),
    ],
)
def test_null_is_what_has_no_value(value: float | str | None, *, expected: bool) -> None:
    assert is_null(value) is expected


def test_the_first_value_that_is_there_is_taken() -> None:
    assert coalesce(None, math.nan, 0.0, 1.0) == 0.0
    assert coalesce(None, "") == ""
    assert coalesce(None, None) is None


def test_every_function_of_the_subset_is_an_operation() -> None:
    assert FUNCTIONS.keys() <= OPERATIONS.keys()
    for name in FUNCTIONS:
        assert (len(OPERATIONS[name].takes) == 2) == (name in OF_MANY)


def test_a_refusal_keeps_its_facts() -> None:
    refused = OutsideSubset("rush", 7, "a loop", "write the steps out")
    assert str(refused) == "transform 'rush', line 7: a loop cannot be used; write the steps out"
    assert (refused.transform, refused.line, refused.construct) == ("rush", 7, "a loop")
