from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from esteira.project.known_answers import KNOWN_ANSWERS, differing, known_answers, wrong_answers
from esteira.project.release import load_model
from esteira.serving.runtimes import open_runtime

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from esteira.project.station import Station


class Shifted:
    """A runtime that says a little more than the real one."""

    is_exact = True

    def __init__(self, station: Station) -> None:
        self._real = open_runtime(load_model(station, station.version(2)))

    def predict_row(self, row: list[float]) -> float:
        return self._real.predict_row(row) + 1e-9

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._real.predict(matrix) + 1e-9


def test_a_version_says_the_same_ever_after(two: Station) -> None:
    version = two.version(2)
    assert version.tags[KNOWN_ANSWERS]
    assert wrong_answers(two, version, open_runtime(load_model(two, version))) == ""


def test_answers_that_are_the_least_bit_other_are_found(two: Station) -> None:
    assert wrong_answers(two, two.version(2), Shifted(two)) == "20 of 20 scores, by at most 1e-09"


def test_a_version_of_which_nothing_is_known_cannot_be_wrong(two: Station) -> None:
    assert wrong_answers(two, replace(two.version(2), tags={}), Shifted(two)) == ""


def test_the_rows_are_spread_over_the_table_and_none_is_doubled(two: Station) -> None:
    model = load_model(two, two.version(2))
    rows = two.tables.read("predictions") if "predictions" in two.tables.names() else None
    assert rows is None
    known = known_answers(model, _rows(two, 3))
    assert len(known["rows"]) == len(known["scores"]) == 3
    assert known_answers(model, _rows(two, 0)) == {"rows": [], "scores": []}


def _rows(station: Station, count: int) -> object:
    from esteira.project.release import train

    return train(station).value(station.project.holdout).slice(0, count)


@pytest.mark.parametrize(
    ("found", "is_exact", "said"),
    [
        ([0.25, 0.5], True, ""),
        ([0.25, 0.5 + 1e-12], True, "1 of 2 scores, by at most 1e-12"),
        ([0.25, 0.5 + 1e-12], False, ""),
        ([0.25, 0.6], False, "1 of 2 scores, by at most 0.1"),
        ([np.nan, 0.5], True, "1 of 2 scores, by at most inf"),
    ],
)
def test_equal_means_to_the_bit_unless_a_runtime_is_not_exact(
    found: list[float], is_exact: bool, said: str
) -> None:
    assert differing(np.array([0.25, 0.5]), np.array(found), is_exact=is_exact) == said
