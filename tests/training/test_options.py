"""Options of trainers."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from esteira.base.errors import BadInput, UnknownName
from esteira.training.options import with_options


@dataclass(frozen=True)
class Options:
    leaves: int = 31
    rate: float = 0.1


def test_what_is_not_given_stays() -> None:
    assert with_options(Options(), {}, "trees") == Options()
    assert with_options(Options(), {"leaves": 7}, "trees") == Options(leaves=7)


def test_a_whole_number_serves_as_a_fraction() -> None:
    rate = with_options(Options(), {"rate": 1}, "trees").rate
    assert isinstance(rate, float)
    assert rate == 1.0


def test_a_fraction_does_not_serve_as_a_whole_number() -> None:
    with pytest.raises(BadInput, match=r"option leaves of trees must be int greater than zero, found 7\.5"):
        with_options(Options(), {"leaves": 7.5}, "trees")


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), True, "7", None])
def test_what_is_no_number_above_zero_is_refused(wrong: object) -> None:
    with pytest.raises(BadInput, match="option rate of trees"):
        with_options(Options(), {"rate": wrong}, "trees")


def test_an_option_nobody_knows_is_named_with_its_neighbour() -> None:
    with pytest.raises(UnknownName, match="unknown option of trees 'leafs'; did you mean 'leaves'"):
        with_options(Options(), {"leafs": 7}, "trees")
