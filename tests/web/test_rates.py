from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from esteira.web.canvas import GROUND, HEIGHT
from esteira.web.rates import RateLine, rate_chart

if TYPE_CHECKING:
    from collections.abc import Sequence


def drawn(*lines: RateLine, span_s: float = 300.0) -> list[ElementTree.Element]:
    """The wide drawing and the narrow one."""
    svg = rate_chart(lines, label="a <label>", span_s=span_s, now="now", spell="{:g}".format)
    return list(ElementTree.fromstring(f"<both>{svg}</both>"))


def line(*values: float | None, css: str = "v0") -> RateLine:
    ago = [2.0 * at for at in reversed(range(len(values)))]
    return RateLine("late", css, list(zip(ago, values, strict=True)))


def curves(svg: ElementTree.Element, css: str = "v0") -> list[Sequence[tuple[float, float]]]:
    found = []
    for each in svg.findall(f"polyline[@class='line {css}']"):
        pairs = (pair.split(",") for pair in each.get("points", "").split())
        found.append([(float(x), float(y)) for x, y in pairs])
    return found


def test_a_line_ends_now_and_its_zero_is_the_ground() -> None:
    for svg in drawn(line(0.0, 50.0, 0.0)):
        ((*_, last),) = curves(svg)
        width = float(svg.get("viewBox", "").split()[2])
        assert last == (width - 14, GROUND)
        ends = [float(each.get("x", "nan")) for each in svg.findall("text") if each.text == "now"]
        assert ends == [width - 14]


def test_what_is_not_known_breaks_the_line_and_its_band() -> None:
    for svg in drawn(line(1.0, 2.0, None, 3.0, 4.0, None, 5.0)):
        assert len(curves(svg)) == 2
        assert len(svg.findall("polygon")) == 2


def test_only_the_first_line_stands_on_a_band() -> None:
    for svg in drawn(line(1.0, 2.0), line(2.0, 3.0, css="failed")):
        assert [each.get("class") for each in svg.findall("polygon")] == ["band v0"]
        assert len(curves(svg, "failed")) == 1


def test_nothing_known_is_no_chart() -> None:
    assert rate_chart([], label="x", span_s=60, now="now", spell=str) == ""
    assert rate_chart([line(None, None)], label="x", span_s=60, now="now", spell=str) == ""


@given(st.lists(st.none() | st.floats(0, 1e7), min_size=2, max_size=60))
def test_every_point_lies_inside_the_picture(values: list[float | None]) -> None:
    if not any(value is not None for value in values):
        return
    for svg in drawn(line(*values)):
        width = float(svg.get("viewBox", "").split()[2])
        for run in curves(svg):
            assert all(0 <= x <= width and 0 <= y <= HEIGHT for x, y in run)
