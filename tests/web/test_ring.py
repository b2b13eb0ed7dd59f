from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from esteira.project.overview import overview
from esteira.web.ring import ring
from esteira.web.words import Words

if TYPE_CHECKING:
    from esteira.project.station import Station


def drawn(station: Station, language: str = "en") -> ElementTree.Element:
    """Both drawings under one root."""
    return ElementTree.fromstring(f"<both>{ring(overview(station), Words(language), language)}</both>")


def links(svg: ElementTree.Element) -> list[tuple[str, str, str]]:
    """Of each station: where it leads, its title and its fact."""
    found = []
    for each in svg.findall("a"):
        title, fact = (text.text or "" for text in each.findall("text"))
        found.append((each.get("href", "").partition("?")[0], title, fact))
    return found


def test_both_drawings_hold_the_same_eight_stations_in_order(station: Station) -> None:
    wide, narrow = drawn(station)
    assert links(wide) == links(narrow)
    assert [title for _, title, _ in links(wide)] == [
        "tables", "training", "registry", "rollout", "gateway", "predictions", "performance", "alerts",
    ]  # fmt: skip


def test_a_ring_that_turns_says_what_each_station_holds(station: Station) -> None:
    facts = {title: fact for _, title, fact in links(drawn(station)[0])}
    assert facts["tables"] == "400 rows"
    assert facts["registry"] == "champion v1"
    assert facts["rollout"] == "v2"
    assert facts["gateway"] == "v1 95% · v2 5%"
    assert facts["predictions"] == "60 · 60 labels"
    assert facts["performance"] == "roc_auc 0.730"
    assert facts["alerts"] == "1 firing"


def test_a_rollout_under_way_is_reached_from_its_station(station: Station, empty: Station) -> None:
    leads = {title: href for href, title, _ in links(drawn(station)[0])}
    assert leads["rollout"] == f"/rollouts/{station.rollouts.history('tiny')[-1].id}"
    assert {title: href for href, title, _ in links(drawn(empty)[0])}["rollout"] == "/rollouts"


def test_what_fires_is_red_and_what_serves_is_green(station: Station) -> None:
    text = str(ring(overview(station), Words("en"), "en"))
    states = dict(re.findall(r'href="/(\w+)\?lang=en" class="station (\w+)"', text))
    assert states["alerts"] == "alarm"
    assert states["traffic"] == "quiet"  # the last of its three: predictions
    assert text.count('class="station live"') == 4  # rollout and gateway, twice


def test_an_empty_ring_has_dashes_and_no_alarm(empty: Station) -> None:
    wide, _ = drawn(empty, "pt-BR")
    assert "nenhum modelo em produção ainda" in [text.text for text in wide.findall("text")]
    facts = [fact for _, _, fact in links(wide)]
    assert facts == ["0 linhas", "–", "–", "nenhuma em andamento", "–", "0 · 0 rótulos", "–", "tudo calmo"]


@pytest.mark.parametrize("which", [0, 1])
def test_no_station_covers_another_and_all_lie_inside(station: Station, which: int) -> None:
    svg = drawn(station)[which]
    left, top, width, height = (float(part) for part in svg.get("viewBox", "").split())
    boxes = []
    for rect in svg.iterfind("a/rect"):
        x, y, w, h = (float(rect.get(name, "nan")) for name in ("x", "y", "width", "height"))
        assert left <= x
        assert top <= y
        assert x + w <= left + width
        assert y + h <= top + height
        assert all(x + w <= a or a + c <= x or y + h <= b or b + d <= y for a, b, c, d in boxes)
        boxes.append((x, y, w, h))
    assert len(svg.findall("line")) == len(boxes) == 8
