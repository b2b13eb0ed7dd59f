from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from esteira.serving.load.charts import serving_chart
from esteira.serving.load.histogram import Histogram

SVG = "{http://www.w3.org/2000/svg}"


@given(
    st.lists(st.floats(0, 1e4), max_size=50),
    st.lists(st.tuples(st.integers(1, 4096), st.floats(0, 1e6)), max_size=5),
    st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=20),
)
def test_whatever_was_measured_is_drawn_inside_the_frame(
    taken: list[float], throughput: list[tuple[int, float]], title: str
) -> None:
    latency = Histogram()
    latency.record(taken)
    root = ElementTree.fromstring(serving_chart(title, latency, sorted(throughput)))
    for bar in root.iter(f"{SVG}rect"):
        assert float(bar.get("width", 0)) >= 0
        assert float(bar.get("height", 0)) >= -0.1
    assert len([*root.iter(f"{SVG}circle")]) == len(throughput)


def test_a_chart_says_its_title_quantiles_and_figures() -> None:
    latency = Histogram()
    latency.record([0.001, 0.002, 0.004, 0.1])
    drawn = serving_chart("late <1>", latency, [(1, 1234.0), (16, 5678.0)])
    root = ElementTree.fromstring(drawn)
    texts = {each.text for each in root.iter(f"{SVG}text")}
    assert {"late <1>", "p50", "p99", "1,234", "5,678", "16"} <= texts
