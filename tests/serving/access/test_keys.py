from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.worlds import NOON

from esteira.base.clock import SimulatedClock, from_micros, to_micros
from esteira.base.errors import BadInput, NotFound, StorageUnwritable, UnknownName
from esteira.serving.access.keys import LENGTH, KeyRing, KeyStore, Secret, digest_of, new_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

NOW = to_micros(NOON)
HOUR = timedelta(hours=1)


@pytest.fixture
def url(state_url: str) -> str:
    return state_url


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(start=NOON)


def add(url: str, name: str = "shop", *, expires: int | None = None) -> Secret:
    key, secret = new_key(name, ["predict"], ["late"], created=NOW, expires=expires)
    KeyStore(url).add(key, secret)
    return secret


def is_in(ring: KeyRing, secret: Secret) -> bool:
    return digest_of(secret.text) in ring.callers


def until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


def test_keys_differ_are_of_one_length_and_hide_their_text() -> None:
    made = [new_key("shop", ["predict"], created=NOW) for _ in range(200)]
    assert len({secret.text for _, secret in made}) == 200
    assert {len(secret.text) for _, secret in made} == {LENGTH}
    assert all(secret.text.startswith(f"esk_{key.id}") for key, secret in made)
    assert all(
        secret.text not in repr(pair) and secret.text not in str(pair) for pair in made for secret in pair[1:]
    )


@pytest.mark.parametrize("name", ["", " ", "a b", "-a", "a\n", "a/b", "x" * 65, "é", "key:a"])
def test_a_name_that_could_be_read_as_something_else_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="a key's name is"):
        new_key(name, ["predict"], created=NOW)


@pytest.mark.parametrize(
    ("roles", "models", "expires", "mend"),
    [
        ([], [], None, "needs a role: predict"),
        (["predict", "pred"], [], None, "did you mean 'predict'"),
        (["predict"], [""], None, "names no model"),
        (["predict"], ["a/b"], None, "such as price-"),
        (["predict"], ["a b"], None, "names no model"),
        (["predict"], [], NOW, "end after it is made"),
        (["predict"], [], 10**18, "before the year 10000"),
    ],
)
def test_a_key_for_nothing_that_there_could_be_is_refused(
    roles: list[str], models: list[str], expires: int | None, mend: str
) -> None:
    with pytest.raises(BadInput, match=mend):
        new_key("shop", roles, models, created=NOW, expires=expires)


def test_an_unknown_role_is_an_unknown_name() -> None:
    with pytest.raises(UnknownName, match="unknown role 'zzz'; known: admin, observe, predict, report"):
        new_key("shop", ["zzz"], created=NOW)


def test_what_is_stored_is_the_digest_and_never_the_text(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/state.db"
    secret = add(url)
    assert set(KeyStore(url).by_digest()) == {digest_of(secret.text)}
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert secret.text[12:].encode() not in stored
    assert digest_of(secret.text) in stored


def test_what_a_key_is_for_comes_back_as_it_was_made(url: str) -> None:
    key, secret = new_key(
        "shop", ["predict", "report", "predict"], ["late", "p-*"], created=NOW, expires=NOW + 5
    )
    KeyStore(url).add(key, secret)
    assert KeyStore(url).all() == [key]
    assert (key.roles, key.models) == (("predict", "report"), ("late", "p-*"))


def test_two_keys_that_open_something_do_not_share_a_name(url: str) -> None:
    store = KeyStore(url)
    add(url)
    with pytest.raises(BadInput, match="esteira keys revoke shop"):
        add(url)
    with pytest.raises(BadInput, match="esteira keys revoke shop"):
        store.refuse_taken("shop")
    store.revoke(store.get("shop").id, NOW)
    store.refuse_taken("shop")
    add(url)
    assert [key.revoked for key in store.all()] == [NOW, None]


def test_a_key_is_revoked_once(url: str) -> None:
    store = KeyStore(url)
    add(url)
    key = store.get("shop")
    store.revoke(key.id, NOW)
    store.revoke(key.id, NOW + 1)
    assert [each.revoked for each in store.all()] == [NOW]
    assert store.by_digest() == {}
    with pytest.raises(NotFound, match="esteira keys list"):
        store.get("shop")


def test_a_ring_knows_the_keys_of_the_store_and_what_they_are_for(url: str, clock: SimulatedClock) -> None:
    ring = KeyRing(KeyStore(url), clock)
    ring.follow()
    assert ring.callers == {}
    secret = add(url)
    ring.follow()
    caller = ring.callers[digest_of(secret.text)]
    assert (caller.name, caller.roles, caller.models) == ("shop", frozenset({"predict"}), ("late",))


def test_a_look_at_which_nothing_changed_reads_nothing(
    url: str, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(url)
    store = KeyStore(url)
    ring = KeyRing(store, clock)
    ring.follow()
    monkeypatch.setattr(store, "by_digest", lambda: pytest.fail("read again"))
    ring.follow()


def test_a_key_ends_when_it_expires_though_nothing_was_written(url: str, clock: SimulatedClock) -> None:
    short, long = (
        add(url, "short", expires=NOW + 3_600_000_000),
        add(url, "long", expires=NOW + 7_200_000_000),
    )
    ring = KeyRing(KeyStore(url), clock)
    ring.follow()
    assert (is_in(ring, short), is_in(ring, long)) == (True, True)
    clock.advance(HOUR)
    ring.follow()
    assert (is_in(ring, short), is_in(ring, long)) == (False, True)
    clock.advance(HOUR)
    ring.follow()
    assert ring.callers == {}


class Settable:
    """A clock that may be set back, as a machine's is."""

    url = ""

    def __init__(self, micros: int) -> None:
        self.at = micros

    def micros(self) -> int:
        return self.at

    def now(self) -> datetime:
        return from_micros(self.at)


def test_a_key_that_expired_is_valid_again_when_the_clock_was_set_back(url: str) -> None:
    one, other = add(url, "one", expires=NOW + 10), add(url, "other", expires=NOW + 20)
    clock = Settable(NOW)
    ring = KeyRing(KeyStore(url), clock)
    seen = []
    for at in (0, 10, 20, 30, 19, 9, 10):
        clock.at = NOW + at
        ring.follow()
        seen.append((is_in(ring, one), is_in(ring, other)))
    both, second, none = (True, True), (False, True), (False, False)
    assert seen == [both, second, none, none, second, both, second]


def test_a_store_that_fails_keeps_no_expired_key_alive(
    url: str, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, store = add(url, expires=NOW + 1), KeyStore(url)
    ring = KeyRing(store, clock)
    ring.follow()

    def fail() -> int:
        raise StorageUnwritable("state.db", "gone")

    monkeypatch.setattr(store, "changes", fail)
    clock.advance(HOUR)
    with pytest.raises(StorageUnwritable):
        ring.follow()
    assert not is_in(ring, secret)


def test_a_revoked_key_is_refused_within_100_ms(url: str, clock: SimulatedClock) -> None:
    add(url)
    store, ring = KeyStore(url), KeyRing(KeyStore(url), clock)
    ring.follow()
    ring.watch()
    try:
        took = []
        for _ in range(5):
            store.revoke(store.get("shop").id, NOW)
            begun = time.monotonic()
            assert until(lambda: not ring.callers)
            took.append(time.monotonic() - begun)
            add(url)
            assert until(lambda: bool(ring.callers))
        assert min(took) < 0.1  # the machine may be busy; one that waited longer by design would always
    finally:
        ring.close()


def test_a_ring_that_could_not_follow_goes_on(
    url: str, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("esteira.serving.access.keys._RETRY_S", 0.01)
    store, failed = KeyStore(url), threading.Event()
    original = store.by_digest

    def fail_once() -> object:
        if not failed.is_set():
            failed.set()
            raise ValueError("a row that nobody expected")
        return original()

    monkeypatch.setattr(store, "by_digest", fail_once)
    ring = KeyRing(store, clock)
    ring.watch()
    try:
        secret = add(url)
        assert until(lambda: is_in(ring, secret))
    finally:
        ring.close()
    assert "keys could not be followed" in caplog.text
    assert secret.text not in caplog.text


@given(st.text(), st.text())
def test_equal_digests_are_of_equal_texts(one: str, other: str) -> None:
    same = one.encode("utf-8", "replace") == other.encode("utf-8", "replace")
    assert (digest_of(one) == digest_of(other)) is same
