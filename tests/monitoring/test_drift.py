from __future__ import annotations

import json
import math
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from esteira.base.errors import BadInput
from esteira.monitoring.drift import DAY_US, ColumnDrift, DriftReference, alarm_level, judge
from esteira.registry.signature import Column, Signature

if TYPE_CHECKING:
    from numpy.typing import NDArray

CARRIERS = ("AA", "B6", "DL", "UA")
SIGNATURE = Signature(
    (
        Column("miles"),
        Column("rain"),
        Column("carrier", "category", CARRIERS),
        Column("year"),  # always the same
        Column("gust"),  # always missing
    ),
    "late",
)
DAYS, DAY_ROWS = 60, 100


def _rows(seed: int, rows: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    rain = np.where(rng.random(rows) < 0.9, 0, rng.exponential(size=rows))
    carrier = rng.choice(4, rows, p=[0.4, 0.3, 0.2, 0.1]).astype(np.float64)
    rain[rng.random(rows) < 0.05] = math.nan
    columns = [rng.normal(1000, 300, rows), rain, carrier, np.full(rows, 2013.0), np.full(rows, math.nan)]
    return np.column_stack(columns)


def _at(days: int, day_rows: int) -> NDArray[np.int64]:
    return np.repeat(np.arange(days), day_rows) * DAY_US


@pytest.fixture(scope="module")
def reference() -> DriftReference:
    return DriftReference.fit(_rows(0, DAYS * DAY_ROWS), SIGNATURE, _at(DAYS, DAY_ROWS))


def _verdicts(found: list[ColumnDrift]) -> dict[str, str]:
    return {each.column: each.verdict for each in found}


def _only(column: str) -> dict[str, str]:
    return {each.name: "drifted" if each.name == column else "ok" for each in SIGNATURE.columns}


def test_a_window_like_the_reference_is_ok(reference: DriftReference) -> None:
    found = judge(reference, _rows(1, 700))
    assert set(_verdicts(found).values()) == {"ok"}
    assert [each.column for each in found] == [each.name for each in SIGNATURE.columns]
    for each in found:
        assert not each.drifted
        assert all(map(math.isfinite, (each.psi, each.threshold, each.p_value)))
        assert each.psi <= each.threshold


def test_a_planted_shift_is_found_in_its_column_and_no_other(reference: DriftReference) -> None:
    for column, planted in {
        "miles": lambda values: values + 75,  # a quarter of a standard deviation
        "rain": lambda values: np.where(values == 0, 0.01, values),
        "carrier": lambda values: np.where(np.arange(len(values)) % 5 == 0, 3.0, values),
    }.items():
        window, at = _rows(2, 700), SIGNATURE.names.index(column)
        window[:, at] = planted(window[:, at])
        assert _verdicts(judge(reference, window)) == _only(column)


def test_values_that_go_missing_are_drift(reference: DriftReference) -> None:
    window = _rows(3, 700)
    window[:100, 0] = math.nan
    assert _verdicts(judge(reference, window)) == _only("miles")


def test_values_that_appear_where_all_were_missing_are_drift(reference: DriftReference) -> None:
    window = _rows(3, 700)
    window[:50, 4] = 30.0
    assert _verdicts(judge(reference, window)) == _only("gust")


def test_unseen_categories_are_drift_whether_coded_or_not(reference: DriftReference) -> None:
    for unseen in (math.nan, 9.0, -1.0):
        window = _rows(3, 700)
        window[:100, 2] = unseen
        assert _verdicts(judge(reference, window)) == _only("carrier")


def test_a_constant_column_alarms_when_strays_are_more_than_chance(reference: DriftReference) -> None:
    # 700 rows of 6,700: one stray in the window and none before has chance 0.1, two 0.01; 0.016 are allowed.
    for strays, verdict in {0: "ok", 1: "ok", 2: "drifted", 700: "drifted"}.items():
        window = _rows(4, 700)
        window[:strays, 3] = 2014.0
        (year,) = (each for each in judge(reference, window) if each.column == "year")
        assert year.verdict == verdict
        assert math.isclose(year.p_value, (700 / 6700) ** strays)
        level = alarm_level(1, timedelta(days=90), timedelta(days=7), 5)
        assert (year.p_value < level) == year.drifted


def test_a_window_of_all_missing_values_is_judged_without_nan(reference: DriftReference) -> None:
    found = judge(reference, np.full((700, 5), math.nan))
    drifted = {each.column for each in found if each.drifted}
    assert drifted == {"miles", "rain", "carrier", "year"}
    assert all(math.isfinite(each.psi) for each in found)


@pytest.mark.parametrize("rows", [0, 1, 99])
def test_too_few_rows_are_not_enough_data(reference: DriftReference, rows: int) -> None:
    found = judge(reference, _rows(5, rows) + 1e6)
    assert set(_verdicts(found).values()) == {"not enough data"}
    for each in found:
        assert not each.drifted
        assert (each.threshold, each.p_value) == (0.0, 1.0)
        assert math.isfinite(each.psi)


def test_a_tiny_window_can_be_asked_for_and_is_judged_without_nan(reference: DriftReference) -> None:
    for rows in (1, 2, 5):
        found = judge(reference, _rows(6, rows), minimum=1)
        assert {each.verdict for each in found} <= {"ok", "drifted"}
        assert all(math.isfinite(each.psi) and 0 <= each.p_value <= 1 for each in found)


def test_a_reference_of_a_few_days_is_not_enough_data() -> None:
    few = DriftReference.fit(_rows(0, 900), SIGNATURE, _at(9, 100))
    assert set(_verdicts(judge(few, _rows(1, 700))).values()) == {"not enough data"}


def test_a_smaller_budget_of_false_alarms_gives_higher_thresholds(reference: DriftReference) -> None:
    window = _rows(7, 700)
    strict = judge(reference, window, false_alarms=0.01)
    loose = judge(reference, window, false_alarms=5)
    for one, other in zip(strict, loose, strict=True):
        assert one.threshold >= other.threshold
        assert one.psi == other.psi


def test_the_budget_is_shared_by_columns_and_windows() -> None:
    week, quarter = timedelta(days=7), timedelta(days=91)
    level = alarm_level(2, quarter, week, 30)
    assert math.isclose(level * 30 * (quarter / week), 2)
    assert alarm_level(1000, quarter, week, 1) == 0.5


@pytest.mark.parametrize("budget", [(0, 90, 7), (-1, 90, 7), (1, 0, 7), (1, 90, 0)])
def test_a_budget_that_is_not_positive_is_refused(budget: tuple[float, int, int]) -> None:
    with pytest.raises(BadInput, match="must be positive"):
        alarm_level(budget[0], timedelta(days=budget[1]), timedelta(days=budget[2]), 5)


def test_matrices_of_other_shapes_are_refused(reference: DriftReference) -> None:
    for wrong in (np.zeros((700, 4)), np.zeros(700)):
        with pytest.raises(BadInput, match="needs 5 columns"):
            judge(reference, wrong)
    for rows, times in ((np.zeros((0, 5)), 0), (np.zeros((10, 4)), 10), (np.zeros((10, 5)), 9)):
        with pytest.raises(BadInput, match="needs a matrix of shape"):
            DriftReference.fit(rows, SIGNATURE, np.zeros(times, dtype=np.int64))


def test_a_reference_that_went_through_json_judges_the_same(reference: DriftReference) -> None:
    text = json.dumps(reference.to_plain(), allow_nan=False)
    back = DriftReference.from_plain(json.loads(text))
    window = _rows(8, 700)
    assert judge(back, window) == judge(reference, window)
    assert back.profiles() == reference.profiles()


def test_a_reference_counts_each_day_whatever_the_order_of_rows() -> None:
    rows, at = _rows(0, 1200), _at(12, 100) + 5 * DAY_US
    order = np.random.default_rng(0).permutation(1200)
    once = DriftReference.fit(rows, SIGNATURE, at)
    again = DriftReference.fit(rows[order], SIGNATURE, at[order])
    assert once.days == 12
    assert once.to_plain() == again.to_plain()


def test_profiles_show_reference_and_window_over_the_same_bins(reference: DriftReference) -> None:
    window = _rows(9, 700)
    for before, now in zip(reference.profiles(), reference.profiles_of(window), strict=True):
        assert (before.column, before.edges, before.categories) == (now.column, now.edges, now.categories)
        assert (sum(before.counts), sum(now.counts)) == (DAYS * DAY_ROWS, 700)
    carrier = reference.profiles()[2]
    assert carrier.categories == CARRIERS
    assert len(carrier.counts) == 6


def _world(rng: np.random.Generator, days: int, columns: int, unlike: float) -> NDArray[np.float64]:
    """Days that differ by `unlike` standard deviations, shape (days, rows, columns)."""
    return rng.normal(size=(days, DAY_ROWS, columns)) + unlike * rng.normal(size=(days, 1, columns))


@pytest.mark.slow
@pytest.mark.parametrize("unlike", [0.0, 0.3], ids=["independent rows", "rows of one day alike"])
def test_over_hundreds_of_quiet_windows_the_budget_of_false_alarms_holds(unlike: float) -> None:
    columns, weeks, rng = 5, 25, np.random.default_rng(2)
    signature = Signature(tuple(Column(f"x{at}") for at in range(columns)), "late")
    alarms = 0
    for _ in range(12):
        days = _world(rng, DAYS + 7 * weeks, columns, unlike)
        known = days[:DAYS].reshape(-1, columns)
        reference = DriftReference.fit(known, signature, _at(DAYS, DAY_ROWS))
        for week in days[DAYS:].reshape(weeks, -1, columns):
            alarms += sum(d.drifted for d in judge(reference, week, false_alarms=1, per=timedelta(days=70)))
    level, tests = 0.1 / columns, 12 * weeks * columns
    reach = 3.29 * math.sqrt(tests * level * (1 - level))  # the binomial 99.9 % interval
    assert abs(alarms - tests * level) <= reach
