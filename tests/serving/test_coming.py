from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from esteira.base.errors import StorageUnwritable
from esteira.serving.coming import MOST_WAITING, Coming
from esteira.serving.live.availability import NotLoaded
from esteira.serving.refusals import Refusals

if TYPE_CHECKING:
    from collections.abc import Iterator


class Shelf:
    """Models that come when they are let go."""

    def __init__(self) -> None:
        self.let_go, self.brought = threading.Event(), list[str]()
        self.failure: Exception | None = None

    def bring(self, name: str) -> object:
        self.brought.append(name)
        self.let_go.wait(10)
        if self.failure is not None:
            raise self.failure
        return name


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    shelf = Shelf()
    yield shelf
    shelf.let_go.set()


def test_all_who_ask_for_a_model_wait_for_one_load(shelf: Shelf) -> None:
    async def ask() -> list[bool]:
        coming = Coming(shelf, Refusals())
        asyncio.get_running_loop().call_later(0.05, shelf.let_go.set)
        return await asyncio.gather(*(coming.wait("late") for _ in range(50)), coming.wait("early"))

    assert asyncio.run(ask()) == [True] * 51
    assert sorted(shelf.brought) == ["early", "late"]


def test_nobody_waits_longer_than_its_time_and_the_model_comes_all_the_same(shelf: Shelf) -> None:
    async def ask() -> tuple[bool, bool]:
        coming = Coming(shelf, Refusals())
        first = await coming.wait("late", 0.02)
        shelf.let_go.set()
        return first, await coming.wait("late", 10)

    assert asyncio.run(ask()) == (False, True)
    assert len(shelf.brought) <= 2


def test_only_so_many_wait_for_one_model_and_others_are_brought_meanwhile(shelf: Shelf) -> None:
    async def ask() -> None:
        coming = Coming(shelf, Refusals())
        waiting = [asyncio.create_task(coming.wait("late")) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(NotLoaded, match="ask again"):
            await coming.wait("late")
        assert not await coming.wait("early", 0.01)
        shelf.let_go.set()
        assert all(await asyncio.gather(*waiting))
        assert await coming.wait("late", 10)

    asyncio.run(ask())


def test_a_load_that_fails_ends_the_wait_and_what_nobody_may_be_told_is_logged(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.failure = StorageUnwritable("/srv/models", "full")
    shelf.let_go.set()

    async def ask() -> bool:
        return await Coming(shelf, Refusals()).wait("late", 10)

    assert asyncio.run(ask())
    assert [each.message for each in caplog.records] == ["requests cannot be answered"]
