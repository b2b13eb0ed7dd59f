from __future__ import annotations

import re

from esteira.serving.http.exposition import exposition
from esteira.serving.metrics import FAMILIES, Metrics

SERIES = re.compile(r'(\w+)(\{(?:\w+="(?:[^"\\]|\\.)*",?)*\})? (NaN|[+-]?[0-9.e+-]+)')


def test_every_line_is_a_comment_or_a_series_and_every_family_is_explained() -> None:
    metrics = Metrics()
    metrics.requests.add(("late", "1", "champion", "oip", "200"))
    metrics.request_seconds.observe(("late", "oip"), 0.003)
    metrics.model_info.set(("late", "1", "champion", "ab"), 1)
    lines = exposition(metrics).splitlines()
    assert all(line.startswith("# ") or SERIES.fullmatch(line) for line in lines)
    for family in FAMILIES:
        assert f"# TYPE {family.name} {family.kind}" in lines
        assert f"# HELP {family.name} {family.help}" in lines


def test_buckets_accumulate_and_end_with_everything() -> None:
    metrics = Metrics()
    for seconds in (0.00004, 0.003, 0.003, 7.0):
        metrics.predict_seconds.observe(("late", "1"), seconds)
    text = exposition(metrics)
    name = "esteira_predict_duration_seconds"
    labels = 'model="late",version="1"'
    assert f'{name}_bucket{{{labels},le="5e-05"}} 1' in text
    assert f'{name}_bucket{{{labels},le="0.005"}} 3' in text
    assert f'{name}_bucket{{{labels},le="1.0"}} 3' in text
    assert f'{name}_bucket{{{labels},le="+Inf"}} 4' in text
    assert f"{name}_count{{{labels}}} 4" in text
    assert f"{name}_sum{{{labels}}} {0.00004 + 0.003 + 0.003 + 7.0!r}" in text


def test_a_label_cannot_break_out_of_its_quotes() -> None:
    metrics = Metrics()
    metrics.route_revision.set(('a"} 1\nevil_metric 2\\',), 3)
    text = exposition(metrics)
    assert r'esteira_route_revision{model="a\"} 1\nevil_metric 2\\"} 3' in text
    assert not any(line.startswith("evil") for line in text.splitlines())


def test_a_version_that_left_is_not_shown_and_nothing_dropped_is_zero() -> None:
    metrics = Metrics()
    metrics.model_info.set(("late", "1", "champion", "ab"), 1)
    metrics.model_info.set(("late", "1", "champion", "ab"), 0)
    text = exposition(metrics)
    assert "esteira_model_info{" not in text
    assert "esteira_prediction_log_dropped_total 0" in text
