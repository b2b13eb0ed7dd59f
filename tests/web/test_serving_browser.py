"""The serving page as people see it: a real gateway that answers, a real server, a real Chromium."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest
from tests.serving.worlds import deployment, tree_model
from tests.web.stations import HOSTILE, PROJECT, SETTINGS, lay_down
from tests.web.visits import CHROMIUM, NO_CHROMIUM, Visit

from esteira.cli.page import page
from esteira.project.keys import add_key
from esteira.project.station import AUDIT, open_station
from esteira.serving.process import GatewayProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esteira.project.station import Station

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=NO_CHROMIUM),
]
ASKED = {"dataframe_records": [{"miles": 100, "carrier": "UA"}]}
SOON = 20_000  # milliseconds that a page may take to tell what happened


class Asked:
    """Somebody who asks a gateway all the time."""

    def __init__(self, url: str) -> None:
        self._url, self._stop = url, threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Asked:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        with httpx.Client() as client:
            while not self._stop.wait(0.01):
                assert client.post(f"{self._url}/invocations", json=ASKED).status_code == 200


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Station:
    settings = SETTINGS.replace("port = 0\nflush_ms", "port = 0\nworkers = 2\nflush_ms")
    station = open_station(lay_down(tmp_path_factory.mktemp("served") / "p", settings, PROJECT), actor="ana")
    first, second = tree_model(-1.0), tree_model(-2.0)
    facts = {"shares": {"champion:1": 1.0}}
    station.audit.record("routes.set", "model/tiny", reason="it is better on 9,000 flights", facts=facts)
    station.routes.set(deployment(station.artifacts, first, name="tiny"))
    station.routes.set(deployment(station.artifacts, first, second, name="tiny", shares=(0.5, 0.5)))
    station.routes.set(deployment(station.artifacts, first, name=HOSTILE.replace("/", "")))
    add_key(station, "shop", ["predict"], lifetime=None)
    return station


@pytest.fixture(scope="module")
def gateway(served: Station) -> Iterator[GatewayProcess]:
    with GatewayProcess(served.settings.root, port=0, audit=AUDIT) as gateway, Asked(gateway.url):
        yield gateway


@pytest.fixture(scope="module")
def site(served: Station, gateway: GatewayProcess) -> Iterator[str]:
    with page(served.settings.root, port=0) as site:
        httpx.get(f"{site.url}/serving")
        time.sleep(3)  # so that there are two looks
        yield site.url


def number(tab: Any, tile: str) -> float:
    text = tab.inner_text(f"#gateway .tiles li:has-text('{tile}') b")
    return float(re.sub(r"[^\d.]", "", text) or "nan")


def test_the_numbers_of_a_gateway_appear_and_go_on(chromium: Any, site: str, gateway: GatewayProcess) -> None:
    visit = Visit(chromium, 1280, "light")
    visit.tab.goto(f"{site}/serving?lang=en")
    assert visit.tab.inner_text("#gateway .tag") == "running"
    assert gateway.url in visit.tab.inner_text("#gateway")
    assert number(visit.tab, "requests a second") > 1
    drawn = visit.tab.get_attribute("#rates svg.wide .line", "points")
    asked = visit.tab.inner_text("section.model >> nth=0 >> table >> nth=1")
    visit.tab.evaluate("document.querySelector('main').dataset.kept = 'yes'")
    visit.tab.wait_for_function(
        "before => document.querySelector('#rates svg.wide .line').getAttribute('points') !== before",
        arg=drawn,
        timeout=SOON,
    )
    assert visit.tab.inner_text("section.model >> nth=0 >> table >> nth=1") != asked
    assert (
        visit.tab.get_attribute("main", "data-kept") == "yes"
    )  # parts were replaced, the page was not loaded
    rows = visit.tab.inner_text("section.model >> nth=0")
    assert "v1" in rows
    assert "it is better on 9,000 flights" in rows
    assert "ana" in rows
    assert visit.tab.query_selector_all("section.model svg.gauge.wide rect.v1") != []
    assert visit.wrong == []
    visit.context.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_command_on_the_page_asks_the_gateway(chromium: Any, site: str, gateway: GatewayProcess) -> None:
    visit = Visit(chromium, 1280, "light")
    visit.tab.goto(f"{site}/serving?lang=en")
    for command in visit.tab.locator("section.model pre").all_inner_texts():
        answer = subprocess.run(
            ["/bin/sh", "-c", command], capture_output=True, text=True, timeout=30, check=False
        )
        assert '"predictions"' in answer.stdout or '"outputs"' in answer.stdout, command
    with httpx.Client() as client:
        for each in visit.tab.locator("a:text('Its OpenAPI document')").all():
            assert client.get(each.get_attribute("href")).json()["openapi"].startswith("3.")
    visit.context.close()


def test_what_is_marked_stays_marked_while_the_page_goes_on(chromium: Any, site: str) -> None:
    visit = Visit(chromium, 1280, "light")
    visit.tab.goto(f"{site}/serving?lang=en")
    visit.tab.evaluate("getSelection().selectAllChildren(document.querySelector('section.model pre'))")
    marked = visit.tab.evaluate("getSelection().toString()")
    drawn = visit.tab.get_attribute("#rates svg.wide .line", "points")
    visit.tab.wait_for_function(
        "before => document.querySelector('#rates svg.wide .line').getAttribute('points') !== before",
        arg=drawn,
        timeout=SOON,
    )
    assert marked.startswith("curl")
    assert visit.tab.evaluate("getSelection().toString()") == marked
    visit.context.close()


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light"), (768, "light")])
def test_both_languages_fit_on_every_screen(chromium: Any, site: str, width: int, scheme: str) -> None:
    visit = Visit(chromium, width, scheme)
    model = f"/serving/{quote(HOSTILE.replace('/', ''), safe='')}"
    for path in ("/serving", "/serving/tiny", model):
        visit.tab.goto(f"{site}{path}?lang=en")
        for language, name in (("pt-BR", "Português"), ("en", "English")):
            visit.tab.click(f"text={name}")
            visit.tab.wait_for_selector(f"html[lang='{language}']")
            assert visit.overflow() <= 0, path
            shown = [each for each in visit.tab.query_selector_all("svg.gauge") if each.is_visible()]
            assert len(shown) == len(visit.tab.query_selector_all("svg.gauge")) / 2
    paper = visit.tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(20, 25, 27)") == (scheme == "dark")
    assert visit.wrong == []
    visit.context.close()


def test_every_word_of_a_drawing_is_inside_it_and_large_enough_to_read(chromium: Any, site: str) -> None:
    for width in (360, 1280):
        visit = Visit(chromium, width, "light")
        visit.tab.goto(f"{site}/serving/tiny?lang=pt-BR")
        words = visit.tab.evaluate(
            "[...document.querySelectorAll('svg.gauge text')].map(t => [t.textContent,"
            "t.getBoundingClientRect(), t.closest('svg').getBoundingClientRect()])"
            ".filter(([, r]) => r.width).map(([text, r, box]) => [text, r.height >= 9 &&"
            "r.left >= box.left - 1 && r.right <= box.right + 1])"
        )
        assert len(words) > 10
        assert [text for text, fits in words if not fits] == []
        visit.context.close()


def test_the_facts_need_no_script(chromium: Any, site: str) -> None:
    visit = Visit(chromium, 1280, "light", scripts=False)
    visit.tab.goto(f"{site}/serving?lang=en")
    text = visit.tab.inner_text("main")
    for said in ("running", "requests a second", "champion v1 50%", "curl ", "shop", "Who may ask"):
        assert said in text
    visit.context.close()


def test_a_gateway_that_is_killed_is_gone_from_a_page_that_stays_open(chromium: Any, served: Station) -> None:
    with page(served.settings.root, port=0) as site:
        gateway = GatewayProcess(served.settings.root, port=0).start()
        port = gateway.url.rpartition(":")[2]
        visit = Visit(chromium, 1280, "light")
        visit.tab.goto(f"{site.url}/serving?lang=en&port={port}")
        assert gateway.url in visit.tab.inner_text("#gateway")
        gateway.kill()
        visit.tab.wait_for_function(
            "url => !document.querySelector('#gateway .standing').innerText.includes(url)",
            arg=gateway.url,
            timeout=SOON,
        )
        assert f"Ports: {port}" in visit.tab.inner_text("#gateway")
        visit.context.close()
