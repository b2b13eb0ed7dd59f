from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.serving.telemetry.families import LOAD_SECONDS, ROWS, SECONDS
from esteira.serving.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

LATE = ("late", "1", "champion", "oip", "200")
REQUESTS = "esteira_requests_total"


def test_a_count_is_kept_for_each_set_of_labels() -> None:
    metrics = Metrics()
    metrics.requests.add(LATE)
    metrics.requests.add(LATE, 2)
    metrics.requests.add(("", "", "", "oip", "404"))
    assert metrics.read() == {REQUESTS: {LATE: [3.0], ("", "", "", "oip", "404"): [1.0]}}


def test_a_bound_cell_counts_with_all_others_of_its_labels() -> None:
    metrics = Metrics()
    cell = metrics.requests.bind(LATE)
    metrics.values[cell] += 2
    metrics.requests.add(LATE)
    metrics.values[metrics.requests.bind(LATE, "batch-1")] += 4
    assert metrics.requests.bind(LATE) == cell
    assert metrics.read() == {REQUESTS: {LATE: [7.0]}}


def test_a_bound_histogram_counts_as_one_that_is_looked_up() -> None:
    metrics = Metrics()
    cell = metrics.batch_rows.bind(("late",))
    for rows in (1, 3, 2000):
        metrics.batch_rows.observe_at(cell, rows)
        metrics.batch_rows.observe(("late",), rows)
    *counts, total = metrics.read()["esteira_batch_rows"]["late",]
    assert (counts[0], counts[2], counts[-1], sum(counts), total) == (2, 2, 2, 6, 4008)


def test_each_histogram_has_the_buckets_of_its_unit() -> None:
    metrics = Metrics()
    metrics.predict_seconds.observe(("late", "1"), 0.1)
    metrics.load_seconds.observe((), 0.1)
    metrics.batch_rows.observe(("late",), 1)
    sizes = {name: len(numbers) for name, series in metrics.read().items() for numbers in series.values()}
    assert sizes == {
        "esteira_predict_duration_seconds": len(SECONDS) + 2,
        "esteira_model_load_seconds": len(LOAD_SECONDS) + 2,
        "esteira_batch_rows": len(ROWS) + 2,
    }


def test_a_gauge_that_is_forgotten_is_no_longer_there_until_it_is_set_again() -> None:
    metrics = Metrics()
    metrics.model_memory.forget(("late", "1"))
    metrics.model_memory.set(("late", "1"), 5)
    metrics.model_memory.forget(("late", "1"))
    assert metrics.read() == {}
    metrics.model_memory.set(("late", "1"), 6)
    assert metrics.read() == {"esteira_model_memory_bytes": {("late", "1"): [6.0]}}


@given(st.lists(st.floats(0, 3), max_size=50))
def test_a_histogram_counts_every_observation_once_and_sums_them(seconds: list[float]) -> None:
    metrics = Metrics()
    metrics.predict_seconds.observe(("late", "1"), 0.0)
    for each in seconds:
        metrics.predict_seconds.observe(("late", "1"), each)
    *counts, total = metrics.read()["esteira_predict_duration_seconds"]["late", "1"]
    assert len(counts) == len(SECONDS) + 1
    assert sum(counts) == len(seconds) + 1
    assert total == sum(seconds)
    for bound, count in zip(SECONDS, counts, strict=False):
        below = sum(each <= bound for each in [0.0, *seconds])
        assert sum(counts[: SECONDS.index(bound) + 1]) == below, count


@pytest.fixture
def _threads_that_switch_all_the_time() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_threads_that_switch_all_the_time")
def test_no_count_is_lost_when_several_threads_count_the_same() -> None:
    metrics, threads, each = Metrics(), 8, 3_000

    def count(_thread: int) -> None:
        for _ in range(each):
            metrics.requests.add(LATE)
            metrics.batch_rows.observe(("late",), 2)
            metrics.in_flight.add((), 1)
            metrics.in_flight.add((), -1)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(count, range(threads)))
    found = metrics.read()
    assert found[REQUESTS] == {LATE: [threads * each]}
    assert found["esteira_batch_rows"]["late",][-1] == 2 * threads * each
    assert found["esteira_requests_in_flight"] == {(): [0.0]}


def test_the_cells_of_a_thread_that_ended_are_used_again() -> None:
    metrics = Metrics()
    for _ in range(50):
        thread = threading.Thread(target=metrics.requests.add, args=(LATE,))
        thread.start()
        thread.join()
    assert metrics.read()[REQUESTS] == {LATE: [50.0]}
    assert len(metrics._cells.placed()) < 5


def test_threads_that_set_a_gauge_share_its_cell() -> None:
    metrics = Metrics()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: metrics.queue_depth.set((str(n % 3),), 7), range(200)))
    assert metrics.read()["esteira_queue_depth"] == {(str(n),): [7.0] for n in range(3)}
