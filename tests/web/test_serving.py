from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from tests.web.gatewayed import PORT, Gatewayed
from tests.web.stations import ESCAPED, HOSTILE
from tests.web.test_app import get
from tests.web.test_words import PORTUGUESE, Listener

import esteira.web.pulse as pulsing
from esteira.base.errors import NotFound
from esteira.serving.live.agreement import Vote
from esteira.web.serving import CARDS, model_page, serving_page
from esteira.web.words import Words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esteira.project.station import Station
    from esteira.web.serving import ServingPage

SAY = Words("en")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gatewayed]:
    monkeypatch.setattr(pulsing, "EVERY_S", 0.0)  # a test looks twice at once
    world = Gatewayed(tmp_path / "p")
    yield world
    world.end()


def seen(world: Gatewayed) -> ServingPage:
    return serving_page(world.station, world.pulses, SAY)


def test_a_gateway_that_runs_says_so_with_its_address(world: Gatewayed) -> None:
    text = get(world.station, "/serving?lang=en").text
    assert f'href="http://127.0.0.1:{PORT}/v2"' in text
    assert '<span class="tag">running</span>' in text
    world.draining.begin()
    assert '<span class="tag alarm">draining</span>' in get(world.station, "/serving?lang=en").text


def test_a_gateway_that_was_killed_is_not_said_to_run(world: Gatewayed) -> None:
    world.deploy()
    world.end()
    text = get(world.station, "/serving?lang=en").text
    assert '<span class="tag alarm">not running</span>' in text
    assert 'tag">running' not in text
    assert f"Ports: {PORT}" in text
    assert "no gateway runs" in text  # of its model


@pytest.mark.parametrize(
    ("language", "said"), [("en", "Start one with"), ("pt-BR", "Inicie um com tudo ao redor")]
)
def test_without_a_gateway_the_page_says_how_to_start_one(empty: Station, language: str, said: str) -> None:
    answer = get(empty, f"/serving?lang={language}")
    assert answer.status_code == 200
    assert said in answer.text
    assert f"python -m esteira.serving --root {empty.settings.root}" in answer.text


def test_rates_and_latencies_of_all_models_are_told_together(world: Gatewayed) -> None:
    for name in ("one", "other"):
        world.deploy(name=name)
    seen(world)
    world.answer(*[0.003] * 30, name="one")
    world.answer(*[0.003] * 10, name="other", code="500")
    page = seen(world)
    tiles = {each.name: each for each in page.tiles}
    assert float(tiles["requests a second"].value.replace(",", "")) > 0
    assert tiles["errors a second"].alarms
    assert tiles["p99"].value.endswith("ms")
    assert [str(row[0]).split(">")[1] for row in page.listed.rows] == ["one</a", "other</a"]
    assert page.rates.count("<svg") == 2
    assert "errors" in page.rates


def test_the_model_that_fails_stands_first_and_says_why(world: Gatewayed) -> None:
    world.deploy(name="fine")
    world.deploy(name="poor", is_taken_up=False)
    world.agreement.exchange([Vote("poor", 1, "refused", "the bundle is gone")], {}, {})
    seen(world)
    world.answer(*[0.001] * 50, name="fine")
    page = seen(world)
    assert "the bundle is gone" in str(page.listed.rows[0][1])
    assert (page.cards[0].name, page.cards[0].trouble) == ("poor", "the bundle is gone")


def test_few_models_are_told_in_full_and_each_has_a_page(world: Gatewayed) -> None:
    for at in range(CARDS + 2):
        world.deploy(name=f"m{at}")
    page = seen(world)
    assert len(page.cards) == CARDS
    assert len(page.listed.rows) == CARDS + 2
    assert model_page(world.station, world.pulses, SAY, "m3").name == "m3"
    with pytest.raises(NotFound):
        model_page(world.station, world.pulses, SAY, "m99")
    assert get(world.station, "/serving/m3").status_code == 200
    assert get(world.station, "/serving/m99").status_code == 404


def test_a_thousand_models_make_a_page_that_can_be_read(world: Gatewayed) -> None:
    for at in range(120):
        world.deploy(name=f"m{at}", is_taken_up=False)
    page = seen(world)
    assert (len(page.listed.rows), page.unlisted) == (100, 20)


@pytest.mark.parametrize("language", ["en", "pt-BR"])
def test_hostile_names_and_reasons_are_shown_and_never_run(world: Gatewayed, language: str) -> None:
    world.station.audit.record(
        "routes.set", f"model/{HOSTILE}", reason=HOSTILE, facts={"shares": {"champion:1": 1.0}}
    )
    world.deploy(name=HOSTILE, is_taken_up=False)
    world.agreement.exchange([Vote(HOSTILE, 1, "refused", HOSTILE)], {}, {})
    for path in ("/serving", f"/serving/{quote(HOSTILE, safe='')}"):
        answer = get(world.station, f"{path}?lang={language}")
        assert answer.status_code == 200
        assert HOSTILE not in answer.text
        assert answer.text.count("<script") == 1
        assert answer.text.count(ESCAPED) >= 3


@pytest.mark.parametrize("port", ["", "x", "99999999999999999999", "-1", "8123", "1"])
def test_a_port_that_is_asked_for_wrongly_is_no_failure(world: Gatewayed, port: str) -> None:
    assert get(world.station, f"/serving?port={port}").status_code == 200


def test_a_name_on_the_page_that_is_also_a_word_is_not_translated(world: Gatewayed) -> None:
    world.deploy(name="models")
    text = get(world.station, "/serving?lang=pt-BR").text
    assert ">models</a>" in text
    assert "<h2>Modelos</h2>" in text


def test_every_text_of_the_page_has_its_portuguese(world: Gatewayed) -> None:
    world.deploy()
    say = Listener()
    for _ in range(2):
        page = serving_page(world.station, world.pulses, say)
        world.answer(0.001, 0.002)
        world.metrics.refused.add(("tiny", "full"))
    sections = [page.listed, *page.sections, *(each for card in page.cards for each in card.sections)]
    say.heard |= {text for each in sections for text in (each.title, *each.columns)}
    same = {"CPU", "p50", "p95", "p99", "digest", "API", ""}
    assert say.heard - set(PORTUGUESE) - same == set()


def test_the_site_begins_to_look_when_it_starts_and_ends_with_it(empty: Station) -> None:
    import asyncio
    import threading

    from esteira.web.app import create_app

    def looking() -> int:
        return sum(each.name == "pulse" and each.is_alive() for each in threading.enumerate())

    async def live() -> int:
        app = create_app(empty)
        async with app.router.lifespan_context(app):
            return looking()

    before = looking()
    assert asyncio.run(live()) == before + 1
