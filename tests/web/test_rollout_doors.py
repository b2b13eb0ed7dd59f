from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.web.rolled import active, rolled, rolled_once
from tests.web.stations import ESCAPED, HOSTILE, lived

from esteira.project.keys import add_key
from esteira.project.rollouts.rolling import abort, pause
from esteira.serving.rollout.state import RolloutState
from esteira.web.app import create_app
from esteira.web.signing import COOKIE, LIFE_S

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.applications import Starlette

    from esteira.project.station import Station

ORIGIN = "http://localhost"


@pytest.fixture(scope="module")
def read_only(tmp_path_factory: pytest.TempPathFactory) -> Station:
    return rolled_once(tmp_path_factory.getbasetemp())


@pytest.fixture
def station(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Station:
    return rolled(lived(tmp_path_factory.getbasetemp()), tmp_path / "p", looks=3)


class Browser:
    """Keeps cookies and says where its forms come from, as browsers do."""

    def __init__(self, app: Starlette, client: str = "127.0.0.1", host: str = "localhost") -> None:
        self._app, self._client, self._host = app, client, host
        self.cookies = httpx.Cookies()

    def get(self, path: str) -> httpx.Response:
        return self._ask("GET", path)

    def post(self, path: str, form: dict[str, str], **headers: str) -> httpx.Response:
        headers = {"origin": f"http://{self._host}"} | headers
        return self._ask("POST", path, data=form, headers=headers)

    def press(self, path: str, act: str, **other: str) -> httpx.Response:
        """Fill in the form of a button, as the page shows it, and send it."""
        html = self.get(path).text
        found = re.search(rf'<input type="hidden" name="act" value="{act}">(.*?)</form>', html, re.DOTALL)
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', found[1])) if found else {}
        return self.post(path, {"act": act, "reason": "by hand", "sure": "yes"} | hidden | other)

    def _ask(self, method: str, path: str, **more: object) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=False, client=(self._client, 1))
            url = f"http://{self._host}"
            async with httpx.AsyncClient(transport=transport, base_url=url, cookies=self.cookies) as client:
                answer = await client.request(method, path, **more)
                self.cookies = client.cookies
                return answer

        return asyncio.run(ask())


def page_of(station: Station) -> str:
    return f"/rollouts/{active(station).id}"


def key(station: Station, name: str, *roles: str) -> str:
    return add_key(station, name, roles, lifetime=timedelta(days=1))[1].text


@pytest.mark.parametrize("language", ["en", "pt-BR"])
def test_the_page_of_a_rollout_shows_split_verdict_needs_and_moves(read_only: Station, language: str) -> None:
    answer = Browser(create_app(read_only)).get(f"{page_of(read_only)}?lang={language}")
    assert answer.status_code == 200
    assert f'<html lang="{language}">' in answer.text
    sections = re.findall(r'<section class="card" id="(\w+)"', answer.text)
    assert sections == [
        "verdict",
        "acts",
        "needs",
        "split",
        "labels",
        "arms",
        "guards",
        "moves",
        "plan",
        "unknown",
    ]
    assert answer.text.count("<svg") == 6  # three drawings, each twice


def test_all_rollouts_are_listed_with_the_one_under_way_on_top(read_only: Station) -> None:
    text = Browser(create_app(read_only)).get("/rollouts?lang=en").text
    ids = re.findall(r'href="/rollouts/([^"?]+)\?lang=en">\1</a>', text)
    history = [each.id for each in read_only.rollouts.history("tiny")]
    assert ids == history[::-1]
    assert "Begin a rollout" not in text  # there is one


def test_traffic_and_the_ring_lead_to_it(read_only: Station) -> None:
    browser = Browser(create_app(read_only))
    for path in ("/traffic", "/"):
        assert f'href="{page_of(read_only)}?lang=en"' in browser.get(f"{path}?lang=en").text


@pytest.mark.parametrize("end", ["", "/report.html"])
def test_hostile_text_is_shown_and_never_run(read_only: Station, end: str) -> None:
    first = read_only.rollouts.history("tiny")[0].id
    text = Browser(create_app(read_only)).get(f"/rollouts/{first}{end}").text
    assert HOSTILE not in text
    assert text.count("<script") == (0 if end else 1)  # ours
    assert text.count(ESCAPED) >= 2  # who, and why


@pytest.mark.parametrize("path", ["/rollouts/nix", "/rollouts/nix/report.html", "/rollouts/a/b"])
def test_a_rollout_that_is_not_there_is_a_missing_page(read_only: Station, path: str) -> None:
    assert Browser(create_app(read_only)).get(path).status_code == 404


@pytest.mark.parametrize(
    ("kind", "type_"), [("html", "text/html"), ("md", "text/markdown"), ("json", "application/json")]
)
def test_the_report_comes_as_a_file_that_may_load_nothing(read_only: Station, kind: str, type_: str) -> None:
    answer = Browser(create_app(read_only)).get(f"{page_of(read_only)}/report.{kind}?lang=pt-BR")
    assert answer.headers["content-type"] == f"{type_}; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert active(read_only).id in answer.text
    assert Browser(create_app(read_only)).get(f"{page_of(read_only)}/report.exe").status_code == 404


def test_only_pages_with_forms_may_send_them(read_only: Station) -> None:
    browser = Browser(create_app(read_only))
    for path, allowed in ((page_of(read_only), "'self'"), ("/rollouts", "'self'"), ("/audit", "'none'")):
        policy = browser.get(path).headers["content-security-policy"]
        assert f"form-action {allowed};" in policy
        assert "unsafe" not in policy


def test_without_keys_the_buttons_work_at_this_machine(station: Station) -> None:
    browser, path = Browser(create_app(station)), page_of(station)
    answer = browser.press(path, "pause", reason="look closer")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{path}?lang=en")
    assert active(station).state is RolloutState.PAUSED
    assert station.audit.events()[-1].actor == "page"
    assert "look closer" in browser.get(path).text


@pytest.mark.parametrize(("client", "host"), [("192.0.2.7", "localhost"), ("127.0.0.1", "evil.example")])
def test_without_keys_the_buttons_do_nothing_from_elsewhere(station: Station, client: str, host: str) -> None:
    near, far = Browser(create_app(station)), Browser(create_app(station), client, host)
    html, path = far.get(page_of(station)).text, page_of(station)
    assert html.count("disabled") == 3
    assert "buttons work only on its own machine" in html
    token = re.search(r'name="token" value="([^"]+)"', near.get(path).text)
    assert token is not None
    sent = {"act": "abort", "reason": "why", "sure": "yes", "seen": "running/0", "token": token[1]}
    assert far.post(path, sent).status_code == 403
    assert active(station).state is RolloutState.RUNNING


def test_with_keys_a_visitor_signs_in_and_acts_in_the_name_of_the_key(station: Station) -> None:
    text, browser, path = key(station, "ana", "admin"), Browser(create_app(station)), page_of(station)
    html = browser.get(path).text
    assert html.count("disabled") == 3
    assert "Sign in with an API key that has the role admin." in html
    assert browser.press(path, "abort").status_code == 403
    answer = browser.post(path, {"act": "sign-in", "key": text})
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"].lower()
    for part in ("httponly", "samesite=strict", "path=/rollouts", f"max-age={LIFE_S:.0f}"):
        assert part in cookie
    assert text not in answer.headers["set-cookie"]
    html = browser.get(path).text
    assert text not in html
    assert "disabled" not in html
    assert browser.press(path, "abort", reason="enough").status_code == 303
    assert station.rollouts.active("tiny") is None
    acts = {each.actor for each in station.audit.events() if each.reason == "enough"}
    assert acts == {"key:ana"}


@pytest.mark.parametrize(("roles", "status"), [((), 401), (("predict", "observe"), 403)])
def test_a_key_that_is_not_for_this_opens_nothing(
    station: Station, roles: tuple[str, ...], status: int
) -> None:
    text = key(station, "shop", *roles) if roles else "esk_nothing"
    key(station, "ana", "admin")
    browser = Browser(create_app(station))
    answer = browser.post(page_of(station), {"act": "sign-in", "key": text})
    assert answer.status_code == status
    assert 'role="alert"' in answer.text
    assert text not in answer.text
    assert COOKIE not in browser.cookies
    assert browser.press(page_of(station), "abort").status_code == 403


def test_a_session_that_was_ended_acts_no_more(station: Station) -> None:
    text, browser, path = key(station, "ana", "admin"), Browser(create_app(station)), page_of(station)
    browser.post(path, {"act": "sign-in", "key": text})
    stolen = browser.cookies[COOKIE]
    assert browser.press(path, "sign-out").status_code == 303
    assert COOKIE not in browser.cookies
    browser.cookies.set(COOKIE, stolen, "localhost.local", "/rollouts")
    assert browser.press(path, "abort").status_code == 403


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}],
)
def test_a_form_of_another_site_does_nothing(station: Station, headers: dict[str, str]) -> None:
    text, browser, path = key(station, "ana", "admin"), Browser(create_app(station)), page_of(station)
    browser.post(path, {"act": "sign-in", "key": text})
    token = re.search(r'name="token" value="([^"]+)"', browser.get(path).text)
    assert token is not None
    sent = {"act": "abort", "reason": "why", "sure": "yes", "seen": "running/0", "token": token[1]}
    assert browser.post(path, sent, **headers).status_code == 403
    assert browser.post(path, sent | {"token": "another"}).status_code == 403
    assert active(station).state is RolloutState.RUNNING
    assert browser.post(path, sent).status_code == 303


def test_whoever_comes_second_is_told_and_sees_where_it_stands(station: Station) -> None:
    browser, path = Browser(create_app(station)), page_of(station)
    html = browser.get(path).text
    token = re.search(r'name="token" value="([^"]+)"', html)
    assert token is not None
    pause(station, "somebody <b>was</b> first")
    sent = {"act": "promote", "reason": "why", "sure": "yes", "seen": "running/0", "token": token[1]}
    answer = browser.post(f"{path}?lang=pt-BR", sent)
    assert answer.status_code == 409
    assert "Nada foi feito, pois esta implantação mudou nesse meio-tempo" in answer.text
    assert "somebody &lt;b&gt;was&lt;/b&gt; first" in answer.text
    assert 'value="resume"' in answer.text


def test_a_rollout_is_begun_from_the_page(station: Station) -> None:
    abort(station, "over")
    browser = Browser(create_app(station))
    assert '<option value="2">v2</option>' in browser.get("/rollouts?lang=en").text
    answer = browser.press("/rollouts", "start", version="2", strategy="blue-green")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{page_of(station)}?lang=en"
    assert active(station).plan.strategy == "blue-green"
    assert browser.press("/rollouts", "start", version="2", strategy="canary").status_code in {403, 409}


@pytest.mark.parametrize(
    ("body", "type_", "status"),
    [
        (b"act=abort", "text/plain", 415),
        (b"x" * 9_000, "application/x-www-form-urlencoded", 413),
        (b"\xff=%ff&&&=", "application/x-www-form-urlencoded", 403),
        (b"", "application/x-www-form-urlencoded; charset=utf-8", 403),
    ],
)
def test_a_body_that_is_no_form_does_nothing(station: Station, body: bytes, type_: str, status: int) -> None:
    browser = Browser(create_app(station))
    headers = {"content-type": type_, "origin": ORIGIN}
    assert browser._ask("POST", page_of(station), content=body, headers=headers).status_code == status
    assert active(station).state is RolloutState.RUNNING


def test_a_button_of_a_rollout_that_is_not_there_is_a_missing_page(station: Station) -> None:
    browser = Browser(create_app(station))
    token = re.search(r'name="token" value="([^"]+)"', browser.get(page_of(station)).text)
    assert token is not None
    sent = {"act": "abort", "reason": "why", "sure": "yes", "seen": "running/0", "token": token[1]}
    assert browser.post("/rollouts/nix", sent).status_code == 404
    assert browser.post("/rollouts", sent).status_code == 400
