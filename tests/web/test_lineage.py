from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from esteira.web.lineage import Node, lineage

if TYPE_CHECKING:
    from markupsafe import Markup

COLUMNS = (
    [Node("weather", "9 rows", "/data"), Node("flights")],
    [Node("weather", "2 features", "/features/weather"), Node("carrier_day")],
    [Node("delay v3", "", "/models")],
)
EDGES = [
    ("weather", "weather"),
    ("flights", "carrier_day"),
    ("weather", "delay v3"),
    ("carrier_day", "delay v3"),
]


def drawings(drawn: Markup) -> list[ElementTree.Element]:
    return [*ElementTree.fromstring(f"<both>{drawn}</both>")]


def test_it_is_drawn_for_wide_and_for_narrow_screens() -> None:
    wide, narrow = drawings(lineage(COLUMNS, EDGES, label="lineage"))
    assert [each.get("class") for each in (wide, narrow)] == ["lineage wide", "lineage narrow"]
    for each in (wide, narrow):
        assert len(each.findall(".//rect")) == 5
        assert len(each.findall("path")) == 4  # a source and a view of one name are two things
        assert [link.get("href") for link in each.findall("a")] == ["/data", "/features/weather", "/models"]


def test_every_box_lies_inside_the_drawing_and_none_on_another() -> None:
    for each in drawings(lineage(COLUMNS, EDGES, label="lineage")):
        left, top, width, height = (float(part) for part in (each.get("viewBox") or "").split())
        boxes = [
            tuple(float(rect.get(side, "")) for side in ("x", "y", "width", "height"))
            for rect in each.findall(".//rect")
        ]
        for x, y, wide, high in boxes:
            assert left <= x
            assert x + wide <= left + width
            assert top <= y
            assert y + high <= top + height
        apart = [
            abs(one[0] - other[0]) >= one[2] or abs(one[1] - other[1]) >= one[3]
            for at, one in enumerate(boxes)
            for other in boxes[:at]
        ]
        assert all(apart)


def test_a_curve_begins_at_the_edge_of_one_box_and_ends_at_that_of_another() -> None:
    (wide, _) = drawings(
        lineage(([Node("a")], [Node("b")]), [("a", "b"), ("b", "a"), ("a", "gone")], label="x")
    )
    (curve,) = wide.findall("path")
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", curve.get("d", ""))]
    first, second = wide.findall(".//rect")
    assert numbers[0] == float(first.get("x", "")) + float(first.get("width", ""))
    assert numbers[-2] == float(second.get("x", ""))


def test_a_long_name_is_cut_and_told_whole_by_the_pointer() -> None:
    name = "<weather>" * 6
    drawn = lineage(([Node(name)],), [], label="x")
    assert "<weather>" not in drawn
    for each in drawings(drawn):
        assert each.findtext(".//title") == name
        shown = each.findtext(".//text") or ""
        assert shown.endswith("…")
        assert len(shown) <= 30


def test_of_nothing_nothing_is_drawn() -> None:
    assert lineage(([], []), [], label="x") == ""
