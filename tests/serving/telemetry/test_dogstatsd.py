from __future__ import annotations

import re
import socket
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput, ServiceUnreachable
from esteira.serving.telemetry.dogstatsd import DATAGRAM_BYTES, DogStatsD, datagrams, parse_address
from esteira.serving.telemetry.metrics import Metrics
from esteira.serving.telemetry.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LATE = ("late", "1", "champion", "oip", "200")
TAGS = "model:late,version:1,variant:champion,protocol:oip,code:200"
LINE = re.compile(r"([\w.]+):(-?[\d.e+-]+)\|([cg])(?:\|#([^|\n]+))?")


class Agent:
    """A real UDP listener that reads datagrams as a Datadog agent does."""

    def __init__(self, port: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self.socket.bind(("127.0.0.1", port))
        self.socket.settimeout(0)
        self.port: int = self.socket.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.counts: dict[tuple[str, str], float] = defaultdict(float)
        self.gauges: dict[tuple[str, str], float] = {}
        self.sizes: list[int] = []

    def read(self) -> Agent:
        while True:
            try:
                packet = self.socket.recv(65_536)
            except BlockingIOError:
                return self
            self.sizes.append(len(packet))
            for line in packet.decode().split("\n"):
                self._take(line)

    def _take(self, line: str) -> None:
        found = LINE.fullmatch(line)
        assert found is not None, line
        key = found[1], found[4] or ""
        if found[3] == "c":
            self.counts[key] += float(found[2])
        else:
            self.gauges[key] = float(found[2])


@pytest.fixture
def agent() -> Iterator[Agent]:
    listener = Agent()
    yield listener
    listener.socket.close()


def _push(agent: Agent, metrics: Metrics, turn: Turn | None = None) -> DogStatsD:
    return DogStatsD(agent.address, "esteira", 10.0, metrics, turn or Turn(None))


def test_counters_go_as_what_came_since_and_gauges_as_they_are(agent: Agent) -> None:
    metrics = Metrics()
    push = _push(agent, metrics)
    metrics.requests.add(LATE, 3)
    metrics.queue_depth.set(("late",), 7)
    push.push()
    assert agent.read().counts == {("esteira.requests", TAGS): 3.0}
    assert agent.gauges == {("esteira.queue_depth", "model:late"): 7.0}
    metrics.requests.add(LATE, 2)
    metrics.queue_depth.set(("late",), 0)
    push.push()
    push.push()
    assert agent.read().counts == {("esteira.requests", TAGS): 5.0}
    assert agent.gauges == {("esteira.queue_depth", "model:late"): 0.0}
    push.close()


def test_a_histogram_goes_as_count_sum_and_the_quantiles_of_the_interval(agent: Agent) -> None:
    metrics = Metrics()
    push = _push(agent, metrics)
    for rows in (1, 1, 100):
        metrics.batch_rows.observe(("late",), rows)
    push.push()
    for _ in range(100):
        metrics.batch_rows.observe(("late",), 200)
    push.push()
    assert agent.read().counts == {
        ("esteira.batch_rows.count", "model:late"): 103.0,
        ("esteira.batch_rows.sum", "model:late"): 20_102.0,
    }
    assert {name for name, _ in agent.gauges} == {f"esteira.batch_rows.{at}" for at in ("p50", "p95", "p99")}
    assert 128 <= agent.gauges["esteira.batch_rows.p50", "model:late"] <= 256
    push.close()


def test_of_two_workers_one_speaks_for_both_and_no_count_is_lost_or_twice_when_it_dies(
    agent: Agent, tmp_path: Path
) -> None:
    one, other = Metrics(tmp_path, "w1"), Metrics(tmp_path, "w2")
    first, second = _push(agent, one, Turn(tmp_path)), _push(agent, other, Turn(tmp_path))
    for metrics in (one, other):
        metrics.requests.add(LATE, 5)
        metrics.queue_depth.set(("late",), 2)
    first.push()
    second.push()
    assert agent.read().counts == {("esteira.requests", TAGS): 10.0}
    assert agent.gauges == {("esteira.queue_depth", "model:late"): 4.0}
    one.requests.add(LATE, 1)
    first.close()
    one.close()
    other.requests.add(LATE, 1)
    second.push()
    assert agent.read().counts == {("esteira.requests", TAGS): 12.0}
    assert agent.gauges == {("esteira.queue_depth", "model:late"): 2.0}
    second.close()


def test_a_listener_that_is_lost_is_said_and_one_that_comes_back_gets_what_comes_then(agent: Agent) -> None:
    metrics = Metrics()
    push = _push(agent, metrics)
    agent.socket.close()
    metrics.requests.add(LATE)
    push.push()  # the network has not said yet that nobody is there
    metrics.queue_depth.set(("late",), 1)
    with pytest.raises(ServiceUnreachable, match=agent.address):
        push.push()
    again = Agent(agent.port)
    metrics.requests.add(LATE, 4)
    push.push()
    push.push()
    assert again.read().counts == {("esteira.requests", TAGS): 4.0}
    again.socket.close()
    push.close()


def test_a_thousand_models_come_in_datagrams_that_pass_an_ethernet(agent: Agent) -> None:
    metrics = Metrics()
    for at in range(1000):
        metrics.swaps.add((f"model-{at}",), at + 1)
    push = _push(agent, metrics)
    push.push()
    push.close()
    assert sum(agent.read().counts.values()) == 500_500
    assert max(agent.sizes) <= DATAGRAM_BYTES
    assert len(agent.sizes) < 60


def test_a_label_cannot_break_out_of_its_tag(agent: Agent) -> None:
    metrics = Metrics()
    metrics.swaps.add(("a|#evil:1,b\nesteira.evil:1|c" + "x" * 500,))
    push = _push(agent, metrics)
    push.push()
    push.close()
    [(name, tags)] = agent.read().counts
    assert name == "esteira.model_swaps"
    assert tags.startswith("model:a__evil:1_b_esteira.evil:1_c")
    assert len(tags) < 250


@given(st.lists(st.text("ab", min_size=1, max_size=DATAGRAM_BYTES), max_size=40))
def test_no_line_is_cut_or_lost_between_datagrams(lines: list[str]) -> None:
    packets = list(datagrams(lines))
    assert [line for packet in packets for line in packet.decode().split("\n")] == lines
    assert all(len(packet) <= DATAGRAM_BYTES for packet in packets)


@pytest.mark.parametrize(
    "address", ["", "localhost", "localhost:", ":8125", "a:b", "h:99999", "u@h:1", "h:1/x"]
)
def test_what_is_no_host_and_port_is_refused_with_the_mend(address: str) -> None:
    with pytest.raises(BadInput, match="must be host:port, such as"):
        parse_address(address)


def test_a_host_that_nobody_knows_is_an_unreachable_service() -> None:
    metrics = Metrics()
    metrics.requests.add(LATE)
    push = DogStatsD("no-such-host.invalid:8125", "esteira", 10.0, metrics, Turn(None))
    with pytest.raises(ServiceUnreachable, match="no-such-host"):
        push.push()
    push.close()
