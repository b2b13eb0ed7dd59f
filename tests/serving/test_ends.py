"""How a gateway ends: readiness first, then connections, then the process; what was begun is answered."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from tests.serving.test_process import TWO_WORKERS, Caller, Load, children, deploy, is_running, logged, until
from tests.serving.worlds import project

from esteira.serving.process import GatewayProcess

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.base.settings import Settings

pytestmark = pytest.mark.slow

DRAIN_S = 0.8


def served(tmp_path: Path, lines: str = "") -> Settings:
    settings = project(tmp_path / "p", TWO_WORKERS + lines)
    deploy(settings, -1.0)
    return settings


def connect(gateway: GatewayProcess) -> socket.socket:
    address = urlsplit(gateway.url)
    return socket.create_connection((address.hostname, address.port), timeout=10)


def status(gateway: GatewayProcess, path: str) -> int:
    with connect(gateway) as caller:
        caller.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return int(caller.recv(4096).split()[1])


def test_while_it_drains_nobody_new_is_asked_for_and_who_comes_is_served(tmp_path: Path) -> None:
    settings = served(tmp_path, f"drain_ms = {DRAIN_S * 1000:.0f}\n")
    gateway = GatewayProcess(settings.root, port=0).start()
    assert {status(gateway, "/v2/health/ready") for _ in range(10)} == {200}
    address = urlsplit(gateway.url)
    kept = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
    kept.request("GET", "/v2/health/live")
    kept.getresponse().read()
    os.kill(gateway.pid, signal.SIGTERM)
    begun = time.monotonic()
    time.sleep(0.05)
    for _ in range(10):  # connections of their own: either worker
        assert status(gateway, "/v2/health/ready") == 503
        assert status(gateway, "/ping") == 404
        assert status(gateway, "/v2/health/live") == 200
    with Caller(gateway.url) as caller:
        assert caller.infer("late-comer")[0] == 200
    kept.request("GET", "/v2/health/live")  # on a connection that was kept alive
    answer = kept.getresponse()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert until(lambda: not is_running(gateway.pid))
    assert time.monotonic() - begun >= DRAIN_S
    assert gateway.stop() == 0  # there is nobody to ask: it has ended so
    assert [each["id"] for each in logged(settings)] == ["late-comer"]


@pytest.mark.parametrize("drain_ms", [0, 300])
def test_a_stop_under_load_answers_every_request_that_was_begun(tmp_path: Path, drain_ms: int) -> None:
    settings = served(tmp_path, f"drain_ms = {drain_ms}\n")
    gateway = GatewayProcess(settings.root, port=0).start()
    load = Load(gateway.url, threads=4)  # each asks on and on over one connection
    time.sleep(0.5)
    assert gateway.stop() == 0
    load.end()
    assert {status for _, _, status, _ in load.answers} == {200}
    answered = {name for _, name, _, _ in load.answers}
    assert len(answered) > 50
    assert {each["id"] for each in logged(settings)} == answered


def test_who_never_ends_the_head_of_a_request_or_says_nothing_is_sent_away(tmp_path: Path) -> None:
    settings = served(tmp_path, "header_ms = 500\n")
    with GatewayProcess(settings.root, port=0) as gateway:
        with connect(gateway) as head, connect(gateway) as silent, connect(gateway) as idle:
            head.sendall(b"GET /v2 HTT")
            idle.sendall(b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert idle.recv(4096).startswith(b"HTTP/1.1 200")
            for each in (head, silent, idle):
                assert each.recv(4096) == b""
        assert status(gateway, "/v2/health/live") == 200


def test_connections_beyond_the_limit_wait_for_one_to_close(tmp_path: Path) -> None:
    settings = project(tmp_path / "p", '[project]\nname = "late"\n[gateway]\nconnections = 2\n')
    with GatewayProcess(settings.root, port=0) as gateway:
        time.sleep(0.2)  # until the connection that asked whether it lives is closed
        first, second, third = (connect(gateway) for _ in range(3))
        with first, second, third:
            for each in (first, second, third):
                each.sendall(b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n")
                time.sleep(0.1)
            assert first.recv(100).startswith(b"HTTP/1.1 200")
            assert second.recv(100).startswith(b"HTTP/1.1 200")
            third.settimeout(0.5)
            with pytest.raises(TimeoutError):
                third.recv(100)
            first.close()
            third.settimeout(10)
            assert third.recv(100).startswith(b"HTTP/1.1 200")


def test_a_worker_that_dies_in_a_drain_is_replaced_and_a_second_signal_ends_it(tmp_path: Path) -> None:
    settings = served(tmp_path, "drain_ms = 60000\n")
    gateway = GatewayProcess(settings.root, port=0).start()
    workers = children(gateway.pid)
    os.kill(gateway.pid, signal.SIGTERM)
    time.sleep(0.1)
    os.kill(workers[0], signal.SIGKILL)
    deadline = time.monotonic() + 6
    while len(now := children(gateway.pid)) < 2 or workers[0] in now:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1.0)
    assert {status(gateway, "/v2/health/ready") for _ in range(20)} == {503}
    begun = time.monotonic()
    assert gateway.stop() == 0  # the second signal
    assert time.monotonic() - begun < 30
