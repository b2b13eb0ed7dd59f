from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.web.canvas import CANVASES, Canvas


@pytest.mark.parametrize("canvas", CANVASES, ids=lambda canvas: canvas.css)
def test_texts_are_escaped(canvas: Canvas) -> None:
    hostile = "<script>\"'&"
    inside = [canvas.level(10, hostile), canvas.below(10, hostile), canvas.legend([(hostile, "v0")])]
    root = ElementTree.fromstring(canvas.svg(hostile, inside))
    assert root.get("aria-label") == hostile
    assert [each.text for each in root.findall("text")] == [hostile] * 3


@given(st.lists(st.text(max_size=60), max_size=12))
def test_a_legend_names_what_has_room_and_nothing_reaches_out(names: list[str]) -> None:
    for canvas in CANVASES:
        drawn = canvas.legend([(name, "v0") for name in names])
        places = [float(each) for each in re.findall(r'<rect class="v0" x="([\d.]+)"', drawn)]
        assert places == sorted(places)
        assert all(place < canvas.width for place in places)
        assert len(places) >= min(len(names), 1)


def test_a_long_name_is_cut_and_says_so() -> None:
    assert "…" in CANVASES[0].legend([("a" * 80, "v0")])
