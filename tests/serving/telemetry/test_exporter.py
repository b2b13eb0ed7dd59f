from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.serving.telemetry.exchanges import wait_for

from esteira.base.errors import ServiceUnreachable
from esteira.serving.telemetry.exporter import Exporter
from esteira.serving.telemetry.metrics import Metrics

if TYPE_CHECKING:
    import pytest


@dataclass
class Receiver:
    """A push that can be made to fail."""

    name: str = "receiver"
    every_s: float = 0.01
    is_gone: bool = False
    said: list[str] = field(default_factory=list)

    def push(self) -> None:
        self.said.append(threading.current_thread().name)
        if self.is_gone:
            raise ServiceUnreachable("the receiver", "nowhere", "gone")

    def close(self) -> None:
        self.said.append("closed")


def test_pushes_come_in_time_on_one_thread_and_once_more_at_the_end() -> None:
    one, other = Receiver("one"), Receiver("other", every_s=3600.0)
    exporter = Exporter([one, other], Metrics())
    wait_for(lambda: len(one.said) >= 3)
    exporter.close()
    exporter.close()
    assert set(one.said[:-2]) == {"exporter"}
    assert one.said[-2:] == other.said == [threading.current_thread().name, "closed"]


def test_a_receiver_that_is_gone_is_counted_said_once_and_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gone, fine, metrics = Receiver("gone", is_gone=True), Receiver("fine"), Metrics()
    with caplog.at_level(logging.ERROR, "esteira"):
        exporter = Exporter([gone, fine], metrics)
        wait_for(lambda: len(gone.said) >= 3 and len(fine.said) >= 3)
        exporter.close()
    assert gone.said[-1] == "closed"
    assert threading.current_thread().name not in gone.said  # no last push to who does not answer
    assert metrics.read()["esteira_pushes_failed_total"] == {("gone",): [len(gone.said) - 1.0]}
    assert caplog.text.count("a push failed") == 1


def test_a_receiver_that_came_back_is_pushed_to_and_gets_the_last(caplog: pytest.LogCaptureFixture) -> None:
    receiver = Receiver(is_gone=True)
    exporter = Exporter([receiver], Metrics())
    wait_for(lambda: len(receiver.said) >= 2)
    receiver.is_gone = False
    seen = len(receiver.said)
    wait_for(lambda: len(receiver.said) >= seen + 2)
    exporter.close()
    assert receiver.said[-2:] == [threading.current_thread().name, "closed"]
    assert caplog.text.count("a push failed") == 1


def test_nothing_to_push_is_no_busy_loop_and_ends_at_once() -> None:
    Exporter([], Metrics()).close()
