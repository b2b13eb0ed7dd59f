from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from esteira.base.errors import EsteiraError
from esteira.serving.live.loads import LoadHangs, Loads
from esteira.serving.routes import Arm


def arm(digest: str, version: int = 1) -> Arm:
    return Arm("champion", version, digest, 1.0)


class Shelf:
    """Loads what it is asked for; some hang until they are let go, some break."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.let_go = threading.Event()

    def load(self, wanted: Arm) -> Any:
        self.begun.append(wanted.digest)
        if wanted.digest.startswith("hang"):
            self.let_go.wait(20)
        if wanted.digest.startswith("broken"):
            raise EsteiraError("broken")
        return f"loaded {wanted.digest}"


@pytest.fixture
def shelf() -> Any:
    shelf = Shelf()
    yield shelf
    shelf.let_go.set()


def threads() -> int:
    return sum(each.name == "load" for each in threading.enumerate())


def until(condition: Any) -> bool:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return bool(condition())


def test_a_version_is_loaded_once_however_many_ask(shelf: Shelf) -> None:
    loads = Loads(shelf.load, 60)
    found = {id(loads.start(arm("hang"))) for _ in range(10)}
    shelf.let_go.set()
    assert len(found) == 1
    assert loads.wait(loads.start(arm("a"))) == "loaded a"
    assert shelf.begun.count("hang") == 1


def test_what_breaks_is_raised_to_who_waits_and_may_be_tried_again(shelf: Shelf) -> None:
    loads = Loads(shelf.load, 60)
    for _ in range(2):
        with pytest.raises(EsteiraError, match="broken"):
            loads.wait(loads.start(arm("broken")))
        assert until(lambda: threads() == 0)
    assert shelf.begun == ["broken", "broken"]


def test_a_few_at_a_time_and_the_urgent_first(shelf: Shelf) -> None:
    loads = Loads(shelf.load, 60, at_once=1)
    loads.start(arm("hang"))
    assert until(lambda: shelf.begun == ["hang"])
    rest = [loads.start(arm(name), is_urgent=name == "urgent") for name in ("a", "b", "urgent")]
    assert threads() == 1
    shelf.let_go.set()
    for each in rest:
        loads.wait(each)
    assert shelf.begun == ["hang", "urgent", "a", "b"]


def test_loads_that_hang_hold_up_nobody_else(shelf: Shelf) -> None:
    loads = Loads(shelf.load, 0.1, at_once=2)
    hanging = [loads.start(arm(f"hang{n}")) for n in range(4)]
    for each in hanging:
        with pytest.raises(LoadHangs, match="load_seconds"):
            loads.wait(each)
    assert loads.wait(loads.start(arm("a"))) == "loaded a"


def test_a_version_that_hangs_is_not_begun_again_until_its_thread_ends(shelf: Shelf) -> None:
    loads = Loads(shelf.load, 0.05)
    for _ in range(5):
        with pytest.raises(LoadHangs):
            loads.wait(loads.start(arm("hang")))
    assert shelf.begun == ["hang"]
    assert threads() == 1
    shelf.let_go.set()
    assert until(lambda: threads() == 0)
    assert loads.wait(loads.start(arm("hang"))) == "loaded hang"


def test_whoever_waits_for_its_turn_too_waits_no_longer_than_a_load_may_take(shelf: Shelf) -> None:
    loads = Loads(shelf.load, 0.2, at_once=1)
    for name in ("hang", "hang2", "hang3"):
        loads.start(arm(name))
    began = time.monotonic()
    with pytest.raises(LoadHangs, match="version 4 "):
        loads.load(arm("hang4", 4))  # its turn comes after 0.6 s
    assert time.monotonic() - began < 0.6
    shelf.let_go.set()
    with pytest.raises(EsteiraError, match="broken"):
        loads.load(arm("broken"))
    assert loads.load(arm("a")) == "loaded a"


def test_the_threads_end_with_the_work(shelf: Shelf) -> None:
    loads = Loads(shelf.load, 60)
    for each in [loads.start(arm(str(n))) for n in range(50)]:
        loads.wait(each)
    assert until(lambda: threads() == 0)
    assert loads._free == 2


def test_a_load_that_ends_just_as_it_is_given_up_counts_its_place_once(shelf: Shelf) -> None:
    loads = Loads(shelf.load, 0.0, at_once=2)
    for n in range(200):
        load = loads.start(arm(f"x{n}"))
        loads.expire()
        load.wait(5)
    assert until(lambda: threads() == 0)
    assert loads._free == 2
