"""A step is a function with a name."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING

import pytest

from esteira.pipelines.step import NotAStep, Step, step

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_step_is_still_the_function() -> None:
    @step
    def doubled(number: int, *, times: int = 2) -> int:
        """Twice."""
        return number * times

    assert (doubled(4), doubled(4, times=3)) == (8, 12)
    assert doubled.parameters == ("number", "times")
    assert doubled.defaults == {"times": 2}
    assert doubled.returns is int
    assert doubled.types == {"number": int, "times": int}
    assert (doubled.__name__, doubled.__doc__, repr(doubled)) == ("doubled", "Twice.", "Step('doubled')")
    assert list(inspect.signature(doubled).parameters) == ["number", "times"]


def test_a_step_may_be_named_and_retried() -> None:
    @step(name="flights", retries=2)
    def read() -> int:
        return 1

    assert (read.name, read.retries) == ("flights", 2)


def test_a_partial_is_a_step_once_it_has_a_name() -> None:
    def larger(one: int, other: int) -> int:
        return max(one, other)

    one = Step("one", functools.partial(larger, other=1))
    assert one(0) == 1


def test_something_without_known_parameters_is_refused() -> None:
    for function in (max, 3):
        with pytest.raises(NotAStep, match="write a Python function"):
            Step("largest", function)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: x, "name must be usable"),
        (functools.partial(int), "name must be usable"),
    ],
)
def test_a_function_without_a_usable_name_is_refused(function: object, said: str) -> None:
    with pytest.raises(NotAStep, match=said):
        step(function)


def test_parameters_that_cannot_be_wired_are_refused() -> None:
    def many(*rows: int) -> int:
        return len(rows)

    def named(**rows: int) -> int:
        return len(rows)

    def positional(rows: int, /) -> int:
        return rows

    for function in (many, named, positional):
        with pytest.raises(NotAStep, match="cannot be given by name"):
            step(function)


def test_asynchronous_functions_and_generators_are_refused() -> None:
    async def later() -> int:
        return 1

    def each() -> Iterator[int]:
        yield 1

    for function in (later, each):
        with pytest.raises(NotAStep, match="write a function that returns its value"):
            step(function)


def test_negative_retries_are_refused() -> None:
    with pytest.raises(NotAStep, match="retries must be 0 or more, found -1"):
        step(retries=-1)(test_a_step_is_still_the_function)
