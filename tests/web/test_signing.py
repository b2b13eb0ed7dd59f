from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from starlette.requests import Request
from tests.web.stations import SETTINGS, lay_down

from esteira.project.keys import add_key, revoke_key
from esteira.project.station import Station, open_station
from esteira.serving.access.guard import NotAllowed, NotAuthenticated
from esteira.web.signing import (
    AT_THIS_MACHINE,
    COOKIE,
    ELSEWHERE,
    LIFE_S,
    SIGN_IN,
    Doorkeeper,
    Visitor,
    is_at_this_machine,
    is_from_here,
    is_same_token,
)

if TYPE_CHECKING:
    from pathlib import Path


def asked(client: str | None = "127.0.0.1", **headers: str) -> Request:
    named = {"host": "localhost:8081"} | {name.replace("_", "-"): text for name, text in headers.items()}
    raw = [(name.encode(), text.encode()) for name, text in named.items()]
    return Request({"type": "http", "headers": raw, "client": client and (client, 5000)})


def signed(secret: str) -> Request:
    return asked(cookie=f"{COOKIE}={secret}")


def admin(station: Station, name: str = "ana", models: tuple[str, ...] = ()) -> str:
    return add_key(station, name, ["admin"], models=models, lifetime=timedelta(days=1))[1].text


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_without_keys_whoever_sits_at_this_machine_may_act(empty: Station) -> None:
    keeper = Doorkeeper(empty)
    here, there = keeper.visitor(asked()), keeper.visitor(asked("192.0.2.7"))
    assert (here.actor, here.may_act) == (AT_THIS_MACHINE, True)
    assert (there.actor, there.why_not, there.needs_key, there.token) == ("", ELSEWHERE, False, "")


@pytest.mark.parametrize(
    ("request_", "is_here"),
    [
        (asked("127.0.0.1"), True),
        (asked("::1", host="[::1]:8081"), True),
        (asked("127.0.0.1", host="127.0.0.1"), True),
        (asked("192.0.2.7"), False),
        (asked(None), False),
        (asked("127.0.0.1", host="evil.example"), False),  # a name that was made to lead here
        (asked("127.0.0.1", host="[::1"), False),
        (asked("127.0.0.1", host=""), False),
        (asked("127.0.0.1", x_forwarded_for="192.0.2.7"), False),
        (asked("127.0.0.1", forwarded="for=192.0.2.7"), False),
    ],
)
def test_this_machine_is_told_by_address_name_and_the_lack_of_a_proxy(
    request_: Request, is_here: bool
) -> None:
    assert is_at_this_machine(request_) is is_here


@pytest.mark.parametrize(
    ("headers", "is_here"),
    [
        ({"origin": "http://localhost:8081"}, True),
        ({"origin": "https://localhost:8081", "sec_fetch_site": "same-origin"}, True),
        ({"sec_fetch_site": "same-origin"}, True),
        ({}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "http://localhost:9999"}, False),
        ({"origin": "http://localhost:8081", "sec_fetch_site": "same-site"}, False),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": "none"}, False),
    ],
)
def test_a_form_of_another_site_is_told_from_ours(headers: dict[str, str], is_here: bool) -> None:
    assert is_from_here(asked(**headers)) is is_here


def test_once_there_is_a_key_this_machine_is_no_reason(empty: Station) -> None:
    keeper = Doorkeeper(empty)
    admin(empty)
    visitor = keeper.visitor(asked())
    assert (visitor.actor, visitor.why_not, visitor.needs_key) == ("", SIGN_IN, True)
    revoke_key(empty, "ana")
    assert not keeper.visitor(asked()).may_act  # revoking the last key opens nothing


def test_a_gateway_that_asks_for_keys_asks_for_them_here_too(tmp_path: Path) -> None:
    settings = SETTINGS.replace("[gateway]", '[gateway]\naccess = "keys"')
    keeper = Doorkeeper(open_station(lay_down(tmp_path / "keys", settings)))
    assert keeper.visitor(asked()).needs_key


def test_a_session_names_the_key_and_ends_on_time(empty: Station) -> None:
    clock = Clock()
    keeper = Doorkeeper(empty, clock)
    secret = keeper.sign_in(admin(empty))
    visitor = keeper.visitor(signed(secret))
    assert (visitor.actor, visitor.key) == ("key:ana", "ana")
    clock.now = LIFE_S - 1
    assert keeper.visitor(signed(secret)) == visitor
    clock.now = LIFE_S
    assert not keeper.visitor(signed(secret)).may_act


def test_a_session_ends_with_its_key(empty: Station) -> None:
    keeper = Doorkeeper(empty)
    secret = keeper.sign_in(admin(empty))
    assert keeper.visitor(signed(secret)).may_act
    revoke_key(empty, "ana")
    assert not keeper.visitor(signed(secret)).may_act


def test_a_session_ends_when_its_key_expires(empty: Station) -> None:
    keeper = Doorkeeper(empty)
    secret = keeper.sign_in(admin(empty))
    empty.clock.advance(timedelta(days=1))
    assert not keeper.visitor(signed(secret)).may_act


def test_signing_out_ends_one_session_and_no_other(empty: Station) -> None:
    keeper, text = Doorkeeper(empty), admin(empty)
    first, second = keeper.sign_in(text), keeper.sign_in(text)
    keeper.sign_out(signed(first))
    assert not keeper.visitor(signed(first)).may_act
    assert keeper.visitor(signed(second)).may_act


@pytest.mark.parametrize("text", ["", "esk_0", "x" * 55, "é" * 55])
def test_a_text_that_is_no_key_opens_nothing(empty: Station, text: str) -> None:
    admin(empty)
    with pytest.raises(NotAuthenticated):
        Doorkeeper(empty).sign_in(text)
    assert not Doorkeeper(empty).visitor(signed(text.encode("ascii", "replace").decode())).may_act


def test_a_key_of_another_role_or_another_model_opens_nothing(empty: Station) -> None:
    shop = add_key(empty, "shop", ["predict", "observe"], lifetime=None)[1].text
    for text in (shop, admin(empty, "other", ("price-*",))):
        with pytest.raises(NotAllowed):
            Doorkeeper(empty).sign_in(text)
    assert Doorkeeper(empty).sign_in(admin(empty, "ours", ("ti*",)))


def test_what_is_kept_is_neither_the_key_nor_the_cookie(empty: Station) -> None:
    keeper, text = Doorkeeper(empty), admin(empty)
    secret = keeper.sign_in(text)
    kept = repr(vars(keeper))
    assert text not in kept
    assert secret not in kept


def test_the_oldest_session_ends_when_there_are_too_many(empty: Station) -> None:
    keeper, text = Doorkeeper(empty), admin(empty)
    secrets = [keeper.sign_in(text) for _ in range(1_001)]
    assert [keeper.visitor(signed(each)).may_act for each in (secrets[0], secrets[1], secrets[-1])] == [
        False,
        True,
        True,
    ]


def test_a_form_carries_the_token_of_its_own_session(empty: Station) -> None:
    keeper, text = Doorkeeper(empty), admin(empty)
    one, other = (keeper.visitor(signed(keeper.sign_in(text))) for _ in range(2))
    assert is_same_token(one, one.token)
    assert not is_same_token(one, other.token)
    assert not is_same_token(one, "")
    assert not is_same_token(Visitor(""), "")
