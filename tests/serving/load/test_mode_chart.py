from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from esteira.serving.load.mode_chart import WIDTH, ModeBars, modes_chart

SVG = "{http://www.w3.org/2000/svg}"
FIGURES = st.floats(1e-6, 1e9)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=30)


@given(st.lists(st.builds(ModeBars, TEXTS, FIGURES, FIGURES, FIGURES), min_size=1, max_size=6), TEXTS)
def test_whatever_was_measured_is_drawn_inside_the_frame(modes: list[ModeBars], title: str) -> None:
    root = ElementTree.fromstring(modes_chart(title, modes))
    height = float(root.get("viewBox", "").split()[-1])
    bars = [each for each in root.iter(f"{SVG}rect") if each.get("class") != "ground"]
    assert len(bars) == 3 * len(modes) + 2  # and two of the legend
    for bar in bars:
        assert float(bar.get("width", -1)) > 0
        assert float(bar.get("x", 0)) + float(bar.get("width", 0)) <= WIDTH
        assert float(bar.get("y", 0)) + float(bar.get("height", 0)) <= height


def test_nothing_measured_is_no_division_by_zero() -> None:
    assert modes_chart("late", [ModeBars("batch", 0.0, 0.0, 0.0)]).endswith("</svg>\n")


def test_a_chart_says_its_modes_and_figures_and_knows_dark_pages() -> None:
    drawn = modes_chart(
        "late <1>", [ModeBars("batch", 35_707.0, 0.537, 1.065), ModeBars("online", 52.0, 1e-4, 0.01)]
    )
    texts = {each.text for each in ElementTree.fromstring(drawn).iter(f"{SVG}text")}
    assert {"late <1>", "batch", "online", "35,707", "537", "1,065", "0.1", "10", "p99"} <= texts
    assert "prefers-color-scheme:dark" in drawn


def test_a_bar_is_longer_by_the_same_for_each_power_of_ten() -> None:
    bars = [ModeBars(str(power), 10.0**power, 1.0, 1.0) for power in (2, 3, 4)]
    drawn = ElementTree.fromstring(modes_chart("late", bars)).iter(f"{SVG}rect")
    widths = [float(each.get("width", 0)) for each in drawn if each.get("class") == "one"][:3]
    assert abs((widths[2] - widths[1]) - (widths[1] - widths[0])) < 0.2
    assert widths[0] > 50  # the least is no bar of nothing
