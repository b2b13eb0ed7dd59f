from __future__ import annotations

from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from esteira.serving.telemetry.families import SECONDS
from esteira.serving.telemetry.histograms import quantile

VALUES = st.lists(st.floats(0, 2), min_size=1, max_size=60)


def _counts(values: list[float]) -> list[int]:
    counts = [0] * (len(SECONDS) + 1)
    for each in values:
        counts[bisect_left(SECONDS, each)] += 1
    return counts


@given(VALUES, st.floats(0, 1))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(values: list[float], share: float) -> None:
    counts, ordered = _counts(values), sorted(values)
    rank = share * len(values)
    true = next(each for at, each in enumerate(ordered, start=1) if at >= rank)
    found = quantile(SECONDS, counts, share)
    at = bisect_left(SECONDS, true)
    low, high = (SECONDS[at - 1] if at else 0.0), SECONDS[min(at, len(SECONDS) - 1)]
    assert found is not None
    assert min(low, high) <= found <= high


@given(VALUES, st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_never_has_a_smaller_quantile(values: list[float], one: float, other: float) -> None:
    low, high = (quantile(SECONDS, _counts(values), share) for share in sorted((one, other)))
    assert low is not None
    assert high is not None
    assert low <= high * (1 + 1e-12)


def test_nothing_observed_has_no_quantile_and_beyond_the_last_bound_it_is_that() -> None:
    assert quantile([1.0, 2.0], [0, 0, 0], 0.5) is None
    assert quantile([1.0, 2.0], [0, 0, 7], 0.5) == 2.0


def test_the_medians_of_answers_that_take_some_ten_microseconds_can_be_told_apart() -> None:
    medians = [quantile(SECONDS, _counts([each] * 9), 0.5) for each in (8e-6, 1.5e-5, 4e-5)]
    assert [round(each or 0.0, 7) for each in medians] == [5e-6, 1.5e-5, 3.5e-5]
