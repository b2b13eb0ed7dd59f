from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.serving.telemetry.families import SECONDS
from esteira.web.canvas import GROUND, HEIGHT
from esteira.web.latencies import Spread, latency_chart

SLOTS = len(SECONDS) + 1
COUNTS = st.lists(st.integers(0, 10**9), min_size=SLOTS, max_size=SLOTS)


def counts(**by_bucket: float) -> list[float]:
    found = [0.0] * SLOTS
    for name, count in by_bucket.items():
        found[int(name[1:])] = count
    return found


def drawn(*spreads: list[float]) -> list[ElementTree.Element]:
    named = [Spread(f"<{at}>", f"v{at}", each) for at, each in enumerate(spreads)]
    svg = latency_chart(SECONDS, named, label="latency", spell="{:,}".format)
    return list(ElementTree.fromstring(f"<both>{svg}</both>"))


def bars(svg: ElementTree.Element, css: str) -> dict[str, float]:
    """What the pointer shows → height."""
    found = {}
    for each in svg.findall(f"rect[@class='{css}']"):
        note = each.findtext("title")
        if note is not None:
            found[note] = float(each.get("height", "nan"))
    return found


def test_each_bucket_tells_its_bounds_its_count_and_its_share() -> None:
    for svg in drawn(counts(b4=3, b5=1), counts(b3=4)):
        heights = bars(svg, "v0")
        assert heights["<0>, 100 µs – 200 µs: 3 (75.0%)"] == pytest.approx(
            3 * heights["<0>, 200 µs – 500 µs: 1 (25.0%)"], rel=0.01
        )
        assert max(heights.values()) < max(bars(svg, "v1").values())  # all of the other are in one bucket


def test_what_is_slower_than_all_bounds_is_told() -> None:
    for svg in drawn(counts(b15=2)):
        assert any(note.startswith("<0>, > 1 s: 2") for note in bars(svg, "v0"))


def test_marks_stand_where_the_shares_are() -> None:
    for svg in drawn(counts(b4=100)):
        marks = [float(each.get("x1", "nan")) for each in svg.findall("line[@class='mark']")]
        assert marks == sorted(marks)
        assert [each.text for each in svg.findall("text[@class='mark']")] == ["p50", "p95", "p99"]


def test_the_least_count_is_still_seen_and_none_is_nothing() -> None:
    for svg in drawn(counts(b4=1_000_000, b7=1)):
        heights = bars(svg, "v0")
        assert heights["<0>, 1 ms – 2 ms: 1 (0.0%)"] == 1.0
        assert heights["<0>, 200 µs – 500 µs: 0 (0.0%)"] == 0.0


def test_no_answers_are_no_chart() -> None:
    assert drawn(counts(), counts()) == []


@given(COUNTS, COUNTS)
def test_bars_and_marks_lie_inside_the_picture(one: list[float], other: list[float]) -> None:
    for svg in drawn(one, other):
        width = float(svg.get("viewBox", "").split()[2])
        for each in svg.findall("rect"):
            left, high = float(each.get("x", "nan")), float(each.get("y", "nan"))
            assert 0 <= left <= left + float(each.get("width", "nan")) <= width
            assert 0 <= high <= high + float(each.get("height", "nan")) <= GROUND + 0.1 <= HEIGHT
        for each in svg.findall("line[@class='mark']"):
            assert 0 <= float(each.get("x1", "nan")) <= width
