from __future__ import annotations

import socket
import time

import pytest
from tests.serving.load.servers import answered, serving

from esteira.base.errors import ServiceUnreachable
from esteira.serving.load.plan import Ask, LoadPlan
from esteira.serving.load.process import LoadFailed, LoadProcess, run_load


def plan(url: str, **options: object) -> LoadPlan:
    given: dict[str, object] = {"url": url, "asks": (Ask("/a", b"\xff{}"),), "seconds": 0.2, "warmup_s": 0.0}
    return LoadPlan(**{**given, **options})


def test_a_load_from_a_process_of_its_own_comes_back_as_a_report() -> None:
    with serving(lambda _number, _request: answered()) as server:
        report = run_load(plan(server.url, connections=2))
    assert report.answers == {200: len(server.requests)}
    assert report.latency.count == len(server.requests)
    assert report.cpu_seconds > 0
    assert server.requests[0].endswith(b"\xff{}")


def test_a_server_that_is_not_there_is_said_by_its_address() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(ServiceUnreachable, match=url):
        run_load(plan(url))


def test_a_load_that_breaks_says_why() -> None:
    check = "tests.no_such_check:check"
    with serving(lambda *_: answered()) as server, pytest.raises(LoadFailed, match="no_such_check"):
        run_load(plan(server.url, check=check))


def test_a_load_that_is_not_waited_for_is_ended() -> None:
    with serving(lambda _number, _request: answered()) as server:
        with LoadProcess(plan(server.url, seconds=60.0)) as load:
            while not server.requests:
                time.sleep(0.01)
        asked = len(server.requests)
        assert load._process is not None
        assert load._process.returncode is not None
        time.sleep(0.1)
        assert len(server.requests) <= asked + 1


def test_a_load_has_no_result_before_it_starts() -> None:
    with pytest.raises(LoadFailed, match="not started"):
        LoadProcess(plan("http://127.0.0.1:1")).result()
