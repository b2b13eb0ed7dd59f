from __future__ import annotations

import asyncio
import threading

import pytest

from esteira.serving.streams.loop_thread import LoopThread


async def failing() -> None:
    raise LookupError("here")


async def name_of_thread() -> str:
    return threading.current_thread().name


def test_what_a_coroutine_gives_or_raises_reaches_the_caller() -> None:
    loop = LoopThread("loop")
    assert loop.call(name_of_thread()) == "loop"
    with pytest.raises(LookupError, match="here"):
        loop.call(failing())
    loop.close()


def test_the_loop_goes_on_between_calls_and_ends_what_still_runs() -> None:
    loop, heard = LoopThread("loop"), threading.Event()
    ended: list[str] = []

    async def beat() -> None:
        try:
            await asyncio.sleep(0.01)
            heard.set()
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def begin() -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(beat())

    task = loop.call(begin())
    assert heard.wait(5)
    loop.close()
    loop.close()
    assert ended == ["cancelled"]
    assert task.cancelled()
