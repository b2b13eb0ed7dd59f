from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.serving.rollout.bandit import best_share

OUTCOMES = st.lists(st.floats(0, 1), max_size=40)


def exactly(champion: tuple[int, int], challenger: tuple[int, int]) -> float:
    """The chance that a Beta variable is above another, by sums over a fine grid."""
    grid = (np.arange(200_000) + 0.5) / 200_000
    log = [won * np.log(grid) + lost * np.log1p(-grid) for won, lost in (champion, challenger)]
    weight = [np.exp(each - each.max()) for each in log]
    densities = [each / each.sum() for each in weight]
    return float(np.sum(densities[1] * np.cumsum(densities[0])))


@pytest.mark.parametrize(
    ("champion", "challenger"),
    [((0, 0), (1, 0)), ((10, 90), (14, 86)), ((3, 7), (40, 60)), ((300, 700), (280, 720))],
)
def test_the_share_is_the_chance_of_being_the_better_one(
    champion: tuple[int, int], challenger: tuple[int, int]
) -> None:
    given_ = [[1.0] * won + [0.0] * lost for won, lost in (champion, challenger)]
    error = 4 * np.sqrt(0.25 / 20_000)  # of the draws
    assert best_share(*given_) == pytest.approx(exactly(champion, challenger), abs=error)


def test_who_knows_nothing_gives_halves() -> None:
    assert best_share([], []) == 0.5


@given(champion=OUTCOMES, challenger=OUTCOMES, seed=st.integers(0, 9))
def test_the_same_outcomes_give_the_same_share(
    champion: list[float], challenger: list[float], seed: int
) -> None:
    found = best_share(champion, challenger, seed=seed)
    assert 0 <= found <= 1
    assert found == best_share(champion, challenger, seed=seed)


@given(champion=OUTCOMES, challenger=OUTCOMES)
def test_to_swap_the_versions_turns_the_share(champion: list[float], challenger: list[float]) -> None:
    there, back = best_share(champion, challenger), best_share(challenger, champion)
    assert there + back == pytest.approx(1, abs=0.04)


def test_a_part_of_a_success_counts_as_that_part() -> None:
    assert best_share([0.5] * 200, [1.0, 0.0] * 100) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("outcome", [-0.1, 1.1, float("nan"), float("inf")])
def test_an_outcome_outside_nought_and_one_is_refused(outcome: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        best_share([0.5], [outcome])
