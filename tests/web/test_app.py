from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.web.stations import ESCAPED, HOSTILE, NOW

from esteira.project.station import Station, open_station
from esteira.project.story import Story
from esteira.web.app import application, create_app

if TYPE_CHECKING:
    from pathlib import Path

PAGES = (
    "",
    "data",
    "features",
    "runs",
    "models",
    "serving",
    "traffic",
    "rollouts",
    "performance",
    "drift",
    "alerts",
    "audit",
)


def get(station: Station, path: str, **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(station), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://site") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


@pytest.mark.parametrize("language", ["en", "pt-BR"])
@pytest.mark.parametrize("page", PAGES)
def test_every_page_answers_for_a_project_that_has_lived(station: Station, page: str, language: str) -> None:
    answer = get(station, f"/{page}?lang={language}")
    assert answer.status_code == 200
    assert f'<html lang="{language}">' in answer.text
    assert "There is nothing here yet" not in answer.text
    assert "Ainda não há nada aqui" not in answer.text


@pytest.mark.parametrize("language", ["en", "pt-BR"])
@pytest.mark.parametrize("page", PAGES)
def test_every_page_answers_for_an_empty_project(empty: Station, page: str, language: str) -> None:
    answer = get(empty, f"/{page}?lang={language}")
    assert answer.status_code == 200
    if page not in ("", "audit", "features"):
        said = {"en": "There is nothing here yet.", "pt-BR": "Ainda não há nada aqui."}
        assert said[language] in answer.text


@pytest.mark.parametrize("language", ["en", "pt-BR"])
def test_every_view_has_a_page_with_rows_and_without(station: Station, empty: Station, language: str) -> None:
    title = {"en": "View latest", "pt-BR": "Visão latest"}[language]
    for each in (station, empty):
        answer = get(each, f"/features/latest?lang={language}")
        assert answer.status_code == 200
        assert f"<h1>{title}</h1>" in answer.text
    assert get(station, "/features/nobody").status_code == 404


def test_an_empty_ring_says_how_to_begin(empty: Station) -> None:
    assert "Start with: esteira run" in get(empty, "/?lang=en").text
    assert "Comece com: esteira run" in get(empty, "/?lang=pt-BR").text


@pytest.mark.parametrize(
    "page",
    ["", "models", "drift", "alerts", "audit", "features", "features/latest", "serving", "serving/tiny"],
)
def test_hostile_text_is_shown_and_never_run(station: Station, page: str) -> None:
    text = get(station, f"/{page}").text
    assert HOSTILE not in text
    assert text.count("<script") == 1  # ours
    assert ESCAPED in text


def test_hostile_text_in_a_run_is_shown_and_never_run(empty: Station) -> None:
    empty.journal.runs()  # makes the journal
    hostile = _with_run(empty, HOSTILE)
    text = get(hostile, "/runs").text
    assert text.count("<script") == 1
    assert text.count(ESCAPED) >= 2  # the id and the error


def _with_run(station: Station, text: str) -> Station:
    from esteira.base.clock import to_micros
    from esteira.base.sqlite import Database

    database = Database(station.settings.store("journal"))
    with database.transaction() as writer:
        writer.execute(
            "INSERT INTO runs VALUES (?, 'tiny', '', 'failed', ?, ?, '{}', '{}', ?, 1, '')",
            (text, to_micros(NOW), to_micros(NOW), text),
        )
    return open_station(station.settings.root)


@pytest.mark.parametrize("path", ["/nowhere", "/data/deep/down", "/static/none.css"])
def test_an_address_that_leads_nowhere_leads_back(empty: Station, path: str) -> None:
    answer = get(empty, path)
    assert answer.status_code == 404
    assert 'href="/?lang=en"' in answer.text


@pytest.mark.parametrize("path", ["/", "/audit", "/nowhere"])
def test_only_our_own_scripts_may_run_and_nothing_is_kept(empty: Station, path: str) -> None:
    headers = get(empty, path).headers
    assert headers["content-security-policy"].startswith("default-src 'self'")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"


def test_the_style_and_the_script_are_served(empty: Station) -> None:
    assert "text/css" in get(empty, "/static/style.css").headers["content-type"]
    assert "javascript" in get(empty, "/static/live.js").headers["content-type"]


def test_the_language_is_asked_for_or_accepted(empty: Station) -> None:
    accepting = {"accept-language": "pt-BR,pt;q=0.9"}
    assert "<h1>O anel</h1>" in get(empty, "/", **accepting).text
    assert "<h1>The ring</h1>" in get(empty, "/?lang=en", **accepting).text
    assert "<h1>The ring</h1>" in get(empty, "/?lang=tlh").text


def test_a_story_event_is_on_the_next_page(empty: Station) -> None:
    Story(empty.state).add(NOW, "deployed", version=7, reason="a whim")
    assert "version 7 serves all traffic: a whim" in get(empty, "/").text
    assert "versão 7 atende todo o tráfego: a whim" in get(empty, "/?lang=pt-BR").text


def test_a_store_that_cannot_be_read_is_said_without_its_secrets(empty: Station) -> None:
    path = empty.settings.home / "audit.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"this is no database, but it is long enough to look like one" * 20)
    answer = get(empty, "/audit")
    assert answer.status_code == 503
    assert str(path) not in answer.text
    assert "Traceback" not in answer.text
    assert get(empty, "/data").status_code == 200


def test_a_server_opens_the_site_by_its_folder(lived_folder: Path) -> None:
    assert application(str(lived_folder)).routes
    station = open_station(lived_folder)
    assert get(station, "/healthz").json() == {"project": "tiny"}
