from __future__ import annotations

import select
import socket
import time

import pytest

from esteira.serving.load.polling import READ, WRITE, Poller


@pytest.mark.parametrize("has_epoll", [True, False])
def test_what_can_be_read_or_written_is_said(*, has_epoll: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_epoll:
        monkeypatch.delattr(select, "epoll", raising=False)
    poller = Poller()
    near, far = socket.socketpair()
    with near, far:
        poller.register(near.fileno(), READ)
        assert poller.wait(0.001) == []
        far.send(b"x")
        assert poller.wait(0.001) == [(near.fileno(), READ)]
        poller.modify(near.fileno(), READ | WRITE)
        assert poller.wait(5.0) == [(near.fileno(), READ | WRITE)]
        poller.unregister(near.fileno())
        assert poller.wait(0.0) == []


def test_a_wait_without_news_ends() -> None:
    started = time.perf_counter()
    assert Poller().wait(0.02) == []
    assert time.perf_counter() - started >= 0.015
