from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from esteira.project.modes.measured import ModeMeasured, ModeScores, ModesMeasured, compared, quantiles

NAN = float("nan")


def mode(name: str, **other: object) -> ModeMeasured:
    given_: dict[str, object] = {
        "rows": 4,
        "start_s": 0.5,
        "seconds": 2.0,
        "latency_s": {0.5: 0.1, 0.99: 0.2},
        "cpu_seconds": 1.0,
        "memory_bytes": 5,
        "facts": {},
    }
    return ModeMeasured(name, **{**given_, **other})


def scored(name: str, *scores: float) -> ModeScores:
    return ModeScores(mode(name), np.array(scores))


def whole(*, is_exact: bool = True, differing: int = 0, missing: int = 0) -> ModesMeasured:
    modes = (mode("batch"), mode("streaming", missing=missing))
    return ModesMeasured("late", 1, 4, 0, is_exact, modes, differing, 0.0)


def test_rows_differ_by_a_single_bit_and_a_row_without_score_is_missing() -> None:
    one = scored("batch", 0.1, 0.2, 0.3, NAN)
    other = scored("online", 0.1, np.nextafter(0.2, 1), NAN, 0.4)
    third = scored("streaming", 0.5, 0.2, 0.3, 0.4)
    found = compared([one, other, third])
    assert [each.differing for each in found.modes] == [0, 1, 1]
    assert [each.missing for each in found.modes] == [1, 1, 0]
    assert (found.differing, found.greatest) == (2, 0.4)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_equal_scores_never_differ(scores: list[float]) -> None:
    found = compared([scored("batch", *scores), scored("online", *scores)])
    assert (found.differing, found.greatest) == (0, 0.0)


def test_figures_follow_from_what_was_measured() -> None:
    made = mode("batch")
    assert (made.rows_per_s, made.cpu_per_million) == (2.0, 250_000.0)
    assert mode("batch", cpu_seconds=0.02).cpu_per_million is None  # two ticks of a clock say nothing
    assert mode("batch", cpu_seconds=None).cpu_per_million is None
    said = json.loads(json.dumps(whole().to_plain()))
    assert said["modes"][0]["latency_ms"] == {"p50": 100.0, "p99": 200.0}


def test_a_comparison_fails_on_missing_rows_and_on_differences_that_must_not_be() -> None:
    assert not whole().failed
    assert whole(differing=1).failed
    assert not whole(differing=1, is_exact=False).failed
    assert whole(missing=1, is_exact=False).failed


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=200))
def test_a_quantile_is_one_of_the_durations(seconds: list[float]) -> None:
    found = quantiles(np.array(seconds))
    assert found[0.5] in seconds
    assert min(seconds) <= found[0.5] <= found[0.99] <= max(seconds)
    assert quantiles(np.empty(0)) == {0.5: 0.0, 0.99: 0.0}
