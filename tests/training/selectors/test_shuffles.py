"""The rule that calls a column noise keeps as many noise columns as it says."""

from __future__ import annotations

import numpy as np
import pytest

from esteira.base.errors import BadInput
from esteira.training.selectors.shuffles import against_shuffles, checked_shuffles, draws_of


def test_a_column_better_than_every_shuffle_is_kept() -> None:
    score = against_shuffles("dest", 0.5, np.array([0.1, 0.2, 0.3]))
    assert score.keep
    assert score.score == pytest.approx(0.3)
    assert score.spread == pytest.approx(0.1)
    assert score.noise == pytest.approx(0.1)
    assert score.reason == "better than all 3 shuffles of it"


@pytest.mark.parametrize(("worth", "equals"), [(0.3, 1), (0.2, 2), (0.0, 3)])
def test_a_column_that_a_shuffle_equals_is_no_better_than_noise(worth: float, equals: int) -> None:
    score = against_shuffles("dest", worth, np.array([0.1, 0.2, 0.3]))
    assert not score.keep
    assert score.reason == f"no better than noise: {equals} of 3 shuffles of it do as well"


def test_of_equals_one_in_twenty_is_kept() -> None:
    drawn = np.random.default_rng(1)
    kept = sum(against_shuffles("x", row[0], row[1:]).keep for row in drawn.normal(size=(4000, 20)))
    assert kept / 4000 == pytest.approx(1 / 20, abs=3 * (0.05 * 0.95 / 4000) ** 0.5)


def test_each_column_has_draws_of_its_own_that_repeat() -> None:
    assert draws_of(7, "a").random() == draws_of(7, "a").random()
    assert len({draws_of(7, "a").random(), draws_of(7, "b").random(), draws_of(8, "a").random()}) == 3


@pytest.mark.parametrize("shuffles", [1, 0, -3])
def test_too_few_shuffles_are_refused(shuffles: int) -> None:
    with pytest.raises(BadInput, match=f"shuffles must be 2 or more, found {shuffles}"):
        checked_shuffles(shuffles)
