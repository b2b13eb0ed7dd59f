"""The numbers of all workers of a gateway as one."""

from __future__ import annotations

import threading
from collections import defaultdict
from math import isnan
from typing import TYPE_CHECKING, Protocol

import numpy as np

from esteira.serving.telemetry.cells import WorkerCells
from esteira.serving.telemetry.families import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from esteira.serving.telemetry.cells import Place

    Numbers = dict[str, dict[tuple[str, ...], list[float]]]  # family → labels → numbers
    Slots = NDArray[np.intp]


GUESTS = "rpc_"  # the files that a gRPC process, which may be older than the gateway, links into its folder
_NONE = np.empty(0, np.intp)


class Source(Protocol):
    """The numbers of one worker."""

    def placed(self) -> Sequence[Place]: ...
    def numbers(self) -> NDArray[np.float64]: ...
    def is_alive(self) -> bool: ...


class Readings:
    """Reads what the workers of a folder counted, or one source without a folder, and merges it.

    What a worker counted before it died stays counted; its gauges are of the past and left out. It keeps
    what it knows of the names, so a second reading is an addition of arrays. Any thread may read.
    """

    def __init__(self, folder: Path | None, own: Source | None = None) -> None:
        self._folder = folder
        self._sources: dict[str, _Source] = {} if own is None else {"": _Source(own)}
        self._layout = _Layout()
        self._reading = threading.Lock()

    def read(self) -> Numbers:
        """Family → labels → numbers, merged over the workers; a gauge that nobody holds is absent."""
        with self._reading:
            self._find_workers()
            for source in self._sources.values():
                source.learn(self._layout)
            totals = np.full(self._layout.size, np.nan)
            for source in self._sources.values():
                source.add_to(totals)
            return self._layout.named(totals.tolist())

    def living(self) -> int:
        """How many workers of the gateway count now; others that count in its folder are none of them."""
        with self._reading:
            self._find_workers()
            return sum(
                source.cells.is_alive()
                for name, source in self._sources.items()
                if not name.startswith(GUESTS)
            )

    def _find_workers(self) -> None:
        for path in sorted(self._folder.glob("*.names")) if self._folder is not None else ():
            if path.name not in self._sources:
                try:
                    self._sources[path.name] = _Source(WorkerCells(path))
                except FileNotFoundError:  # the gateway ends and clears its folder
                    continue


class _Layout:
    """Where each series stands in the merged numbers."""

    def __init__(self) -> None:
        self.size = 0
        self._starts: dict[str, dict[tuple[str, ...], int]] = {name: {} for name in BY_NAME}

    def start(self, place: Place) -> int | None:
        """The first merged slot; None for a series that this version does not know."""
        family = BY_NAME.get(place.family)
        if family is None or family.size != place.size or len(family.labels) != len(place.labels):
            return None
        starts = self._starts[place.family]
        if place.labels not in starts:
            starts[place.labels] = self.size
            self.size += place.size
        return starts[place.labels]

    def named(self, totals: list[float]) -> Numbers:
        found: Numbers = {}
        for name, starts in self._starts.items():
            size = BY_NAME[name].size
            there = ((labels, at) for labels, at in starts.items() if not isnan(totals[at]))
            series = {labels: totals[at : at + size] for labels, at in there}
            if series:
                found[name] = series
        return found


class _Source:
    """One worker's slots, and the merged slots that they go to, by how they are merged."""

    def __init__(self, cells: Source) -> None:
        self.cells, self._seen = cells, 0
        self._moves: dict[tuple[bool, str], tuple[Slots, Slots]] = {}

    def learn(self, layout: _Layout) -> None:
        """Take up the series that came since."""
        placed = self.cells.placed()
        new: dict[tuple[bool, str], tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        count = len(placed)  # the worker may add to it meanwhile
        for place in placed[self._seen : count]:
            start = layout.start(place)
            if start is not None:
                family = BY_NAME[place.family]
                take, into = new[family.kind == "gauge", family.merge]
                take.extend(range(place.start, place.start + place.size))
                into.extend(range(start, start + place.size))
        self._seen = count
        for key, moves in new.items():
            old = self._moves.get(key, (_NONE, _NONE))
            self._moves[key] = _appended(old[0], moves[0]), _appended(old[1], moves[1])

    def add_to(self, totals: NDArray[np.float64]) -> None:
        """Merge what it counts into the totals, where NaN is absent."""
        numbers, is_alive = self.cells.numbers(), self.cells.is_alive()
        for (is_gauge, merge), (take, into) in self._moves.items():
            if is_alive or not is_gauge:
                values = numbers[take]
                there = ~np.isnan(values)
                _MERGES[merge](totals, into[there], values[there])


def _appended(slots: Slots, more: list[int]) -> Slots:
    return np.append(slots, np.array(more, np.intp))


def _sum(totals: NDArray[np.float64], into: Slots, values: NDArray[np.float64]) -> None:
    so_far = totals[into]
    totals[into] = np.where(np.isnan(so_far), 0.0, so_far)
    np.add.at(totals, into, values)  # two threads of a worker count into one series


_MERGES = {"sum": _sum, "min": np.fmin.at, "max": np.fmax.at}
