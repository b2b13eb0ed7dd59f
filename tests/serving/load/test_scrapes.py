from __future__ import annotations

import math

import pytest

from esteira.serving.http.exposition import exposition
from esteira.serving.load.scrapes import Buckets, Scrape
from esteira.serving.telemetry.metrics import Metrics


def observed(*seconds: float) -> Scrape:
    metrics = Metrics()
    for each in seconds:
        metrics.request_seconds.observe(("late", "oip"), each)
        metrics.request_seconds.observe(('o"dd', "mlflow"), each)
        metrics.predict_seconds.observe(("late", "1"), each / 2)
    return Scrape.of(exposition(metrics))


def test_what_a_gateway_says_is_read_over_all_its_series() -> None:
    seen = observed(0.004, 0.004, 0.02)
    assert (seen.requests.count, seen.predict.count) == (6, 3)
    assert seen.requests.total == pytest.approx(0.056)
    assert 0.002 < seen.requests.quantile(0.5) <= 0.005


def test_between_two_looks_lies_what_came_since() -> None:
    between = observed(0.004, 0.02, 0.02).since(observed(0.004))
    assert between.requests.count == 4
    assert between.mean_overhead == pytest.approx((0.08 - 0.02) / 4)
    assert between.overhead(0.5) > 0


def test_nothing_has_no_quantile_and_no_overhead() -> None:
    empty = Scrape.of("# TYPE x counter\nx 5\n")
    assert (empty.requests.count, empty.requests.quantile(0.5), empty.mean_overhead) == (0, 0.0, 0.0)


def test_what_is_beyond_the_last_edge_is_told_by_that_edge() -> None:
    assert Buckets({0.1: 1.0, 1.0: 1.0, math.inf: 10.0}, 90.0).quantile(0.99) == 1.0
