from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from esteira.serving.servers.ending import Ending

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _handler_as_it_was() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


class Server:
    """What ends, and when it was told."""

    def __init__(self, drain_s: float) -> None:
        self.begun: list[float] = []
        self.stopped = threading.Event()
        self.ending = Ending(lambda: self.begun.append(time.monotonic()), self.stopped.set, drain_s)
        self.ending.install()


def test_the_signal_says_so_at_once_and_stops_after_the_drain() -> None:
    server = Server(0.2)
    signal.raise_signal(signal.SIGTERM)
    assert len(server.begun) == 1
    assert not server.stopped.is_set()
    assert server.stopped.wait(5)
    assert time.monotonic() - server.begun[0] >= 0.2


def test_without_a_drain_it_stops_at_once() -> None:
    server = Server(0.0)
    signal.raise_signal(signal.SIGTERM)
    assert server.stopped.wait(5)


def test_a_second_signal_ends_the_wait_and_says_nothing_twice() -> None:
    server = Server(60)
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    assert server.stopped.wait(5)
    assert len(server.begun) == 1


def test_a_child_that_was_just_forked_ends_and_begins_nothing() -> None:
    server = Server(60)
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        os._exit(3)
    assert os.waitpid(child, 0)[1] == 0
    assert server.begun == []
