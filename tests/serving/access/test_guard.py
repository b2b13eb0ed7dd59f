from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput, UnknownName
from esteira.base.settings import GatewaySettings
from esteira.serving.access.guard import (
    KEYS,
    OPEN,
    Guard,
    NotAllowed,
    NotAuthenticated,
    access_mode,
    is_loopback,
    warn_if_open,
)
from esteira.serving.access.keys import LENGTH, digest_of, new_key
from esteira.serving.access.roles import (
    ADMIN,
    ANYBODY,
    DEFAULT_MODEL,
    EVERY_MODEL,
    NO_MODEL,
    NOBODY,
    OBSERVE,
    PREDICT,
    REPORT,
    ROLES,
    Caller,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass
class Ring:
    """The callers of a test, each with its key."""

    callers: dict[bytes, Caller] = field(default_factory=dict)

    def add(self, name: str, *roles: str, models: tuple[str, ...] = ()) -> str:
        text = new_key(name, roles, models, created=0)[1].text
        self.callers = {**self.callers, digest_of(text): Caller(name, frozenset(roles), models)}
        return text


RING = Ring()
KEY = RING.add("shop", PREDICT, models=("late",))


def bearer(key: str) -> Mapping[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.fixture
def guard() -> Guard:
    return Guard(RING, KEYS)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer {KEY}"},
        {"authorization": f"BEARER  {KEY} "},
        {"x-api-key": KEY},
        {"authorization": "Basic YTpi", "x-api-key": KEY},
    ],
)
def test_a_key_is_taken_from_either_header(guard: Guard, headers: Mapping[str, str]) -> None:
    assert guard.caller(PREDICT, "late", headers).name == "shop"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": KEY},
        {"authorization": f"Basic {KEY}"},
        {"authorization": f"Bearer {KEY}x"},
        {"authorization": f"Bearer {KEY[:-1]}"},
        {"authorization": f"Bearer {KEY[:-1]}{'a' if KEY[-1] != 'a' else 'b'}"},
        {"authorization": "Bearer wrong", "x-api-key": KEY},
        {"x-api-key": f"Bearer {KEY}"},
        {"x-api-key": "\ud800" * LENGTH},
        {"cookie": KEY},
    ],
)
def test_what_is_no_valid_key_is_not_authenticated_and_not_repeated(
    guard: Guard, headers: Mapping[str, str]
) -> None:
    with pytest.raises(NotAuthenticated, match="esteira keys add") as refused:
        guard.caller(PREDICT, "late", headers)
    assert refused.value.status == 401
    assert refused.value.headers == (("www-authenticate", "Bearer"),)
    assert isinstance(refused.value, BadInput)
    assert KEY[12:40] not in str(refused.value)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("need", ROLES)
def test_no_role_implies_another(role: str, need: str) -> None:
    ring = Ring()
    key, guard = ring.add("one", role), Guard(ring, KEYS)
    if role == need:
        assert guard.caller(need, "late", bearer(key)).name == "one"
    else:
        with pytest.raises(NotAllowed, match=need) as refused:
            guard.caller(need, "late", bearer(key))
        assert (refused.value.status, refused.value.headers) == (403, ())


def test_a_key_of_several_roles_may_do_each() -> None:
    ring = Ring()
    key = ring.add("both", PREDICT, REPORT)
    guard = Guard(ring, KEYS)
    assert guard.caller(PREDICT, "late", bearer(key)).name == guard.caller(REPORT, NO_MODEL, bearer(key)).name
    with pytest.raises(NotAllowed):
        guard.caller(ADMIN, "late", bearer(key))


def test_another_model_is_refused_with_the_same_words_whether_it_exists_or_not(guard: Guard) -> None:
    said = set()
    for model in ("early", "nowhere", "", EVERY_MODEL):
        with pytest.raises(NotAllowed) as refused:
            guard.caller(PREDICT, model, bearer(KEY))
        said.add(str(refused.value))
    assert len(said) == 1
    assert "late" not in said.pop()


def test_a_key_for_one_model_asks_the_default_model_only_if_that_is_the_one() -> None:
    for default, is_allowed in (("late", True), ("early", False), (EVERY_MODEL, False)):
        guard = Guard(RING, KEYS, lambda name=default: name)
        if is_allowed:
            assert guard.caller(PREDICT, DEFAULT_MODEL, bearer(KEY)).name == "shop"
        else:
            with pytest.raises(NotAllowed):
                guard.caller(PREDICT, DEFAULT_MODEL, bearer(KEY))
    with pytest.raises(NotAllowed):  # nobody said which model that is
        Guard(RING, KEYS).caller(PREDICT, DEFAULT_MODEL, bearer(KEY))


def test_open_asks_for_a_key_before_admin_routes_only() -> None:
    guard = Guard(RING, OPEN)
    for need in (NOBODY, PREDICT, REPORT, OBSERVE):
        assert guard.caller(need, "late", {}) is ANYBODY
    with pytest.raises(NotAuthenticated):
        guard.caller(ADMIN, "late", {})
    with pytest.raises(NotAllowed):
        guard.caller(ADMIN, "late", bearer(KEY))


def test_what_needs_nobody_is_answered_without_a_look_at_the_headers() -> None:
    class Unread:
        def get(self, name: str, /) -> str | None:
            pytest.fail(f"read {name}")

    assert Guard(Ring(), KEYS).caller(NOBODY, EVERY_MODEL, Unread()) is ANYBODY
    assert Guard(Ring(), OPEN).caller(PREDICT, "late", Unread()) is ANYBODY


def test_a_key_that_was_dropped_from_the_ring_is_refused_at_once() -> None:
    ring = Ring()
    key, guard = ring.add("one", PREDICT), Guard(ring, KEYS)
    guard.caller(PREDICT, "late", bearer(key))
    ring.callers = {}
    with pytest.raises(NotAuthenticated):
        guard.caller(PREDICT, "late", bearer(key))


VALUES = st.one_of(
    st.text(),
    st.text(min_size=LENGTH, max_size=LENGTH),
    st.builds("{}{}".format, st.sampled_from(["Bearer ", "bearer ", "Basic ", ""]), st.text()),
    st.builds("Bearer {}{}".format, st.just(KEY[:-1]), st.text(max_size=3)),
)


@given(
    st.dictionaries(st.sampled_from(["authorization", "x-api-key"]), VALUES),
    st.sampled_from([*ROLES, NOBODY]),
    st.sampled_from(["late", "", NO_MODEL, EVERY_MODEL, DEFAULT_MODEL]),
    st.sampled_from([OPEN, KEYS]),
)
def test_whatever_headers_hold_the_guard_answers_or_refuses(
    headers: dict[str, str], need: str, model: str, mode: str
) -> None:
    sends_the_key = any(KEY in value for value in headers.values())
    refusal = ""
    caller = None
    try:
        caller = Guard(RING, mode).caller(need, model, headers)
    except (NotAuthenticated, NotAllowed) as refused:
        refusal = str(refused)
    assert caller is None or caller is ANYBODY or sends_the_key
    assert not any(len(value) > 12 and value in refusal for value in headers.values())
    if mode == OPEN and need != ADMIN:
        assert caller is ANYBODY


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
     ("::", False), ("10.0.0.7", False), ("gateway.local", False), ("", False)],
)  # fmt: skip
def test_only_loopback_addresses_are_this_machine_alone(host: str, *, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_an_open_gateway_that_others_reach_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    warn_if_open(GatewaySettings(host="0.0.0.0"))
    assert "anybody who reaches this gateway may ask it" in caplog.text
    assert "esteira keys add" in caplog.records[0].__dict__["mend"]


@pytest.mark.parametrize("settings", [GatewaySettings(), GatewaySettings(host="0.0.0.0", access=KEYS)])
def test_a_gateway_with_keys_or_for_this_machine_alone_is_not_warned_of(
    settings: GatewaySettings, caplog: pytest.LogCaptureFixture
) -> None:
    warn_if_open(settings)
    assert access_mode(settings) == settings.access
    assert caplog.text == ""


def test_a_mode_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UnknownName, match=r"unknown gateway\.access 'key'; did you mean 'keys'"):
        access_mode(GatewaySettings(access="key"))
