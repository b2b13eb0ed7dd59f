from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from esteira.registry.signature import Column
from esteira.serving.runtimes.lone_rows import ROWS, has_equal_bits, trial_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLUMNS = (Column("x"), Column("c", "category", ("a", "b")), Column("e", "category", ()))


def test_trial_rows_are_equal_at_each_load_and_know_categories() -> None:
    rows = trial_rows(COLUMNS, missing=False)
    np.testing.assert_array_equal(rows, trial_rows(COLUMNS, missing=False))
    assert rows.shape == (ROWS, 3)
    assert set(rows[:, 1]) == {0.0, 1.0}
    assert not np.isnan(rows).any()
    assert np.isnan(trial_rows(COLUMNS, missing=True)).any()


def test_a_score_that_knows_only_its_row_has_equal_bits() -> None:
    assert has_equal_bits(lambda rows: rows[:, 0] * 2, trial_rows(COLUMNS, missing=True), copies=1)


def test_a_kernel_of_its_own_for_one_row_is_found_and_two_copies_avoid_it() -> None:
    def score(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return rows[:, 0] + (1e-15 if len(rows) == 1 else 0.0)

    rows = trial_rows(COLUMNS, missing=False)
    assert not has_equal_bits(score, rows, copies=1)
    assert has_equal_bits(score, rows, copies=2)


def test_a_kernel_that_depends_on_the_place_in_a_batch_is_found() -> None:
    def score(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return rows[:, 0] + 1e-15 * (np.arange(len(rows)) % 4 == 0)

    assert not has_equal_bits(score, trial_rows(COLUMNS, missing=False), copies=2)
