from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.serving.load.servers import HANG_UP, answered, serving, slowly

from esteira.base.errors import ServiceUnreachable
from esteira.serving.load.generator import Generator
from esteira.serving.load.plan import Ask, LoadPlan

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.serving.load.plan import LoadReport

OK = answered()


def plan(url: str, **options: object) -> LoadPlan:
    given: dict[str, object] = {"url": url, "asks": (Ask("/a", b"{}"),), "seconds": 0.3, "warmup_s": 0.0}
    return LoadPlan(**{**given, **options})


def loaded(url: str, **options: object) -> LoadReport:
    return Generator(plan(url, **options)).run()


def no_answer_is_long(status: int, body: bytes, place: int) -> str:
    return f"ask {place} got {body!r}" if status == 200 and len(body) > 2 else ""


def test_a_closed_loop_asks_again_when_it_has_its_answer() -> None:
    with serving(slowly(0.02, OK)) as server:
        report = loaded(server.url, connections=3)
    assert set(report.answers) == {200}
    assert 20 <= report.answers[200] <= 48
    assert report.latency.least >= 0.02
    assert report.failed == 0
    assert report.sent == len(server.requests) == report.answers[200]


def test_what_was_answered_in_the_warm_up_does_not_count() -> None:
    with serving(slowly(0.01, OK)) as server:
        report = loaded(server.url, warmup_s=0.2, seconds=0.1)
    assert report.answers[200] < report.sent
    assert report.sent == len(server.requests)


def test_an_open_loop_counts_from_the_moment_that_a_request_was_due() -> None:
    # One connection and 50 ms an answer: of 100 requests a second most wait for their turn.
    with serving(slowly(0.05, OK)) as server:
        report = loaded(server.url, rate=100.0, arrivals="constant", seconds=0.5)
    assert report.latency.quantile(0.9) > 0.2
    assert report.errors["unsent"] > 20
    assert report.latency.count + report.errors["unsent"] == pytest.approx(50, abs=2)


def test_an_open_loop_keeps_its_rate_when_there_is_room() -> None:
    with serving(lambda _number, _request: OK) as server:
        report = loaded(server.url, rate=200.0, arrivals="constant", connections=8, seconds=0.5)
    assert report.answers[200] == pytest.approx(100, abs=3)
    assert report.errors == {}


def test_refusals_are_told_apart_from_answers_and_failures() -> None:
    def answer(number: int, _request: bytes) -> bytes:
        return [OK, answered(b"", "503 Busy"), answered(b"", "500 Oh")][number % 3]

    with serving(answer) as server:
        report = loaded(server.url, most_requests=30)
    assert report.answers == {200: 10, 503: 10, 500: 10}
    assert (report.succeeded, report.refused, report.failed) == (10, 10, 10)
    assert (report.latency.count, report.refusals.count) == (10, 10)


def test_connections_that_end_are_told_by_how_and_opened_again() -> None:
    def answer(number: int, _request: bytes) -> bytes | None:
        if number % 4 == 1:
            return answered(b"bye", "200 OK", "connection: close")
        return None if number % 4 == 2 else b"what?" * 9 if number % 4 == 3 else OK[:20]

    with serving(answer) as server:
        report = loaded(server.url, most_requests=8, timeout_s=0.2, seconds=2.0)
    assert report.answers == {200: 2}
    assert report.errors == {"closed": 2, "not http": 2, "timeout": 2}


def test_a_response_that_breaks_off_is_cut() -> None:
    with serving(lambda _number, _request: OK[:20] + HANG_UP) as server:
        report = loaded(server.url, most_requests=2, timeout_s=2.0, seconds=1.0)
    assert report.errors == {"cut": 2}


def test_large_bodies_go_out_and_come_back_whole() -> None:
    large = b"x" * 3_000_000
    with serving(lambda _number, request: answered(request[-1000:] * 2000)) as server:
        report = loaded(server.url, asks=(Ask("/a", large),), most_requests=3, connections=2, seconds=5.0)
    assert report.answers == {200: 3}
    assert all(request.endswith(large) for request in server.requests)


def test_asks_are_sent_in_their_order_and_answers_are_checked_by_name() -> None:
    asks = tuple(Ask(f"/{name}", name.encode()) for name in "abc")
    check = "tests.serving.load.test_generator:no_answer_is_long"
    with serving(lambda _number, request: answered(b"long" if b"/c" in request else b"ok")) as server:
        report = loaded(server.url, asks=asks, order=(2, 0, 0), most_requests=6, check=check)
    assert [request.split()[1] for request in server.requests] == [b"/c", b"/a", b"/a"] * 2
    assert report.wrong == {"ask 2 got b'long'": 2}
    assert report.failed == 2


def test_a_load_speaks_to_ipv6_too() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        with serving(lambda _number, _request: OK, socket.AF_INET6) as server:
            report = loaded(server.url, most_requests=3)
    except OSError:
        pytest.skip("no IPv6 here")
    assert report.answers == {200: 3}


def test_a_server_that_is_not_there_is_said_before_the_load() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(ServiceUnreachable, match=f":{port}"):
        loaded(f"http://127.0.0.1:{port}")


def test_a_server_that_goes_away_does_not_hold_the_load_up() -> None:
    with serving(lambda number, _request: OK if number < 5 else None) as server:
        generator = Generator(plan(server.url, seconds=0.4))

        def answer_and_leave(number: int, _request: bytes) -> bytes | None:
            if number < 5:
                return OK
            server.close()
            return None

        server._answer = answer_and_leave
        started = time.perf_counter()
        report = generator.run()
    assert time.perf_counter() - started < 3.0
    assert report.answers == {200: 4}
    assert report.errors["closed"] >= 1
    assert report.errors["refused"] >= 1


def test_each_of_several_things_is_asked_once_and_its_answer_kept(tmp_path: Path) -> None:
    asks = tuple(Ask(f"/{number}", b"{}") for number in range(7))

    def echo(_number: int, request: bytes) -> bytes:
        path = request.split(b" ", 2)[1]
        return answered(b"busy", status="503 busy") if path == b"/5" else answered(path)

    with serving(echo) as server:
        place = tmp_path / "answers"
        report = loaded(server.url, asks=asks, connections=3, most_requests=7, seconds=60.0, keep=str(place))
    kept = msgspec.msgpack.decode(place.read_bytes(), type=dict[int, bytes])
    assert kept == {number: b"/%d" % number for number in range(7) if number != 5}
    assert (report.sent, report.answers) == (7, {200: 6, 503: 1})
    assert 0 < report.busy_s < 10
