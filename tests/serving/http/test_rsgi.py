from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.serving.worlds import World, tree_model

from esteira.serving.http.rsgi import RsgiApplication
from esteira.serving.http.site import Site
from esteira.serving.pushes import PushTable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from esteira.monitoring.push_log import Push

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
    return RsgiApplication(Site(world.gateway, max_body_bytes=LIMIT), world.gateway.close)


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
    application = RsgiApplication(Site(world.gateway, max_body_bytes=LIMIT), world.gateway.close)
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


def test_closing_closes_what_was_opened(tmp_path: Path) -> None:
    world = World(tmp_path)
    application = RsgiApplication(Site(world.gateway, max_body_bytes=LIMIT), world.gateway.close)
    loop = asyncio.new_event_loop()
    application.__rsgi_del__(loop)
    loop.close()
    assert world.predictions.is_closed
