from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.serving.rollout.losses import LOSSES, Costs, losses, paired_losses, weighed_outcomes


def test_paired_losses_are_the_difference_of_log_losses() -> None:
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, 50)
    champion, challenger = random.random(50), random.random(50)
    loss = [-(labels * np.log(s) + (1 - labels) * np.log(1 - s)) for s in (champion, challenger)]
    assert paired_losses(labels, champion, challenger) == pytest.approx(loss[1] - loss[0])


def test_a_certain_mistake_costs_much_but_not_everything() -> None:
    found = paired_losses([0, 1], [0.5, 0.5], [1.0, 0.0])
    assert np.isfinite(found).all()
    assert (found > 30).all()


@pytest.mark.parametrize("metric", LOSSES)
def test_a_score_that_is_no_number_is_no_loss_either(metric: str) -> None:
    assert np.isnan(losses(metric, [1, 0], [math.nan, math.nan])).all()
    assert np.isnan(paired_losses([1], [0.5], [math.nan], metric)).all()


@pytest.mark.parametrize("metric", LOSSES)
def test_the_right_answer_costs_nothing_and_the_wrong_one_something(metric: str) -> None:
    assert losses(metric, [0, 1], [0.0, 1.0]) == pytest.approx([0, 0], abs=1e-9)
    assert (losses(metric, [0, 1], [1.0, 0.0]) > 0).all()


def test_a_miss_and_a_false_alarm_have_their_own_costs_and_threshold() -> None:
    costs = Costs(false_alarm=2, miss=7, threshold=0.3)
    assert losses("cost", [0, 0, 1, 1], [0.29, 0.3, 0.3, 0.29], costs).tolist() == [0, 2, 0, 7]
    assert losses("error", [0, 0, 1, 1], [0.29, 0.3, 0.3, 0.29], costs).tolist() == [0, 1, 0, 1]


def test_a_regression_is_judged_by_its_distance() -> None:
    assert losses("squared", [3.0], [5.0]).tolist() == [4.0]
    assert losses("absolute", [3.0], [5.0]).tolist() == [2.0]


def test_a_metric_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(KeyError):
        losses("auc", [1], [1.0])


@given(
    st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20),
    st.sampled_from(sorted(LOSSES)),
)
def test_to_swap_the_models_turns_the_sign(rows: list[tuple[int, float, float]], metric: str) -> None:
    labels, one, other = (np.array(each) for each in zip(*rows, strict=True))
    assert (
        paired_losses(labels, one, other, metric).tolist()
        == (-paired_losses(labels, other, one, metric)).tolist()
    )


def test_weighed_outcomes_tend_to_the_difference_of_the_means_whatever_the_shares() -> None:
    random = np.random.default_rng(2)
    share = np.repeat([0.05, 0.5, 0.9], 100_000)
    is_challenger = random.random(len(share)) < share
    outcomes = (random.random(len(share)) < np.where(is_challenger, 0.3, 0.2)).astype(float)
    found = weighed_outcomes(outcomes, is_challenger, share)
    error = found.std() / math.sqrt(len(found))
    assert found.mean() == pytest.approx(-0.1, abs=4 * error)
    naive = outcomes[~is_challenger].mean() - outcomes[is_challenger].mean()
    assert naive == pytest.approx(-0.1, abs=0.01)


def test_shares_that_followed_what_was_seen_leave_the_guess_unbiased() -> None:
    """A naive mean over rows is biased when the share moved while the world did; the weighed one is not."""
    random = np.random.default_rng(3)
    share = np.repeat([0.1, 0.9], 100_000)
    usual = np.repeat([0.2, 0.6], 100_000)  # of both versions alike
    is_challenger = random.random(len(share)) < share
    outcomes = (random.random(len(share)) < usual).astype(float)
    found = weighed_outcomes(outcomes, is_challenger, share)
    assert found.mean() == pytest.approx(0, abs=4 * found.std() / math.sqrt(len(found)))
    assert outcomes[~is_challenger].mean() - outcomes[is_challenger].mean() < -0.2
