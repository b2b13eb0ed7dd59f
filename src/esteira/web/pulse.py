"""What the gateways of a project did in the last minutes: their numbers, looked at again and again."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from esteira.serving.telemetry.families import BY_NAME
from esteira.serving.telemetry.readings import Readings
from esteira.serving.telemetry.snapshot import snapshot_of
from esteira.web.gateways import gateways

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from esteira.base.settings import Settings
    from esteira.serving.telemetry.readings import Numbers
    from esteira.web.gateways import RunningGateway

log = logging.getLogger(__name__)

EVERY_S = 2.0  # between two looks
SHOWN_S = 300.0  # of rates that are kept
WINDOW_S = 60.0  # of which latencies and counts are told
_STEP_S = 10.0  # between two looks of which all numbers are kept


@dataclass(frozen=True, slots=True)
class RatePoint:
    """What was answered between two looks, a second."""

    at_s: float  # of the later one, time.monotonic()
    seconds: float  # between them
    by_model: Mapping[str, float]  # only those that were asked; what no model answered under the empty name
    failed: float  # of all, with a status from 500

    @property
    def total(self) -> float:
        return sum(self.by_model.values())


@dataclass(frozen=True, slots=True)
class Recent:
    """What a gateway counted since it started, and what of it in the last minute."""

    whole: Numbers = field(default_factory=dict)
    fresh: Numbers = field(default_factory=dict)  # counters: what came in `seconds`; gauges: as now
    seconds: float = 0.0  # 0 after one look only


def since(before: Numbers, after: Numbers) -> Numbers | None:
    """The counters of `after` less those of `before`, and its gauges; None if one went back.

    >>> since({"esteira_requests_refused_total": {("late", "full"): [2.0]}},
    ...       {"esteira_requests_refused_total": {("late", "full"): [5.0]}})
    {'esteira_requests_refused_total': {('late', 'full'): [3.0]}}
    """
    found: Numbers = {}
    for name, series in after.items():
        if BY_NAME[name].kind == "gauge":
            found[name] = series
            continue
        earlier, changed = before.get(name, {}), found.setdefault(name, {})
        for labels, numbers in series.items():
            old = earlier.get(labels)
            change = numbers if old is None else [new - had for new, had in zip(numbers, old, strict=True)]
            if min(change) < 0:
                return None
            changed[labels] = change
    return found


class Pulse:
    """The looks at one gateway, from its start or ours to its end. Any thread may ask."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._looking = threading.Lock()
        self._kept: deque[tuple[float, Numbers]] = deque()
        self._last: tuple[float, Numbers] | None = None
        self._points: deque[RatePoint] = deque()

    def look(self) -> None:
        """Read the numbers, unless that was done just now."""
        with self._looking:
            now = self._clock()
            if self._last is None or now - self._last[0] >= EVERY_S / 2:
                self._take(now, Readings(self._folder).read())

    def recent(self) -> Recent:
        """The newest numbers, and what they changed by in the last minute."""
        with self._looking:
            if self._last is None:
                return Recent()
            now, numbers = self._last
            at_s, before = self._kept[0]
        return Recent(numbers, since(before, numbers) or {}, now - at_s)

    def points(self) -> Sequence[RatePoint]:
        """The rates of the last minutes, oldest first."""
        with self._looking:
            return tuple(self._points)

    def _take(self, now: float, numbers: Numbers) -> None:
        if self._last is not None:
            point = _rates(*self._last, now, numbers)
            if point is None:  # a process that counted here was started anew: from now on, then
                self._kept.clear()
            else:
                self._points.append(point)
        if not self._kept or now - self._kept[-1][0] >= _STEP_S:
            self._kept.append((now, numbers))
        while len(self._kept) > 1 and now - self._kept[1][0] >= WINDOW_S:
            self._kept.popleft()
        while self._points and now - self._points[0].at_s > SHOWN_S:
            self._points.popleft()
        self._last = now, numbers


def _rates(at_s: float, before: Numbers, now: float, after: Numbers) -> RatePoint | None:
    changed = since(before, after)
    if changed is None:
        return None
    seconds = now - at_s
    models = snapshot_of(changed, now, 0).models
    asked = {name: each.requests / seconds for name, each in models.items() if each.requests}
    return RatePoint(now, seconds, asked, sum(each.errors for each in models.values()) / seconds)


class Pulses:
    """The pulse of every gateway of a project; one that was started anew begins anew."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._by_gateway: dict[tuple[int, datetime], Pulse] = {}
        self._changing, self._stop = threading.Lock(), threading.Event()

    def of(self, gateway: RunningGateway) -> Pulse:
        """The pulse of a gateway, looked at by now."""
        with self._changing:
            pulse = self._by_gateway.setdefault((gateway.port, gateway.since), Pulse(gateway.folder))
        pulse.look()
        return pulse

    def look(self) -> None:
        """Look at all that run, and forget those that ended."""
        found = gateways(self._settings).running
        for each in found:
            self.of(each)
        running = {(each.port, each.since) for each in found}
        with self._changing:
            self._by_gateway = {key: each for key, each in self._by_gateway.items() if key in running}

    def watch(self) -> None:
        """Look on a thread of its own until `close`, so that who opens the page sees the last minutes."""
        threading.Thread(target=self._watch, name="pulse", daemon=True).start()

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()

    def _watch(self) -> None:
        while not self._stop.wait(EVERY_S):
            try:
                self.look()
            except Exception:  # whatever a folder holds, the next look may find better
                log.exception("a gateway's numbers could not be read; trying again")
