"""A rollout under way as its operators see it: a real server, a real Chromium, buttons that are pressed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.web.rolled import active, rolled
from tests.web.stations import lived
from tests.web.visits import CHROMIUM, NO_CHROMIUM, Visit

from esteira.cli.page import page
from esteira.project.keys import add_key
from esteira.project.rollouts.rolling import go_on, pause
from esteira.serving.rollout.state import RolloutState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esteira.project.station import Station

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=NO_CHROMIUM),
]
SOON = 20_000  # milliseconds that a page may take to tell what happened


@pytest.fixture
def station(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Station:
    return rolled(lived(tmp_path_factory.getbasetemp()), tmp_path / "p", looks=30)


@pytest.fixture
def url(station: Station) -> Iterator[str]:
    with page(station.settings.root, port=0) as site:
        yield f"{site.url}/rollouts/{active(station).id}?lang=en"


@pytest.fixture
def visit(chromium: Any) -> Iterator[Visit]:
    visit = Visit(chromium, 1280, "light")
    visit.tab.set_default_timeout(SOON)
    yield visit
    visit.context.close()


def press(visit: Visit, name: str, reason: str) -> None:
    """Open a button, fill in its form and send it."""
    act = f"#acts details:has(summary:text-is('{name}'))"
    visit.tab.click(f"{act} summary")
    visit.tab.fill(f"{act} input[name=reason]", reason)
    visit.tab.check(f"{act} input[name=sure]")
    visit.tab.click(f"{act} button[type=submit]")


def sign_in(visit: Visit, text: str) -> None:
    visit.tab.fill("input[name=key]", text)
    visit.tab.click("form.signing button")


def test_a_rollout_is_paused_resumed_and_aborted_by_who_signed_in(
    station: Station, url: str, visit: Visit
) -> None:
    text = add_key(station, "ana", ["admin"], lifetime=timedelta(days=1))[1].text
    rollout = active(station)
    visit.tab.goto(url)
    assert visit.tab.locator("#acts button[disabled]").count() == 3
    sign_in(visit, text)
    visit.tab.wait_for_selector("form.signed b:text-is('ana')")
    for name, reason, state in (
        ("Pause", "look closer", "paused"),
        ("Resume", "nothing found", "running"),
        ("Abort", "enough <b>seen</b>", "rolled back"),
    ):
        press(visit, name, reason)
        visit.tab.wait_for_selector(f"#verdict .tag:text-is('{state}')")
        assert station.rollouts.get(rollout.id).state.value == state
        assert visit.tab.url == url
        first = visit.tab.inner_text("#moves tbody tr:first-child")
        assert reason in first
        assert "key:ana" in first
    assert visit.tab.query_selector("#acts") is None
    kept = visit.tab.evaluate(
        "[document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage)]"
    )
    assert kept == ["", "{}", "{}"]  # the session's cookie is nothing that a script can read
    assert visit.wrong == []


def test_without_a_key_that_is_for_it_nothing_is_pressed(station: Station, url: str, visit: Visit) -> None:
    text = add_key(station, "shop", ["predict"], lifetime=timedelta(days=1))[1].text
    visit.tab.goto(url)
    sign_in(visit, text)
    visit.tab.wait_for_selector("[role=alert]:has-text('not the role admin')")
    assert visit.tab.locator("#acts button[disabled]").count() == 3
    assert visit.tab.locator("#acts details").count() == 0
    answer = visit.tab.evaluate(
        "fetch(location.href, {method: 'POST',"
        "headers: {'content-type': 'application/x-www-form-urlencoded'},"
        "body: 'act=abort&reason=why&sure=yes&seen=running/0'}).then(a => a.status)"
    )
    assert answer == 403
    assert active(station).state is RolloutState.RUNNING
    assert len(visit.wrong) == 2  # Chromium's own words on the two that were refused
    assert all("403" in each for each in visit.wrong)


def test_on_its_own_machine_a_project_without_keys_asks_for_none(
    station: Station, url: str, visit: Visit
) -> None:
    visit.tab.goto(url)
    press(visit, "Promote now", "it is better")
    visit.tab.wait_for_selector("#verdict .tag:text-is('promoted')")
    routes = station.routes.get("tiny")
    assert routes is not None
    assert [(arm.version, arm.share) for arm in routes.arms] == [(2, 1.0)]
    assert visit.wrong == []


def test_who_presses_second_is_told(station: Station, url: str, chromium: Any, visit: Visit) -> None:
    other = Visit(chromium, 1280, "light")
    for each in (visit, other):
        each.tab.goto(url)
        each.tab.click("#acts details:has(summary:text-is('Promote now')) summary")
        each.tab.focus("#acts details[open] input[name=reason]")  # so the page leaves the form alone
    pause(station, "somebody was first")
    act = "#acts details[open]"
    visit.tab.fill(f"{act} input[name=reason]", "mine")
    visit.tab.check(f"{act} input[name=sure]")
    visit.tab.click(f"{act} button[type=submit]")
    visit.tab.wait_for_selector("[role=alert]:has-text('has changed meanwhile')")
    assert "somebody was first" in visit.tab.inner_text("[role=alert]")
    assert active(station).state is RolloutState.PAUSED
    visit.tab.wait_for_selector("#acts summary:text-is('Resume')")
    other.context.close()


def test_a_page_that_stays_open_follows_and_leaves_what_is_being_written(
    station: Station, url: str, visit: Visit
) -> None:
    visit.tab.goto(url)
    visit.tab.evaluate("document.querySelector('main').dataset.kept = 'yes'")
    visit.tab.evaluate("document.querySelector('#plan').dataset.kept = 'yes'")
    visit.tab.click("#acts details:has(summary:text-is('Abort')) summary")
    visit.tab.fill("#acts details[open] input[name=reason]", "half a sen")
    pause(station, "look closer")
    visit.tab.wait_for_selector("main[data-kept] #verdict .tag:text-is('paused')")
    assert visit.tab.input_value("#acts details[open] input[name=reason]") == "half a sen"
    assert visit.tab.query_selector("#plan[data-kept]") is not None  # what did not change was not drawn anew
    visit.tab.click("h1")
    visit.tab.wait_for_selector("#acts summary:text-is('Resume')")
    go_on(station, "nothing found")
    visit.tab.wait_for_selector("#acts summary:text-is('Pause')")
    assert visit.wrong == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark"), (360, "light")])
def test_the_pages_fit_on_every_screen_and_every_word_is_inside(
    url: str, chromium: Any, width: int, scheme: str
) -> None:
    visit = Visit(chromium, width, scheme)
    for address in (url, f"{url.rpartition('/')[0]}?lang=en"):
        visit.tab.goto(address)
        for language, name in (("pt-BR", "Português"), ("en", "English")):
            visit.tab.click(f"text={name}")
            visit.tab.wait_for_selector(f"html[lang='{language}']")
            for each in visit.tab.query_selector_all("#acts summary"):
                each.click()
                assert visit.overflow() <= 0
            words = visit.tab.evaluate(
                "[...document.querySelectorAll('svg.gauge text')].map(t => [t.textContent,"
                "t.getBoundingClientRect(), t.closest('svg').getBoundingClientRect()])"
                ".filter(([, r]) => r.width).map(([text, r, box]) => [text, r.height >= 9 &&"
                "r.left >= box.left - 1 && r.right <= box.right + 1 && r.bottom <= box.bottom + 1])"
            )
            assert [text for text, fits in words if not fits] == []
    assert visit.wrong == []
    visit.context.close()


def test_every_control_has_a_name_and_is_reached_by_the_keyboard(url: str, visit: Visit) -> None:
    visit.tab.goto(url)
    visit.tab.click("#acts summary >> nth=0")
    nameless = visit.tab.evaluate(
        "[...document.querySelectorAll('main :is(input, select):not([type=hidden])')]"
        ".filter(e => !e.labels.length).length"
    )
    assert nameless == 0
    visit.tab.focus("#acts summary >> nth=0")
    reached = []
    for _ in range(4):
        visit.tab.keyboard.press("Tab")
        reached.append(visit.tab.evaluate("document.activeElement.name || document.activeElement.localName"))
    assert reached == ["reason", "sure", "button", "summary"]


def test_the_report_of_a_page_is_drawn_with_its_own_style(url: str, visit: Visit) -> None:
    visit.tab.goto(url)
    visit.tab.click("a:text-is('html')")
    visit.tab.wait_for_selector("h1:has-text('Rollout of tiny')")
    assert visit.tab.evaluate("getComputedStyle(document.body).maxWidth") == "960px"
    shown = [each for each in visit.tab.query_selector_all("svg") if each.is_visible()]
    assert len(shown) == 3
    assert visit.wrong == []
