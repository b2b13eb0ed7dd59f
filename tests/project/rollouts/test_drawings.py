from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import numpy as np
import pytest

from esteira.project.rollouts.drawings import (
    IntervalWords,
    SplitBar,
    interval_chart,
    score_edges,
    scores_chart,
    split_chart,
)
from esteira.project.rollouts.moves import Look

START = datetime(2020, 1, 1, tzinfo=UTC)
WORDS = IntervalWords("how <much>", "mean", "bounds", "no difference", "margin")
NAMES = ("champion v1", "challenger v2")


def looks(count: int, *, open_until: int = 0) -> list[Look]:
    found = []
    for n in range(1, count + 1):
        wide = 1 / n
        bounds = (None, None) if n <= open_until else (-0.1 - wide, -0.1 + wide)
        found.append(Look(START + n * timedelta(hours=1), -0.1, *bounds, n))
    return found


def drawn(text: str) -> list[ElementTree.Element]:
    """The wide drawing and the narrow one; raises where a text breaks out of its mark."""
    return [*ElementTree.fromstring(f"<both>{text}</both>")]


def widths(svg: ElementTree.Element) -> list[float]:
    """How far the bounds are apart at each look."""
    band = svg.find("polygon")
    assert band is not None
    places = [float(each.split(",")[1]) for each in band.get("points", "").split()]
    half = len(places) // 2
    return [low - high for high, low in zip(places[:half], reversed(places[half:]), strict=True)]


def test_bounds_that_narrow_are_drawn_narrower() -> None:
    wide, narrow = drawn(interval_chart(looks(30), 0.05, WORDS))
    assert (wide.get("class"), narrow.get("class")) == ("gauge wide", "gauge narrow")
    for svg in (wide, narrow):
        far = widths(svg)
        assert far == sorted(far, reverse=True)
        assert far[-1] < far[0] / 3


def test_zero_and_the_margin_are_in_the_drawing_and_an_infinite_bound_leaves_it() -> None:
    svg = drawn(interval_chart(looks(30, open_until=3), 0.05, WORDS))[0]
    zero, margin = (svg.find(f"line[@class='{css}']") for css in ("zero", "limit"))
    assert zero is not None
    assert margin is not None
    assert float(margin.get("y1", "nan")) < float(zero.get("y1", "nan"))
    far = widths(svg)
    assert far[0] == far[1] == far[2] == max(far)
    for each in svg.iter():
        for name in ("y", "y1", "y2", "cy"):
            assert 0 <= float(each.get(name, 0)) <= 230


def test_a_plan_without_a_margin_draws_none() -> None:
    svg = drawn(interval_chart(looks(5), None, WORDS))[0]
    assert svg.find("line[@class='limit']") is None


@pytest.mark.parametrize("count", [0, 1])
def test_an_interval_is_drawn_from_two_looks_on(count: int) -> None:
    assert interval_chart(looks(count), 0.05, WORDS) == ""


def test_thousands_of_looks_are_thinned_and_the_ends_stay() -> None:
    many = looks(5_000)
    svg = drawn(interval_chart(many, 0.05, WORDS))[0]
    line = svg.find("polyline")
    assert line is not None
    assert len(line.get("points", "").split()) <= 160
    assert len(widths(svg)) <= 160


def test_looks_of_a_clock_that_stands_still_lie_beside_each_other() -> None:
    still = [Look(START, -0.1, -0.2, 0.0, n) for n in range(3)]
    line = drawn(interval_chart(still, None, WORDS))[0].find("polyline")
    assert line is not None
    places = [float(each.split(",")[0]) for each in line.get("points", "").split()]
    assert places == sorted(set(places))


def test_words_stay_words() -> None:
    hostile = IntervalWords("<b>'\"", "<i>", "&", "<script>", "</svg>")
    assert len(drawn(interval_chart(looks(9), 0.1, hostile))) == 2
    assert len(drawn(split_chart([SplitBar("<b>", 0.5, "&")], ("<i>", "</svg>"), '"'))) == 2
    assert len(drawn(scores_chart(np.ones(2), np.ones(2), ("<i>", "</svg>"), '"'))) == 2


def test_bars_of_scores_are_as_tall_as_their_share_of_their_own() -> None:
    few, many = np.full(4, 0.5), np.full(4_000, 0.5)
    svg = drawn(scores_chart(few, many, NAMES, "scores"))[0]
    bars = [each for each in svg.iter("rect") if each.find("title") is not None]
    assert [each.get("class") for each in bars] == ["v0", "v1"]
    assert bars[0].get("height") == bars[1].get("height")


def test_scores_that_are_no_numbers_are_left_out() -> None:
    assert scores_chart(np.array([np.nan]), np.array([np.inf]), NAMES, "scores") == ""
    assert scores_chart(np.array([0.2, np.nan]), np.empty(0), NAMES, "scores") != ""


def test_chances_are_drawn_from_0_to_1_and_others_as_far_as_they_go() -> None:
    assert score_edges(np.array([0.4]), np.array([0.6]))[[0, -1]].tolist() == [0, 1]
    assert score_edges(np.array([-3.0]), np.array([9.0]))[[0, -1]].tolist() == [-3, 9]
    assert score_edges(np.array([7.0]), np.empty(0))[[0, -1]].tolist() == [7, 8]


def test_a_bar_is_split_where_the_share_says() -> None:
    svg = drawn(split_chart([SplitBar("intended", 0.25), SplitBar("dealt", None)], NAMES, "split"))[0]
    parts = {each.get("class"): each for each in svg.iter("rect") if each.get("height") == "22"}
    assert float(parts["v1"].get("width", "nan")) == pytest.approx(720 * 0.25)
    assert float(parts["v0"].get("width", "nan")) == pytest.approx(720 * 0.75)
    assert "nothing" in parts
    assert re.findall(r">([\d.]+%)<", ElementTree.tostring(svg).decode()) == ["75.0%", "25.0%"]
    assert split_chart([], NAMES, "split") == ""
