from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from esteira.base.errors import BadInput, CheckFailed
from esteira.registry.columns import Column
from esteira.registry.signature import Signature
from esteira.serving.conversions.parity import Limits, Parity, ParityFailed, hold, measure

SIGNATURE = Signature((Column("miles"), Column("carrier", "category", ("AA", "UA"))), "late")
SCORES = arrays(np.float64, 7, elements=st.floats(allow_nan=True, allow_infinity=True))


class Said:
    """Answers row n with the n-th score; alone, if it has others for that, with those."""

    is_exact = True

    def __init__(self, together: np.ndarray, alone: np.ndarray | None = None) -> None:
        self._together = np.asarray(together, dtype=np.float64)
        self._alone = self._together if alone is None else np.asarray(alone, dtype=np.float64)

    def predict_row(self, row: list[float]) -> float:
        return float(self._alone[int(row[0])])

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return self._together[: len(matrix)]


def rows(count: int) -> np.ndarray:
    return np.column_stack([np.arange(count, dtype=np.float64), np.ones(count)])


def test_the_greatest_difference_is_told_with_its_row_and_both_scores() -> None:
    found = measure(Said([0.1, 0.2, 0.6]), Said([0.1, 0.25, 0.59]), rows(3))
    assert found == Parity(3, pytest.approx(0.05), 1, 0.2, 0.25, 0)


def test_a_difference_of_a_row_alone_counts_as_one_in_a_batch() -> None:
    found = measure(Said([0.1, 0.2]), Said([0.1, 0.2], alone=[0.1, 0.3]), rows(2))
    assert (found.row, found.before, found.after) == (1, 0.2, 0.3)


def test_rows_on_the_other_side_of_the_threshold_are_counted() -> None:
    before, after = Said([0.4, 0.5, 0.6, 0.9]), Said([0.5, 0.499, 0.7, 0.9])
    assert measure(before, after, rows(4)).changed == 2
    assert measure(before, after, rows(4), threshold=0.95).changed == 0


@given(scores=SCORES)
def test_a_model_agrees_with_itself_whatever_it_says(scores: np.ndarray) -> None:
    found = measure(Said(scores), Said(scores.copy()), rows(7))
    assert (found.greatest, found.changed) == (0.0, 0)


@given(before=SCORES, after=SCORES)
def test_the_measure_is_that_of_brute_force(before: np.ndarray, after: np.ndarray) -> None:
    def apart(one: float, other: float) -> float:
        if one == other or (math.isnan(one) and math.isnan(other)):
            return 0.0
        return math.inf if math.isnan(one - other) else abs(one - other)

    with np.errstate(all="ignore"):
        expected = [apart(*pair) for pair in zip(before.tolist(), after.tolist(), strict=True)]
        found = measure(Said(before), Said(after), rows(7))
    assert found.greatest == max(expected)
    assert expected[found.row] == found.greatest


def test_a_score_that_one_form_cannot_give_is_infinitely_far() -> None:
    assert measure(Said([0.5]), Said([np.nan]), rows(1)).greatest == np.inf


def test_what_fails_names_the_row_its_values_and_both_scores() -> None:
    matrix = np.array([[500.0, 1.0], [700.0, np.nan]])
    parity = Parity(2, 0.25, 0, 0.5, 0.25, 1)
    hold(parity, Limits(tolerance=0.25), SIGNATURE, matrix)
    with pytest.raises(ParityFailed) as failed:
        hold(parity, Limits(), SIGNATURE, matrix)
    assert str(failed.value) == (
        "the converted model scores 0.25 where the model scores 0.5, 0.25 apart with a tolerance of 1e-06; "
        "1 of 2 recorded rows would be decided otherwise. Row 0: miles=500.0, carrier='UA'"
    )
    assert isinstance(failed.value, CheckFailed)
    assert failed.value.values == {"miles": 500.0, "carrier": "UA"}


@pytest.mark.parametrize("tolerance", [-1e-9, 1.0, float("nan")])
def test_a_tolerance_that_would_let_everything_or_nothing_pass_is_bad_input(tolerance: float) -> None:
    with pytest.raises(BadInput, match="tolerance"):
        Limits(tolerance)
