from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from esteira.serving.costs import Cost

SECONDS = st.floats(1e-6, 1.0)
CALLS = st.lists(st.tuples(st.integers(1, 2_000), SECONDS), min_size=1, max_size=60)


@given(st.floats(1e-5, 0.1), st.floats(1e-6, 1e-3), st.lists(st.integers(1, 500), min_size=2, max_size=50))
def test_the_line_of_calls_that_lie_on_one_is_found(fixed: float, per_row: float, rows: list[int]) -> None:
    cost = Cost()
    for each in [*rows, 1, 1_000]:
        cost.observe(each, fixed + per_row * each)
    assert abs(cost.of(200) - (fixed + per_row * 200)) <= 1e-6 + 1e-3 * (fixed + per_row * 200)


@given(CALLS)
def test_no_cost_is_negative_whatever_was_measured(calls: list[tuple[int, float]]) -> None:
    cost = Cost()
    for rows, seconds in calls:
        cost.observe(rows, seconds)
        assert cost.fixed >= 0
        assert cost.per_row >= 0
        assert 0 <= cost.gain <= 1


@given(st.integers(1, 500), SECONDS)
def test_calls_of_one_size_give_its_mean(rows: int, seconds: float) -> None:
    cost = Cost()
    for _ in range(20):
        cost.observe(rows, seconds)
    assert abs(cost.of(rows) - seconds) < 1e-9 + 1e-6 * seconds


def test_a_model_that_became_slower_is_known_to_be_so_after_some_hundred_calls() -> None:
    cost = Cost()
    for _ in range(1_000):
        cost.observe(1, 0.001)
    for _ in range(600):
        cost.observe(1, 0.010)
    assert 0.009 < cost.of(1) < 0.011


def test_what_joining_saves_is_the_fixed_part() -> None:
    fixed, rows = Cost(), Cost()
    for each in (1, 10, 100):
        fixed.observe(each, 0.01)
        rows.observe(each, 0.001 * each)
    assert fixed.gain > 0.9
    assert rows.gain < 0.05
    assert Cost().gain == 0.0


def test_a_call_without_rows_teaches_nothing() -> None:
    cost = Cost()
    cost.observe(0, 1.0)
    assert (cost.of(1), cost.is_fitted) == (inf, False)


def test_a_call_far_larger_than_any_that_was_seen_has_no_known_cost() -> None:
    cost = Cost()
    assert cost.of(0) == cost.of(1) == inf
    for rows in (1, 8, 1, 8):
        cost.observe(rows, 1e-6 * rows)
    assert cost.of(32) < 1e-3
    assert cost.of(33) == cost.of(50_000) == inf
    cost.observe(50_000, 0.05)
    assert cost.of(1_000) < inf


def test_rows_that_once_seemed_to_cost_nothing_do_not_for_ever() -> None:
    cost = Cost()
    for rows in (1, 8, 1, 8):
        cost.observe(rows, 0.010 / rows)  # the first was cold
    assert (cost.per_row, cost.is_fitted) == (0.0, True)
    for _ in range(1_000):
        cost.observe(1, 0.010)
    assert cost.of(4) > 0.039
    assert not cost.is_fitted  # so that calls of several sizes are made again
    for rows in (1, 2, 3, 4) * 50:
        cost.observe(rows, 0.010)
    assert cost.of(4) < 0.011
