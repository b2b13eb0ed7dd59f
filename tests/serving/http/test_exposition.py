from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from esteira.serving.http.exposition import exposition
from esteira.serving.telemetry.families import FAMILIES, ROWS, SECONDS
from esteira.serving.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from pathlib import Path

LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")
ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


@dataclass
class Parsed:
    """One family of the text."""

    kind: str = ""
    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)


def parse(text: str) -> dict[str, Parsed]:
    """A strict reader: each family once and whole, help then type then samples, no sample twice.

    Source: Prometheus text exposition format, version 0.0.4.
    """
    assert text.endswith("\n")
    found: dict[str, Parsed] = {}
    name = ""
    for line in text.removesuffix("\n").split("\n"):
        if line.startswith("# HELP "):
            name = line.split(" ")[2]
            assert name not in found, f"{name} comes twice"
            found[name] = Parsed()
        elif line.startswith("# TYPE "):
            assert line.split(" ")[2] == name
            assert not found[name].kind
            found[name].kind = line.split(" ")[3]
        else:
            _take(line, name, found[name])
    for family in found.values():
        if family.kind == "histogram":
            _check_histogram(family)
    return found


def _take(line: str, name: str, family: Parsed) -> None:
    sample = SAMPLE.fullmatch(line)
    assert sample is not None, line
    endings = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
    assert sample[1] in {f"{name}{ending}" for ending in endings}, line
    labels, at = [], 0
    while sample[2] and at < len(sample[2]):
        label = LABEL.match(sample[2], at)
        assert label is not None, line
        labels.append((label[1], re.sub(r"\\.", lambda found: ESCAPES[found[0]], label[2])))
        at = label.end()
    key = sample[1].removeprefix(name), tuple(labels)
    assert key not in family.samples, f"{line} comes twice"
    assert len(dict(labels)) == len(labels)
    family.samples[key] = float(sample[3])


def _check_histogram(family: Parsed) -> None:
    series: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    for (ending, labels), value in family.samples.items():
        if ending == "_bucket":
            *others, (name, bound) = labels
            assert name == "le"
            series.setdefault(tuple(others), []).append((float(bound), value))
    for labels, buckets in series.items():
        bounds, counts = zip(*buckets, strict=True)
        assert list(bounds) == sorted(bounds)
        assert bounds[-1] == math.inf
        assert list(counts) == sorted(counts)
        assert counts[-1] == family.samples["_count", labels]
        assert ("_sum", labels) in family.samples


def test_every_family_is_explained_and_what_was_counted_is_read_back() -> None:
    metrics = Metrics()
    metrics.requests.add(("late", "1", "champion", "oip", "200"))
    metrics.request_seconds.observe(("late", "oip"), 0.003)
    metrics.batch_rows.observe(("late",), 5)
    metrics.cpu_seconds.add(("late", "1"), 0.1234567)
    metrics.model_info.set(("late", "1", "champion", "ab"), 1)
    found = parse(exposition(metrics))
    assert {name: each.kind for name, each in found.items()} == {each.name: each.kind for each in FAMILIES}
    assert found["esteira_model_cpu_seconds_total"].samples == {
        ("", (("model", "late"), ("version", "1"))): 0.1234567
    }
    buckets = found["esteira_batch_rows"].samples
    assert buckets["_bucket", (("model", "late"), ("le", "4.0"))] == 0
    assert buckets["_bucket", (("model", "late"), ("le", "8.0"))] == 1
    assert len(buckets) == len(ROWS) + 3


@given(st.lists(st.tuples(st.text(min_size=1, max_size=8), st.floats(0, 5)), max_size=20))
def test_whatever_a_model_is_called_its_numbers_are_read_back(observed: list[tuple[str, float]]) -> None:
    metrics, expected = Metrics(), dict[str, int]()
    for model, seconds in observed:
        metrics.request_seconds.observe((model, "oip"), seconds)
        expected[model] = expected.get(model, 0) + 1
    for _ in range(2):  # the second text is put together from what is known
        found = parse(exposition(metrics))["esteira_request_duration_seconds"].samples
        counts = {dict(labels)["model"]: value for (end, labels), value in found.items() if end == "_count"}
        assert counts == expected


def test_buckets_accumulate_and_end_with_everything() -> None:
    metrics = Metrics()
    for seconds in (0.00004, 0.003, 0.003, 7.0):
        metrics.predict_seconds.observe(("late", "1"), seconds)
    text = exposition(metrics)
    name = "esteira_predict_duration_seconds"
    labels = 'model="late",version="1"'
    assert f'{name}_bucket{{{labels},le="5e-05"}} 1' in text
    assert f'{name}_bucket{{{labels},le="0.005"}} 3' in text
    assert f'{name}_bucket{{{labels},le="{SECONDS[-1]}"}} 3' in text
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
    assert "esteira_model_info{" in exposition(metrics)
    metrics.model_info.set(("late", "1", "champion", "ab"), 0)
    text = exposition(metrics)
    assert "esteira_model_info{" not in text
    assert "esteira_prediction_log_dropped_total 0" in text


def test_a_text_that_is_asked_for_again_shows_what_changed(tmp_path: Path) -> None:
    one, other = Metrics(tmp_path, "w1"), Metrics(tmp_path, "w2")
    one.swaps.add(("late",))
    assert 'esteira_model_swaps_total{model="late"} 1' in exposition(one)
    other.swaps.add(("late",))
    assert 'esteira_model_swaps_total{model="late"} 2' in exposition(one)
    assert exposition(one) == exposition(other)
