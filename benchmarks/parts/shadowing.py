"""What a shadow costs those who are answered: two models of one gateway, alike but that one has a shadow.

They are asked in turns at one rate, by arrivals that do not depend on the answers. Each turn with the shadow
stands between two without it, for a machine that others use too is never the same for long; its ratio is that
to the mean of its neighbours, and the median of many short turns is told.
"""

from __future__ import annotations

import re
import time
import urllib.request
from dataclasses import dataclass, field, replace
from statistics import mean, median
from typing import TYPE_CHECKING

from benchmarks.parts.measuring import plan_for

from esteira.serving.load.histogram import Histogram
from esteira.serving.load.plan import Ask
from esteira.serving.load.process import LoadProcess
from esteira.serving.routes import RouteStore, Shadow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.parts.servers import Running

    from esteira.serving.load.plan import LoadReport

KEPT_UP_S, LEAST_RATE = 0.02, 100.0
TURNS, TURN_S, WARMUP_S = 20, 2.0, 0.5
READY_S, SETTLE_S = 60.0, 60.0
_SAID = re.compile(r"^esteira_shadow_(\w+){(.*)} (\S+)$", re.MULTILINE)
_OUTCOME = re.compile(r'outcome="(\w+)"')


@dataclass(slots=True)
class ShadowCost:
    """What came of the turns; seconds."""

    rate: float  # requests a second that were due
    alone: list[float] = field(default_factory=list)  # the p99 of each turn without a shadow
    shadowed: list[float] = field(default_factory=list)  # of each turn with one
    failed: int = 0  # requests of all turns that were not answered
    of_alone: Histogram = field(default_factory=Histogram)
    of_shadowed: Histogram = field(default_factory=Histogram)
    counts: dict[str, float] = field(default_factory=dict)  # mirrored, and what became of it

    @property
    def ratios(self) -> list[float]:
        """The p99 of each turn with the shadow over the mean of those before and after it."""
        around = zip(self.alone, self.alone[1:], strict=False)
        return [seen / mean(pair) for seen, pair in zip(self.shadowed, around, strict=True)]

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return median(self.ratios)

    @property
    def share_asked(self) -> float:
        """Of what was mirrored: the part that the shadow answered."""
        return self.counts.get("answered", 0.0) / max(self.counts.get("mirrored", 0.0), 1.0)

    @property
    def is_exact(self) -> bool:
        """Whether everything that was mirrored has one outcome."""
        outcomes = sum(count for name, count in self.counts.items() if name != "mirrored")
        return outcomes == self.counts.get("mirrored", 0.0)


class Shadowing:
    """A running gateway with a model that gets a shadow of its own version, and one that has none."""

    def __init__(self, running: Running, state_url: str, alone: str, shadowed: str) -> None:
        self.running, self.alone, self.shadowed = running, alone, shadowed
        self._routes = RouteStore(state_url)

    def begin(self, share: float = 1.0) -> None:
        """Give the model its shadow; done when the gateway can ask it. Raises: TimeoutError."""
        routes = self._routes.get(self.shadowed)
        assert routes is not None, "the project has routes"
        shadow = Shadow("shadow", routes.champion.version, routes.champion.digest, share)
        self._routes.set(replace(routes, shadows=(shadow,)))
        deadline = time.monotonic() + READY_S
        while not self._is_held():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the shadow cannot be asked after {READY_S:g} s")
            time.sleep(0.05)

    def settle(self) -> dict[str, float]:
        """What was mirrored and what became of it, once that is known of all."""
        deadline = time.monotonic() + SETTLE_S
        while True:
            found = self._counts()
            outcomes = sum(count for name, count in found.items() if name != "mirrored")
            if outcomes == found.get("mirrored", 0.0) or time.monotonic() > deadline:
                return found
            time.sleep(0.1)

    def _counts(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, labels, value in _SAID.findall(self._metrics()):
            if name.endswith("_total"):
                outcome = _OUTCOME.search(labels)
                found[outcome[1] if outcome else "mirrored"] = float(value)
        return found

    def _is_held(self) -> bool:
        return any(name == "info" and float(value) for name, _, value in _SAID.findall(self._metrics()))

    def _metrics(self) -> str:
        asked = urllib.request.Request(f"{self.running.url}/metrics", headers=self.running.server.headers)
        with urllib.request.urlopen(asked, timeout=10) as answer:
            text: str = answer.read().decode()
        return text


def load(
    running: Running, model: str, bodies: Sequence[bytes], rate: float | None, seconds: float
) -> LoadReport:
    """A load of its own process on a model, in the Open Inference Protocol; no rate: all that it takes."""
    asks = [Ask(f"/v2/models/{model}/infer", body) for body in bodies]
    plan = plan_for(running, *asks, connections=32, rate=rate, seconds=seconds, warmup_s=WARMUP_S)
    with LoadProcess(plan) as loading:
        return loading.result()


def kept_up(running: Running, model: str, bodies: Sequence[bytes], seconds: float = 3.0) -> float:
    """The highest rate that the gateway keeps up with: all answered, 99 % of them in 20 ms."""
    rate = load(running, model, bodies, None, seconds).throughput
    while True:
        seen = load(running, model, bodies, rate, seconds)
        if (not seen.failed and seen.latency.quantile(0.99) <= KEPT_UP_S) or rate < LEAST_RATE:
            return rate
        rate *= 0.85


def shadow_cost(
    shadowing: Shadowing,
    bodies: Sequence[bytes],
    rate: float,
    *,
    turns: int = TURNS,
    seconds: float = TURN_S,
) -> ShadowCost:
    """The latency of those who are answered, in `turns` with the shadow and one more without it."""
    found = ShadowCost(rate)
    shadowing.begin()
    for turn in range(2 * turns + 1):
        is_on = bool(turn % 2)
        model = shadowing.shadowed if is_on else shadowing.alone
        seen = load(shadowing.running, model, bodies, rate, seconds)
        found.failed += seen.failed + seen.refused
        (found.shadowed if is_on else found.alone).append(seen.latency.quantile(0.99))
        (found.of_shadowed if is_on else found.of_alone).merge(seen.latency)
        if is_on:
            found.counts = shadowing.settle()
    return found
