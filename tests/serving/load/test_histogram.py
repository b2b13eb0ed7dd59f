from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput
from esteira.serving.load.histogram import Histogram

DURATIONS = st.lists(st.floats(1e-9, 1e4), min_size=1, max_size=200)


def of(*parts: list[float]) -> Histogram:
    seen = Histogram()
    for part in parts:
        seen.record(part)
    return seen


@given(DURATIONS, st.floats(0, 1))
def test_a_quantile_is_within_its_bucket_of_the_true_one(taken: list[float], share: float) -> None:
    rank = min(len(taken), max(1, math.ceil(share * len(taken))))
    true = sorted(taken)[rank - 1]
    assert of(taken).quantile(share) == pytest.approx(true, rel=0.008, abs=1e-9)


@given(DURATIONS, DURATIONS)
def test_merging_is_counting_together(one: list[float], other: list[float]) -> None:
    merged = of(one)
    merged.merge(of(other))
    both = of(one, other)
    assert merged.bars() == both.bars()
    assert (merged.count, merged.least, merged.most) == (both.count, both.least, both.most)
    assert merged.total == pytest.approx(math.fsum([*one, *other]))


@given(DURATIONS)
def test_a_histogram_survives_json(taken: list[float]) -> None:
    seen = of(taken)
    back = Histogram.from_plain(json.loads(json.dumps(seen.to_plain())))
    assert (back.bars(), back.total, back.least, back.most) == (
        seen.bars(),
        seen.total,
        seen.least,
        seen.most,
    )


@given(DURATIONS)
def test_every_value_lies_in_a_bar(taken: list[float]) -> None:
    bars = of(taken).bars()
    assert sum(count for _, _, count in bars) == len(taken)
    assert all(any(low - 1e-9 <= each <= high + 1e-9 for low, high, _ in bars) for each in taken)


def test_of_nothing_everything_is_zero() -> None:
    seen = of([])
    assert (seen.count, seen.mean, seen.quantile(0.5), seen.bars()) == (0, 0.0, 0.0, [])


def test_a_negative_or_endless_duration_has_its_place_too() -> None:
    seen = of([-1.0, 1e9])
    assert (seen.count, seen.least) == (2, 0.0)


def test_a_quantile_is_a_share() -> None:
    with pytest.raises(BadInput, match="from 0 to 1"):
        of([1.0]).quantile(50)
