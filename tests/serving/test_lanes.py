from __future__ import annotations

import asyncio
import gc
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

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

    def predict_row(self, row: list[float]) -> float:
        return float(self.predict(np.array([row]))[0])

    def predict(self, matrix: Any) -> Any:
        self.calls.append(len(matrix))
        time.sleep(self.fixed_s + self.row_s * len(matrix))
        if (matrix < 0).any():
            raise BadInput("no negative numbers")
        return matrix[:, 0]


class Known(Cost):
    """A cost that is known, whatever a busy machine measures."""

    def __init__(self, runtime: Slow) -> None:
        super().__init__()
        self.fixed, self.per_row, self.is_fitted = runtime.fixed_s, runtime.row_s, True

    def observe(self, rows: int, seconds: float) -> None:
        """There is nothing to learn."""


class World:
    def __init__(self, runtime: Slow, *, parallel: int = 1, most_waiting: int = 1_000) -> None:
        loaded = LoadedModel(Model("slow", ONE, {}), runtime, None, None, RowDecoder(ONE), Known(runtime))
        self.loaded = LoadedArm(Arm("champion", 1, "ab", 1.0), loaded)
        self.metrics = Metrics()
        threads = ThreadPoolExecutor(4)
        self.lanes = Lanes(threads, self.metrics, parallel=parallel, most_waiting=most_waiting)

    async def ask(self, rows: Sequence[float], deadline_s: float = 30.0) -> list[float]:
        asked = Asked("late", self.loaded, "champion", 1, "a", "a", 0, 0.0)
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
    assert world.metrics.read()["esteira_queue_depth"][("late",)] == [0.0]


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
    light, unknown = World(Slow(fixed_s=1e-5)), World(Slow(fixed_s=0.0))
    assert not light.lanes.is_heavy(light.loaded, work)
    assert unknown.lanes.is_heavy(unknown.loaded, work)
