from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from esteira.serving.live.following import Following
from esteira.serving.routes import Arm, Routes, RouteStore

if TYPE_CHECKING:
    from pathlib import Path

ARMS = (Arm("champion", 1, "ab", 1.0),)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:{tmp_path}/state.db"


def test_all_models_are_read_once_and_then_only_what_changed(url: str) -> None:
    other = RouteStore(url)
    for n in range(30):
        other.set(Routes(f"m{n}", ARMS))
    following = Following(RouteStore(url))
    assert len(following.news()) == 30
    assert following.news() == []
    other.set(Routes("m7", ARMS))
    other.set(Routes("m7", ARMS))
    assert following.news() == ["m7"]
    assert (following.revisions["m7"], following.revisions["m8"]) == (3, 1)


def test_what_is_unloaded_and_let_back_in_is_news(url: str) -> None:
    other = RouteStore(url)
    other.set(Routes("late", ARMS))
    following = Following(RouteStore(url))
    following.news()
    other.set_unloaded("late", is_unloaded=True)
    assert (following.news(), following.unloaded) == (["late"], {"late"})
    other.set_unloaded("late", is_unloaded=False)
    assert (following.news(), following.unloaded) == (["late"], set())


def test_a_change_by_the_same_thread_is_seen_when_told(url: str) -> None:
    store = RouteStore(url)
    following = Following(store)
    following.news()
    store.set(Routes("late", ARMS))
    assert following.news() == []
    assert following.news(is_told=True) == ["late"]


def test_a_change_between_two_threads_that_follow_one_after_the_other_is_not_missed(url: str) -> None:
    following = Following(RouteStore(url))
    following.news()
    RouteStore(url).set(Routes("late", ARMS))
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.extend(following.news()))
    thread.start()
    thread.join()
    assert found == ["late"]


def test_changes_from_before_they_were_followed_are_read(url: str) -> None:
    store = RouteStore(url)
    with store._database.transaction() as connection:  # as a store of an earlier version has them
        connection.execute("DELETE FROM route_changes")
    store.set(Routes("late", ARMS))
    with store._database.transaction() as connection:
        connection.execute("DELETE FROM route_changes")
    following = Following(RouteStore(url))
    assert following.news() == ["late"]
    RouteStore(url).set(Routes("early", ARMS))
    assert following.news() == ["early"]
