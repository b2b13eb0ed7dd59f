"""The site as people see it: a real server, a real Chromium without a screen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.web.stations import NOW, copy_of
from tests.web.visits import CHROMIUM, NO_CHROMIUM, Visit

from esteira.cli.page import page
from esteira.project.station import open_station
from esteira.project.story import Story

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = ("ring", "data", "features", "runs", "models", "serving", "traffic", "rollouts")
PAGES += ("performance", "drift", "alerts", "audit")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=NO_CHROMIUM),
]


@pytest.fixture(scope="module")
def folder(lived_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of(lived_folder, tmp_path_factory.mktemp("browsed") / "project")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with page(folder, port=0) as site:
        yield site.url


@pytest.fixture(params=[(1280, "light"), (390, "dark")], ids=str)
def visit(request: pytest.FixtureRequest, chromium: Any) -> Iterator[Visit]:
    visit = Visit(chromium, *request.param)
    yield visit
    visit.context.close()


def test_every_page_is_reached_by_its_link_and_fits(visit: Visit, url: str) -> None:
    visit.tab.goto(f"{url}/?lang=en")
    for name in PAGES:
        visit.tab.click(f"nav >> text=/^{name}$/")
        visit.tab.wait_for_selector(f"nav a[aria-current]:text-is('{name}')")
        assert visit.overflow() <= 0, name
        visit.tab.click("text=Português")
        visit.tab.wait_for_selector("html[lang='pt-BR']")
        assert visit.overflow() <= 0, name
        visit.tab.click("text=English")
        visit.tab.wait_for_selector("html[lang='en']")
    assert visit.wrong == []


def test_one_ring_is_shown_and_its_stations_lead_on(visit: Visit, url: str) -> None:
    visit.tab.goto(f"{url}/?lang=pt-BR")
    shown = [each for each in visit.tab.query_selector_all("svg.ring") if each.is_visible()]
    assert len(shown) == 1
    texts = visit.tab.evaluate(
        "[...document.querySelectorAll('svg.ring a')].filter(a => a.getBoundingClientRect().width).map(a => {"
        "const box = a.querySelector('rect').getBoundingClientRect();"
        "return [...a.querySelectorAll('text')].every(t => {const r = t.getBoundingClientRect();"
        "return r.left >= box.left && r.right <= box.right && r.height >= 9;})})"
    )
    assert texts == [True] * 8  # every word inside its box, and large enough to read
    visit.tab.click("svg.ring a:visible >> nth=7")
    visit.tab.wait_for_selector("h1:text-is('Alertas')")
    assert visit.wrong == []


def test_a_view_is_reached_by_its_link_and_every_word_fits_its_box(visit: Visit, url: str) -> None:
    visit.tab.goto(f"{url}/features?lang=en")
    visit.tab.click("td a:text-is('latest')")
    visit.tab.wait_for_selector("h1:text-is('View latest')")
    assert visit.overflow() <= 0
    shown = [each for each in visit.tab.query_selector_all("svg.lineage") if each.is_visible()]
    assert len(shown) == 1
    fits = shown[0].evaluate(
        "svg => [...svg.querySelectorAll('.station')].map(node => {"
        "const box = node.querySelector('rect').getBoundingClientRect();"
        "return [...node.querySelectorAll('text')].every(t => {const r = t.getBoundingClientRect();"
        "return r.left >= box.left && r.right <= box.right && r.height >= 9;})})"
    )
    assert fits == [True] * 4  # two columns and the features that they are
    assert visit.wrong == []


def test_a_narrow_table_tells_the_name_of_every_value(chromium: Any, url: str) -> None:
    visit = Visit(chromium, 390, "light")
    visit.tab.goto(f"{url}/models?lang=en")
    name = visit.tab.evaluate("getComputedStyle(document.querySelector('td'), '::before').content")
    assert name == '"version"'
    visit.context.close()


def test_a_page_that_stays_open_shows_what_happens(chromium: Any, url: str, folder: Path) -> None:
    visit = Visit(chromium, 1280, "light")
    visit.tab.goto(f"{url}/?lang=en")
    visit.tab.evaluate("document.querySelector('main').dataset.kept = 'yes'")
    station = open_station(folder)
    Story(station.state).add(NOW, "deployed", version=41, reason="while you <b>watched</b>")
    visit.tab.wait_for_selector("main[data-kept] >> text=version 41 serves all traffic", timeout=15_000)
    assert visit.tab.query_selector("main b") is None
    assert visit.wrong == []
    visit.context.close()


def test_hostile_words_stay_words(chromium: Any, url: str) -> None:
    visit = Visit(chromium, 1280, "light")
    dialogs: list[str] = []
    visit.tab.on("dialog", lambda dialog: dialogs.append(dialog.message))
    for name in PAGES:
        visit.tab.goto(f"{url}/{'' if name == 'ring' else name}")
    assert dialogs == []
    assert visit.wrong == []
    assert re.search("<script>alert", visit.tab.inner_text("main"))
    visit.context.close()
