from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from esteira.serving.metrics import BUCKETS, FAMILIES, Metrics

if TYPE_CHECKING:
    from pathlib import Path

LATE = ("late", "1", "champion", "oip", "200")


def test_a_count_is_kept_for_each_set_of_labels() -> None:
    metrics = Metrics()
    metrics.requests.add(LATE)
    metrics.requests.add(LATE, 2)
    metrics.requests.add(("", "", "", "oip", "404"))
    assert metrics.read() == {"esteira_requests_total": {LATE: [3.0], ("", "", "", "oip", "404"): [1.0]}}


def test_workers_add_up_and_the_slowest_tells_the_revision(tmp_path: Path) -> None:
    one, other = Metrics(tmp_path, "w1"), Metrics(tmp_path, "w2")
    for metrics, revision in ((one, 5), (other, 4)):
        metrics.requests.add(LATE)
        metrics.route_revision.set(("late",), revision)
        metrics.model_info.set(("late", "1", "champion", "ab"), 1)
    found = one.read()
    assert found["esteira_requests_total"] == {LATE: [2.0]}
    assert found["esteira_route_revision"] == {("late",): [4.0]}
    assert found["esteira_model_info"] == {("late", "1", "champion", "ab"): [1.0]}
    assert found == other.read()


@given(st.lists(st.floats(0, 3), max_size=50))
def test_a_histogram_counts_every_observation_once_and_sums_them(seconds: list[float]) -> None:
    metrics = Metrics()
    metrics.predict_seconds.observe(("late", "1"), 0.0)
    for each in seconds:
        metrics.predict_seconds.observe(("late", "1"), each)
    *counts, total = metrics.read()["esteira_predict_duration_seconds"]["late", "1"]
    assert len(counts) == len(BUCKETS) + 1
    assert sum(counts) == len(seconds) + 1
    assert total == sum(seconds)
    for bound, count in zip(BUCKETS, counts, strict=False):
        below = sum(each <= bound for each in [0.0, *seconds])
        assert sum(counts[: BUCKETS.index(bound) + 1]) == below, count


def test_names_follow_the_conventions_of_prometheus() -> None:
    for family in FAMILIES:
        assert family.name.startswith("esteira_")
        assert family.name.endswith("_total") == (family.kind == "counter")
        assert family.name.endswith("_seconds") == (family.kind == "histogram")
