from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.web.charts import HEIGHT, WIDTH, Point, histogram, line_chart, share_bar, stacked_bars

START = datetime(2020, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def points(*values: float | None) -> list[Point]:
    return [Point(START + n * DAY, value) for n, value in enumerate(values)]


def parts(svg: str, css: str) -> list[str]:
    return re.findall(rf'<\w+ class="{css}"[^>]*>', svg)


def test_no_points_give_no_chart() -> None:
    assert line_chart([], label="x") == ""
    assert line_chart(points(None, None), label="x") == ""
    assert stacked_bars([], label="x") == ""


def test_a_single_point_is_a_dot_without_a_line() -> None:
    svg = line_chart(points(0.5), label="x")
    assert len(parts(svg, "dot")) == 1
    assert parts(svg, "line") == []
    assert "nan" not in svg


def test_gaps_stay_gaps() -> None:
    svg = line_chart(points(1.0, 2.0, None, 3.0, 4.0, None, 5.0), label="x")
    assert len(parts(svg, "line")) == 2  # the last point stands alone
    assert len(parts(svg, "dot")) == 5


def test_a_limit_is_dashed_and_breaks_where_there_is_none() -> None:
    svg = line_chart(points(1, 2, 3, 4, 5), label="x", limits=[1.5, 1.5, None, 2.5, 2.5])
    assert len(parts(svg, "limit")) == 2


def test_an_interval_is_a_band_and_a_bad_point_is_red() -> None:
    given_points = [Point(START + n * DAY, 0.5, 0.4, 0.6, bad=n == 1, note="a < b") for n in range(3)]
    svg = line_chart(given_points, label="x")
    assert len(parts(svg, "band")) == 1
    assert len(parts(svg, "dot bad")) == 1
    assert "a &lt; b" in svg


def test_a_mark_outside_of_the_chart_is_left_out() -> None:
    marks = {START + DAY: "v2", START + 90 * DAY: "v3"}
    svg = line_chart(points(1, 2, 3), label="x", marks=marks)
    assert "v2" in svg
    assert "v3" not in svg


def test_labels_are_escaped() -> None:
    hostile = "<script>\"'"
    drawn = (
        line_chart(points(1, 2), label=hostile),
        stacked_bars([(START, {1: 3})], label=hostile),
        share_bar([(1, 1.0)], label=hostile),
    )
    for svg in drawn:
        assert "<script" not in svg
        assert ElementTree.fromstring(svg).get("aria-label") == hostile


def test_bars_stand_on_each_other_and_every_version_has_its_key() -> None:
    svg = stacked_bars([(START, {1: 30, 2: 10}), (START + DAY, {2: 40})], label="x", spell="{:,} pc".format)
    heights = [float(each) for each in re.findall(r'height="([\d.]+)"><title>', svg)]
    assert heights[0] + heights[1] == pytest.approx(heights[2], abs=0.2)
    assert "2020-01-02 v2: 40 pc" in svg
    assert re.findall(r'class="key"[^>]*>(v\d)<', svg) == ["v2", "v1"]


def test_a_share_too_small_for_its_name_still_tells_it() -> None:
    svg = share_bar([(1, 0.95), (2, 0.05)], label="x")
    assert svg.count("v1 95%") == 2  # beside the bar, and under the pointer
    assert svg.count("v2 5%") == 1


@given(
    st.lists(
        st.none() | st.floats(-1e9, 1e9, allow_nan=False).map(lambda value: round(value, 6)),
        min_size=1,
        max_size=30,
    )
)
def test_every_dot_lies_inside_the_picture(values: list[float | None]) -> None:
    svg = line_chart(points(*values), label="x")
    known = [value for value in values if value is not None]
    if not known:
        assert svg == ""
        return
    root = ElementTree.fromstring(svg)
    dots = root.findall("circle")
    assert len(dots) == len(known)
    for dot in dots:
        assert 0 <= float(dot.get("cx", "nan")) <= WIDTH
        assert 0 <= float(dot.get("cy", "nan")) <= HEIGHT


def test_a_histogram_shows_every_count_and_nothing_of_nothing() -> None:
    drawn = histogram([("a <b>", 4), ("none", 0), ("c", 1)], label="x & y")
    assert [float(height) for height in re.findall(r'class="bar".*? height="([\d.]+)"', drawn)] == [32, 0, 8]
    assert "a &lt;b&gt;" in drawn
    assert 'aria-label="x &amp; y"' in drawn
    assert histogram([], label="x") == histogram([("a", 0)], label="x") == ""


def test_the_least_count_is_still_seen() -> None:
    drawn = histogram([("many", 10_000), ("one", 1)], label="x")
    assert [float(height) for height in re.findall(r'class="bar".*? height="([\d.]+)"', drawn)] == [32, 1]
