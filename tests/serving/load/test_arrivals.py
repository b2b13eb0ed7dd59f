from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from statistics import mean, stdev

import pytest

from esteira.serving.load.arrivals import due_times
from esteira.serving.load.plan import Ask, LoadPlan

PLAN = LoadPlan("http://127.0.0.1:1", (Ask("/"),), rate=1000.0)


def test_requests_of_a_constant_rate_are_evenly_due() -> None:
    due = [*due_times(replace(PLAN, arrivals="constant"), 10.0, 20.0)]
    assert len(due) in (9_999, 10_000)
    assert max(abs(later - sooner - 0.001) for sooner, later in pairwise(due)) < 1e-9


def test_requests_of_a_poisson_process_have_its_mean_and_spread() -> None:
    due = [*due_times(PLAN, 0.0, 60.0)]
    gaps = [later - sooner for sooner, later in pairwise(due)]
    assert len(due) == pytest.approx(60_000, rel=0.03)
    assert stdev(gaps) == pytest.approx(mean(gaps), rel=0.03)
    assert due == sorted(due)
    assert due[-1] < 60.0


def test_equal_seeds_give_equal_moments_and_others_do_not() -> None:
    assert [*due_times(PLAN, 0.0, 1.0)] == [*due_times(PLAN, 0.0, 1.0)]
    assert [*due_times(PLAN, 0.0, 1.0)] != [*due_times(replace(PLAN, seed=8), 0.0, 1.0)]
    assert [*due_times(PLAN, 1.0, 1.0)] == []
