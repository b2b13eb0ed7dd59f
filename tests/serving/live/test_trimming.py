from __future__ import annotations

import gc
import weakref

from esteira.serving.live.trimming import Trimming


class Held:
    """Something that can be let go."""


def test_memory_is_given_back_after_the_last_reference_has_gone() -> None:
    trimming = Trimming(every_s=0)
    held = Held()
    trimming.watch(held)
    pinned = [held]
    del held
    assert not trimming.tick()
    pinned.clear()
    assert trimming.tick()
    assert not trimming.tick()


def test_what_refers_to_itself_is_collected_now_and_then() -> None:
    trimming = Trimming(every_s=0, collect_s=60)
    gc.disable()
    try:
        circles = [Held() for _ in range(2)]
        for each in circles:
            each.__dict__["me"] = each
        seen = [weakref.ref(each) for each in circles]
        trimming.watch(Held())
        circles.pop(0)
        del each
        assert trimming.tick()
        assert [ref() is None for ref in seen] == [True, False]
        circles.clear()
        trimming.watch(Held())
        assert trimming.tick()
        assert seen[1]() is not None  # not that often
    finally:
        gc.enable()


def test_it_is_not_done_more_often_than_asked() -> None:
    trimming = Trimming(every_s=60)
    trimming.watch(Held())
    assert trimming.tick()
    trimming.watch(Held())
    assert not trimming.tick()
