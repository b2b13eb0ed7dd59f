from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from esteira.serving.telemetry.cells import Cells
from esteira.serving.telemetry.metrics import Metrics
from esteira.serving.telemetry.readings import Readings

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

LATE = ("late", "1", "champion", "oip", "200")


def test_workers_add_up_and_the_slowest_tells_the_revision(tmp_path: Path) -> None:
    one, other = Metrics(tmp_path, "w1"), Metrics(tmp_path, "w2")
    for metrics, revision in ((one, 5), (other, 4)):
        metrics.requests.add(LATE)
        metrics.route_revision.set(("late",), revision)
        metrics.model_info.set(("late", "1", "champion", "ab"), 1)
        metrics.queue_depth.set(("late",), revision)
    found = one.read()
    assert found["esteira_requests_total"] == {LATE: [2.0]}
    assert found["esteira_route_revision"] == {("late",): [4.0]}
    assert found["esteira_model_info"] == {("late", "1", "champion", "ab"): [1.0]}
    assert found["esteira_queue_depth"] == {("late",): [9.0]}
    assert found == other.read() == Readings(tmp_path).read()


def test_what_a_dead_worker_counted_stays_and_what_it_measured_is_gone(tmp_path: Path) -> None:
    one, other = Metrics(tmp_path, "w1"), Metrics(tmp_path, "w2")
    for metrics, revision in ((one, 5), (other, 4)):
        metrics.requests.add(LATE)
        metrics.batch_rows.observe(("late",), 8)
        metrics.route_revision.set(("late",), revision)
        metrics.in_flight.add((), 1)
    readings = Readings(tmp_path)
    assert readings.living() == 2
    other.close()
    after = readings.read()
    assert readings.living() == 1
    assert after["esteira_requests_total"] == {LATE: [2.0]}
    assert sum(after["esteira_batch_rows"]["late",][:-1]) == 2
    assert after["esteira_route_revision"] == {("late",): [5.0]}
    assert after["esteira_requests_in_flight"] == {(): [1.0]}
    one.close()
    assert set(readings.read()) == {"esteira_requests_total", "esteira_batch_rows"}


def test_a_worker_that_comes_later_is_found(tmp_path: Path) -> None:
    one = Metrics(tmp_path, "w1")
    one.requests.add(LATE)
    one.read()
    Metrics(tmp_path, "w2").requests.add(LATE, 2)
    assert one.read()["esteira_requests_total"] == {LATE: [3.0]}


def test_a_series_that_this_version_does_not_know_is_left_out(tmp_path: Path) -> None:
    cells = Cells(tmp_path, "w1")
    cells.place("esteira_of_tomorrow", (), 1)
    cells.place("esteira_requests_total", ("late",), 1)
    cells.place("esteira_batch_rows", ("late",), 3)
    assert Readings(tmp_path).read() == {}


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert Readings(tmp_path / "gone").read() == {}
    assert Readings(tmp_path / "gone").living() == 0


def test_a_folder_that_is_cleared_meanwhile_still_answers(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path / "8080", "w1")
    metrics.requests.add(LATE)
    metrics.read()
    shutil.rmtree(tmp_path / "8080")
    assert metrics.read() == {"esteira_requests_total": {LATE: [1.0]}}


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["a", "b"]), st.integers(1, 1000)),
        max_size=40,
    ),
    st.sets(st.integers(0, 2)),
)
def test_the_sum_over_workers_is_what_all_of_them_counted(
    tmp_path_factory: pytest.TempPathFactory, counted: list[tuple[int, str, int]], dead: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("shared")
    workers = [Metrics(folder, f"w{at}") for at in range(3)]
    expected: dict[tuple[str, ...], list[float]] = {}
    for at, model, by in counted:
        workers[at].swaps.add((model,), by)
        expected.setdefault((model,), [0.0])[0] += by
    for at in dead:
        workers[at].close()
    assert workers[0].read().get("esteira_model_swaps_total", {}) == expected
