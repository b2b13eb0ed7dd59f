from __future__ import annotations

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from tests.serving.worlds import World, open_guard, tree_model

from esteira.serving.http.rsgi import RsgiApplication
from esteira.serving.http.site import Site
from esteira.serving.lanes import Lanes
from esteira.serving.live.availability import NotLoaded
from esteira.serving.mirroring.plans import Plan
from esteira.serving.pushes import PushTable
from esteira.serving.routes import Shadow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from esteira.monitoring.push_log import Push
    from esteira.serving.http.messages import Pending, Request, Response

LIMIT = 500
BODY = b'{"inputs":{"miles":1,"carrier":"UA"}}'


class Scope:
    """RSGI's request, as granian gives it."""

    def __init__(self, method: str, path: str, headers: dict[str, str]) -> None:
        self.method, self.headers = method, headers
        self.path, _, self.query_string = path.partition("?")


class Exchange:
    """RSGI's body in chunks, and the response that was sent."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks, self.read = chunks, 0
        self.sent: list[tuple[int, list[tuple[str, str]], bytes]] = []

    async def __call__(self) -> bytes:
        self.read = len(self.chunks)
        return b"".join(self.chunks)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            self.read += 1
            yield chunk

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.sent.append((status, headers, body))


@pytest.fixture
def application(tmp_path: Path) -> RsgiApplication:
    world = World(tmp_path)
    world.deploy(tree_model(-1.0))
    return application_of(world)


def application_of(world: World, **options: Any) -> RsgiApplication:
    lanes = Lanes(ThreadPoolExecutor(2), world.metrics, parallel=1, most_waiting=4)
    site = Site(world.gateway, open_guard(), max_body_bytes=options.pop("limit", LIMIT))
    return RsgiApplication(site, lanes, world.gateway.close, deadline_s=options.pop("deadline_s", 1.0))


def ask(application: RsgiApplication, scope: Scope, exchange: Exchange) -> int:
    asyncio.run(application.__rsgi__(scope, exchange))
    ((status, _, _),) = exchange.sent
    return status


def test_a_request_is_answered_with_its_headers(application: RsgiApplication) -> None:
    exchange = Exchange(BODY)
    headers = {"content-length": str(len(BODY)), "x-esteira-id": "f1"}
    assert ask(application, Scope("POST", "/invocations", headers), exchange) == 200
    ((_, sent, body),) = exchange.sent
    assert sent[0] == ("content-type", "application/json")
    assert ("x-esteira-id", "f1") in sent
    assert body.startswith(b'{"predictions":[')


def test_a_get_reads_no_body(application: RsgiApplication) -> None:
    exchange = Exchange(b"x" * LIMIT * 2)
    assert ask(application, Scope("GET", "/v2/health/live", {}), exchange) == 200
    assert exchange.read == 0


def test_what_follows_the_question_mark_reaches_the_handler(application: RsgiApplication) -> None:
    exchange = Exchange()
    assert ask(application, Scope("GET", "/features/weather?origin=a&origin=b", {}), exchange) == 400
    assert b"given twice" in exchange.sent[0][2]


def test_a_declared_body_over_the_limit_is_not_read(application: RsgiApplication) -> None:
    exchange = Exchange(b"x" * (LIMIT + 1))
    headers = {"content-length": str(LIMIT + 1)}
    assert ask(application, Scope("POST", "/invocations", headers), exchange) == 413
    assert exchange.read == 0


def test_a_body_of_unknown_length_is_read_up_to_the_limit(application: RsgiApplication) -> None:
    exchange = Exchange(*[b"x" * 100] * 50)
    assert ask(application, Scope("POST", "/invocations", {}), exchange) == 413
    assert exchange.read == LIMIT // 100 + 1
    exchange = Exchange(BODY[:10], BODY[10:])
    assert ask(application, Scope("POST", "/invocations", {}), exchange) == 200


def test_a_length_that_is_no_number_is_not_believed(application: RsgiApplication) -> None:
    exchange = Exchange(BODY)
    assert ask(application, Scope("POST", "/invocations", {"content-length": "many"}), exchange) == 200


def test_a_push_that_waits_for_the_disk_holds_up_no_one_else(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.push_tables.publish([PushTable("readings", pa.schema({"x": pa.int64()}))])
    world.gateway.pushes.follow()
    application = application_of(world)
    begun, disk, others = threading.Event(), threading.Event(), Exchange()
    keep = world.pushed.keep

    def slow(table: str, push: Push) -> None:
        begun.set()
        assert disk.wait(10)
        keep(table, push)

    world.pushed.keep = slow
    pushed = Exchange(b'{"rows":[{"x":1}]}')

    async def both() -> None:
        waiting = asyncio.create_task(application.__rsgi__(Scope("POST", "/push/readings", {}), pushed))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        await application.__rsgi__(Scope("GET", "/v2/health/live", {}), others)
        assert (len(others.sent), pushed.sent) == (1, [])
        disk.set()
        await waiting

    asyncio.run(both())
    assert (pushed.sent[0][0], len(world.pushed.records)) == (202, 1)


class Slow:
    """A runtime that sleeps without the interpreter's lock, and counts the rows of each call."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.calls = seconds, list[int]()

    def predict_row(self, row: list[float]) -> float:
        return float(self.predict(np.array([row]))[0])

    def predict(self, matrix: Any) -> Any:
        self.calls.append(len(matrix))
        time.sleep(self.seconds)
        return matrix[:, 0] * 1.0


def slow_world(root: Path, seconds: float) -> tuple[World, Slow]:
    """A world whose model is known to be heavy."""
    world, runtime = World(root), Slow(seconds)
    world.deploy(tree_model(-1.0))
    champion = world.live.models["late"].champion
    champion.runtime = runtime
    champion.cost.observe(1, seconds)
    return world, runtime


def body_of(miles: int) -> bytes:
    return b'{"inputs":{"miles":%d,"carrier":"UA"}}' % miles


async def ask_all(application: RsgiApplication, count: int, headers: dict[str, str]) -> list[Exchange]:
    exchanges = [Exchange(body_of(number)) for number in range(count)]
    scope = Scope("POST", "/invocations", headers)
    await asyncio.gather(*(application.__rsgi__(scope, each) for each in exchanges))
    return exchanges


def test_requests_for_a_heavy_model_are_answered_each_with_its_own_score_and_in_company(
    tmp_path: Path,
) -> None:
    world, runtime = slow_world(tmp_path, 0.05)
    lanes = Lanes(ThreadPoolExecutor(2), world.metrics, parallel=1, most_waiting=50)
    application = RsgiApplication(
        Site(world.gateway, open_guard(), max_body_bytes=LIMIT), lanes, world.gateway.close, deadline_s=5.0
    )
    exchanges = asyncio.run(ask_all(application, 20, {}))
    for number, exchange in enumerate(exchanges):
        ((status, _, body),) = exchange.sent
        assert (status, body) == (200, b'{"predictions":[%.1f]}' % number)
    assert runtime.calls == [1, 19]
    assert sorted(each.vector[0] for each in world.predictions.records) == [*map(float, range(20))]


def test_the_event_loop_is_free_while_a_heavy_model_works(tmp_path: Path) -> None:
    world, _ = slow_world(tmp_path, 0.2)
    application = application_of(world)
    heavy, light = Exchange(body_of(1)), Exchange()

    async def both() -> None:
        waiting = asyncio.create_task(application.__rsgi__(Scope("POST", "/invocations", {}), heavy))
        await asyncio.sleep(0.01)
        await application.__rsgi__(Scope("GET", "/v2/health/live", {}), light)
        assert (len(light.sent), heavy.sent) == (1, [])
        await waiting

    asyncio.run(both())
    assert heavy.sent[0][0] == 200


def test_a_full_line_refuses_at_once_and_says_when_to_come_back(tmp_path: Path) -> None:
    world, _ = slow_world(tmp_path, 0.05)
    application = application_of(world)  # where four may wait
    exchanges = asyncio.run(ask_all(application, 8, {}))
    statuses = [each.sent[0][0] for each in exchanges]
    assert statuses == [200] * 5 + [429] * 3
    _, headers, body = exchanges[-1].sent[0]
    assert ("retry-after", "1") in headers
    assert json.loads(body)["error_code"] == "REQUEST_LIMIT_EXCEEDED"


def test_whoever_would_wait_beyond_its_deadline_is_refused_before_it_waits(tmp_path: Path) -> None:
    world, runtime = slow_world(tmp_path, 0.2)
    exchanges = asyncio.run(ask_all(application_of(world), 3, {"x-esteira-deadline-ms": "100"}))
    assert [each.sent[0][0] for each in exchanges] == [200, 503, 503]
    assert runtime.calls == [1]


def test_the_time_that_a_model_takes_to_come_is_not_given_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, runtime = slow_world(tmp_path, 0.02)
    application = application_of(world, deadline_s=0.1)
    begin = application.site.begin

    def begin_cold(request: Request, *, may_wait: bool = True) -> Response | Pending:
        if may_wait:
            raise NotLoaded("late")
        return begin(request, may_wait=False)

    monkeypatch.setattr(application.site, "begin", begin_cold)
    monkeypatch.setattr(world.live, "bring", lambda _: time.sleep(0.15))

    async def ask_both() -> list[Exchange]:
        return [
            *await ask_all(application, 1, {"x-esteira-deadline-ms": "100"}),
            *await ask_all(application, 1, {}),
        ]

    late, patient = asyncio.run(ask_both())
    assert (late.sent[0][0], patient.sent[0][0]) == (503, 200)
    assert runtime.calls == [1]


def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("esteira.serving.http.rsgi.BODY_S", 0.02)
    monkeypatch.setattr("esteira.serving.http.rsgi._LOOK_S", 0.01)
    world = World(tmp_path)
    application = application_of(world)

    class Stuck(Exchange):
        async def __call__(self) -> bytes:
            await asyncio.sleep(0.2)
            return b"late"

    stuck = Stuck()

    async def ask_stuck() -> None:
        application.__rsgi_init__(asyncio.get_running_loop())
        await application.__rsgi__(Scope("POST", "/invocations", {"content-length": "4"}), stuck)

    asyncio.run(ask_stuck())
    assert [status for status, _, _ in stuck.sent] == [408]


def test_a_loop_that_lags_beyond_the_deadline_refuses(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.deploy(tree_model(-1.0))
    application = application_of(world, deadline_s=0.05)

    async def lag() -> list[int]:
        application.__rsgi_init__(asyncio.get_running_loop())
        await asyncio.sleep(0.03)
        time.sleep(0.2)  # what too many requests at once do
        await asyncio.sleep(0.001)
        late, later = Exchange(BODY), Exchange(BODY)
        await application.__rsgi__(Scope("POST", "/invocations", {}), late)
        await asyncio.sleep(0.1)
        await application.__rsgi__(Scope("POST", "/invocations", {}), later)
        return [late.sent[0][0], later.sent[0][0]]

    assert asyncio.run(lag()) == [503, 200]


def test_closing_closes_what_was_opened(tmp_path: Path) -> None:
    world = World(tmp_path)
    application = application_of(world)
    loop = asyncio.new_event_loop()
    application.__rsgi_del__(loop)
    loop.close()
    assert world.predictions.is_closed


def test_what_was_answered_is_mirrored_after_the_reply_and_what_was_not_is_not(tmp_path: Path) -> None:
    world = World(tmp_path)
    routes = world.deploy(tree_model(-1.0))
    application, taken = application_of(world), list[tuple[str, bytes]]()
    exchange, mirror = Exchange(BODY), world.gateway.mirror

    def take(chosen: Any, door: str, _headers: object, body: bytes) -> None:
        assert exchange.sent  # the caller has its answer by now
        taken.append((f"{chosen.id} {door}", body))

    mirror.take = take  # to see when it is called
    headers = {"x-esteira-id": "f1"}
    assert ask(application, Scope("POST", "/invocations", headers), exchange) == 200
    assert taken == []
    mirror.plans = {"late": Plan(replace(routes, shadows=(Shadow("next", 2, "b", 1.0),)))}
    exchange = Exchange(BODY)
    assert ask(application, Scope("POST", "/invocations", headers), exchange) == 200
    for path, body in (("/invocations", b"{}"), ("/labels", b'[{"id":"f1","value":1}]')):
        exchange = Exchange(body)
        assert ask(application, Scope("POST", path, {}), exchange) in {202, 400}
    exchange = Exchange()
    assert ask(application, Scope("GET", "/v2", {}), exchange) == 200
    assert taken == [("f1 mlflow", BODY)]
