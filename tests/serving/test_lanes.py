from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from esteira.base.errors import BadInput
from esteira.registry.bundle import Model
from esteira.registry.signature import Column, Signature
from esteira.serving.costs import Cost
from esteira.serving.decoders import RowDecoder
from esteira.serving.gateway import Asked
from esteira.serving.lanes import MOST_ROWS, Lanes, Refused
from esteira.serving.live.arms import LoadedArm, LoadedModel
from esteira.serving.routes import Arm
from esteira.serving.telemetry.metrics import Metrics
from esteira.serving.work import ColumnsWork

if TYPE_CHECKING:
    from collections.abc import Sequence

ONE = Signature((Column("x"),), "y")


class Slow:
    """A runtime with a cost, that refuses negative numbers."""

    def __init__(self, fixed_s: float = 0.02, row_s: float = 0.0) -> None:
        self.fixed_s, self.row_s, self.calls = fixed_s, row_s, list[int]()
        self.running, self.most_running = 0, 0
        self.turns = threading.Semaphore(10_000)  # calls that may answer

    def predict_row(self, row: list[float]) -> float:
        return float(self.predict(np.array([row]))[0])

    def predict(self, matrix: Any) -> Any:
        self.calls.append(len(matrix))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        time.sleep(self.fixed_s + self.row_s * len(matrix))
        self.turns.acquire(timeout=10)
        self.running -= 1
        if (matrix < 0).any():
            raise BadInput("no negative numbers")
        return matrix[:, 0]


async def begun(runtime: Slow, *calls: int) -> None:
    """Wait until calls of so many rows were begun."""
    for _ in range(5_000):
        if runtime.calls == [*calls]:
            return
        await asyncio.sleep(0.001)
    raise AssertionError(f"calls of {calls} rows, found {runtime.calls}")


class Known(Cost):
    """A cost that is known, whatever a busy machine measures."""

    def __init__(self, runtime: Slow) -> None:
        super().__init__()
        super().observe(MOST_ROWS, 1.0)
        self.fixed, self.per_row, self.is_fitted = runtime.fixed_s, runtime.row_s, True

    def observe(self, rows: int, seconds: float) -> None:
        """There is nothing to learn."""


class World:
    def __init__(
        self, runtime: Slow, *, parallel: int = 1, most_waiting: int = 1_000, threads: int = 4
    ) -> None:
        self.runtime, self.loaded = runtime, self.version(1, runtime)
        self.metrics = Metrics()
        self.threads = ThreadPoolExecutor(threads)
        self.lanes = Lanes(self.threads, self.metrics, parallel=parallel, most_waiting=most_waiting)

    @staticmethod
    def version(number: int, runtime: Slow) -> LoadedArm:
        loaded = LoadedModel(Model("slow", ONE, {}), runtime, None, None, RowDecoder(ONE), Known(runtime))
        return LoadedArm(Arm("champion", number, "ab", 1.0), loaded)

    @property
    def waiting_rows(self) -> float:
        return self.metrics.read()["esteira_queue_depth"][("late",)][0]

    async def ask(
        self, rows: Sequence[float], deadline_s: float = 30.0, loaded: LoadedArm | None = None
    ) -> list[float]:
        asked = Asked("late", loaded or self.loaded, "champion", 1, "a", "a", 0, 0.0)
        work = ColumnsWork([[each] for each in rows])
        return (await self.lanes.score(asked, work, deadline_s)).scores

    def ask_all(self, *requests: Sequence[float], deadline_s: float = 30.0) -> list[Any]:
        async def gather() -> list[Any]:
            asking = (self.ask(rows, deadline_s) for rows in requests)
            return await asyncio.gather(*asking, return_exceptions=True)

        return asyncio.run(gather())


def test_a_request_that_finds_nobody_is_asked_at_once_and_alone() -> None:
    runtime = Slow()
    world = World(runtime)
    assert world.ask_all([3.0]) == [[3.0]]
    assert runtime.calls == [1]


def test_what_came_meanwhile_goes_in_one_call_and_each_gets_its_own() -> None:
    runtime = Slow()
    world = World(runtime)
    requests = [[float(n)] * (n % 3 + 1) for n in range(30)]
    assert world.ask_all(*requests) == requests
    assert runtime.calls == [1, 59]
    rows = world.metrics.read()["esteira_batch_rows"][("late",)]
    assert rows[-1] == 60
    assert world.waiting_rows == 0


def test_a_call_takes_no_more_rows_than_it_may() -> None:
    runtime = Slow()
    world = World(runtime)
    world.ask_all([1.0], *[[2.0] * 400] * 6)
    assert runtime.calls == [1, 800, 800, 800]
    assert max(runtime.calls) <= MOST_ROWS


def test_where_all_the_cost_is_in_the_rows_nobody_is_joined() -> None:
    runtime = Slow(fixed_s=0.0, row_s=0.002)
    world = World(runtime)
    world.ask_all(*[[float(n)] for n in range(20)])
    assert runtime.calls == [1] * 20


def test_a_request_that_the_model_refuses_spoils_it_for_nobody_else() -> None:
    world = World(Slow())
    first, good, bad, other = world.ask_all([1.0], [2.0], [-1.0], [3.0])
    assert (first, good, other) == ([1.0], [2.0], [3.0])
    assert isinstance(bad, BadInput)
    assert world.ask_all([4.0]) == [[4.0]]


def test_after_a_joined_call_failed_each_is_asked_alone_in_its_turn() -> None:
    runtime = Slow()
    world = World(runtime)
    first, second, bad, *others = world.ask_all([1.0], [2.0], [-1.0], [3.0], [4.0])
    assert (first, second, *others) == ([1.0], [2.0], [3.0], [4.0])
    assert isinstance(bad, BadInput)
    assert runtime.calls == [1, 4, 1, 1, 1, 1]
    assert runtime.most_running == 1
    assert world.waiting_rows == 0


def test_what_failed_together_is_asked_before_what_came_later_and_not_joined_with_it() -> None:
    runtime = Slow()
    runtime.turns = threading.Semaphore(0)
    world = World(runtime)

    async def ask() -> list[Any]:
        early = [asyncio.ensure_future(world.ask([n])) for n in (1.0, 2.0, -1.0)]
        runtime.turns.release()
        await begun(runtime, 1, 2)
        later = [asyncio.ensure_future(world.ask([n, n])) for n in (3.0, 4.0)]
        await asyncio.sleep(0)
        runtime.turns.release(9)
        return await asyncio.gather(*early, *later, return_exceptions=True)

    assert asyncio.run(ask())[3:] == [[3.0, 3.0], [4.0, 4.0]]
    assert runtime.calls == [1, 2, 1, 1, 4]


def test_who_has_gone_or_is_late_when_a_joined_call_fails_is_not_asked_for_again() -> None:
    runtime = Slow()
    runtime.turns = threading.Semaphore(0)
    world = World(runtime)

    async def ask() -> list[Any]:
        given = (([1.0], 30.0), ([2.0], 30.0), ([-1.0], 30.0), ([3.0], 0.4))
        asking = [asyncio.ensure_future(world.ask(rows, deadline_s)) for rows, deadline_s in given]
        runtime.turns.release()
        await begun(runtime, 1, 3)
        asking[1].cancel()
        await asyncio.sleep(0.45)
        runtime.turns.release(9)
        return await asyncio.gather(*asking, return_exceptions=True)

    first, gone, bad, late = asyncio.run(ask())
    assert first == [1.0]
    assert isinstance(gone, asyncio.CancelledError)
    assert isinstance(bad, BadInput)
    assert isinstance(late, Refused)
    assert runtime.calls == [1, 3, 1]


def test_a_failure_of_the_books_loses_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(Slow())

    def fail(*_: object) -> None:
        raise ValueError("no such number")

    monkeypatch.setattr(Known, "observe", fail)
    assert world.ask_all(*[[float(n)] for n in range(4)]) == [[float(n)] for n in range(4)]


def test_a_model_that_ends_an_iteration_is_a_failure_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(*_: object) -> float:
        raise StopIteration

    world = World(Slow())
    monkeypatch.setattr(Slow, "predict_row", ended)
    (failed,) = world.ask_all([1.0], deadline_s=5.0)
    assert isinstance(failed, TypeError)
    monkeypatch.undo()
    assert world.ask_all([1.0]) == [[1.0]]


def test_a_joined_call_that_answers_with_too_few_scores_is_made_again_one_by_one() -> None:
    class Short(Slow):
        def predict(self, matrix: Any) -> Any:
            return super().predict(matrix)[: 1 if len(matrix) > 2 else None]

    world = World(Short())
    assert world.ask_all(*[[float(n)] for n in range(5)]) == [[float(n)] for n in range(5)]


def test_when_the_threads_end_everybody_is_told() -> None:
    world = World(Slow(), parallel=2, threads=1)
    world.runtime.turns = threading.Semaphore(0)

    async def ask() -> list[Any]:
        asking = [asyncio.ensure_future(world.ask([float(n)])) for n in range(6)]
        await begun(world.runtime, 1)
        world.threads.shutdown(wait=False, cancel_futures=True)
        world.runtime.turns.release(9)
        return await asyncio.wait_for(asyncio.gather(*asking, return_exceptions=True), 5)

    first, *others = asyncio.run(ask())
    assert first == [0.0]
    assert all(isinstance(each, Exception) for each in others)
    assert world.lanes.length == 0


def test_two_calls_run_at_once_where_there_are_two_cores() -> None:
    runtime = Slow(fixed_s=0.1)
    world = World(runtime, parallel=2)
    started = time.monotonic()
    world.ask_all([1.0], [2.0])
    assert time.monotonic() - started < 0.19
    assert runtime.calls == [1, 1]


def test_a_full_line_is_429_and_a_late_request_503() -> None:
    world = World(Slow(), most_waiting=2)
    answers = world.ask_all(*[[float(n)] for n in range(5)])
    refused = [each for each in answers if isinstance(each, Refused)]
    assert [(each.status, each.why) for each in refused] == [(429, "full")] * 2
    assert refused[0].headers == (("retry-after", "1"),)
    late = World(Slow(fixed_s=0.2))
    first, second = late.ask_all([1.0], [2.0], deadline_s=0.1)
    assert first == [1.0]
    assert (second.status, second.why) == (503, "late")


def test_what_waited_beyond_its_deadline_is_not_asked_any_more() -> None:
    runtime = Slow(fixed_s=0.15)
    world = World(runtime)
    world.loaded.cost.fixed = 0.01  # it seemed faster than it is
    first, second = world.ask_all([1.0], [2.0], deadline_s=0.05)
    assert first == [1.0]
    assert isinstance(second, Refused)
    assert runtime.calls == [1]


def test_who_waits_is_refused_at_its_deadline_though_the_call_before_takes_longer() -> None:
    runtime = Slow(fixed_s=0.6)
    world = World(runtime)
    world.loaded.cost.fixed = 0.001  # it seemed faster than it is

    async def ask() -> tuple[float, list[Any]]:
        started = time.monotonic()
        asking = [
            asyncio.ensure_future(world.ask([n], wait)) for n, wait in ((1.0, 9.0), (2.0, 9.0), (3.0, 0.1))
        ]
        with pytest.raises(Refused, match="beyond its deadline"):
            await asking[2]
        assert (world.waiting_rows, world.lanes.length) == (1, 2)
        return time.monotonic() - started, await asyncio.gather(*asking[:2])

    took, answers = asyncio.run(ask())
    assert 0.09 < took < 0.5
    assert answers == [[1.0], [2.0]]
    assert runtime.calls == [1, 1]


def test_a_request_that_was_refused_late_is_let_go_without_the_collector() -> None:
    world = World(Slow(fixed_s=0.1))
    world.loaded.cost.fixed = 0.001  # it seemed faster than it is

    async def ask() -> list[weakref.ref[Any]]:
        busy = asyncio.ensure_future(world.ask([1.0]))
        await begun(world.runtime, 1)
        lane = world.lanes._lanes[world.loaded]
        late = [asyncio.ensure_future(world.ask([2.0], 0.02)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting = [weakref.ref(each.done) for each in lane._waiting]
        assert all(isinstance(each, Refused) for each in await asyncio.gather(*late, return_exceptions=True))
        await busy
        return waiting

    gc.disable()
    try:
        assert [each() for each in asyncio.run(ask())] == [None] * 3
    finally:
        gc.enable()


def test_the_rows_that_wait_for_two_versions_of_a_model_are_added_up() -> None:
    world = World(Slow())
    world.runtime.turns = threading.Semaphore(0)
    other = world.version(2, world.runtime)

    async def ask() -> float:
        given = (([1.0], None), ([2.0] * 2, None), ([3.0], other), ([4.0] * 5, other))
        asking = [asyncio.ensure_future(world.ask(rows, loaded=loaded)) for rows, loaded in given]
        await asyncio.sleep(0)
        waiting = world.waiting_rows
        world.runtime.turns.release(9)
        await asyncio.gather(*asking)
        return waiting

    assert asyncio.run(ask()) == 7
    assert world.waiting_rows == 0


def test_a_caller_that_left_is_not_asked_for() -> None:
    runtime = Slow(fixed_s=0.05)
    world = World(runtime)

    async def leave() -> None:
        first = asyncio.ensure_future(world.ask([1.0]))
        second = asyncio.ensure_future(world.ask([2.0]))
        await asyncio.sleep(0.01)
        second.cancel()
        assert await first == [1.0]
        assert await world.ask([3.0]) == [3.0]

    asyncio.run(leave())
    assert runtime.calls == [1, 1]


def test_a_lane_goes_with_its_version() -> None:
    world = World(Slow())
    world.ask_all([1.0])
    assert len(world.lanes._lanes) == 1
    world.loaded = None
    deadline = time.monotonic() + 5
    while len(world.lanes._lanes) and time.monotonic() < deadline:  # the thread that asked lets go of it
        gc.collect()
        time.sleep(0.01)
    assert len(world.lanes._lanes) == 0


def test_only_what_is_known_to_be_heavy_leaves_the_loop() -> None:
    world = World(Slow())
    work = ColumnsWork([[1.0]])
    assert world.lanes.is_heavy(world.loaded, work)
    light, unknown = World(Slow(fixed_s=1e-5)), World(Slow())
    unknown.loaded.cost = Cost()
    assert not light.lanes.is_heavy(light.loaded, work)
    assert unknown.lanes.is_heavy(unknown.loaded, work)


def test_a_request_far_larger_than_any_that_was_timed_leaves_the_loop() -> None:
    world = World(Slow())
    world.loaded.cost = Cost()
    for rows in (1, 2, 1, 2):
        world.loaded.cost.observe(rows, 1e-6)
    light = [
        rows
        for rows in (1, 8, 9, 50_000)
        if not world.lanes.is_heavy(world.loaded, ColumnsWork([[1.0]] * rows))
    ]
    assert light == [1, 8]
