"""The counters of one worker: series in shared cells, cheap enough for every request."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from typing import TYPE_CHECKING

from esteira.serving.telemetry.cells import Cells
from esteira.serving.telemetry.families import FAMILIES
from esteira.serving.telemetry.readings import Readings

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.serving.telemetry.families import Family
    from esteira.serving.telemetry.readings import Numbers

    Labels = tuple[str, ...]

LOOP = "loop"  # the owner of what the thread of the requests has bound


class Series:
    """The series of one family in one worker, each placed when first counted.

    Several threads may `add` and `observe`: each counts in cells of its own, which are summed when read, so
    no count is lost and nobody waits for a lock. `set` and `forget` share one cell: the last one wins.
    """

    def __init__(self, family: Family, cells: Cells) -> None:
        self._family, self._cells, self.values = family, cells, cells.values
        self._bounds, self._sum = family.buckets, family.size - 1
        self._own = _Places([])
        self._bound: dict[tuple[str, Labels], int] = {}
        self._shared: dict[Labels, int] = {}
        self._placing = threading.Lock()

    def bind(self, labels: Labels, owner: str = LOOP) -> int:
        """The first cell of these labels for one owner, to count in without looking the labels up.

        `values[cell] += 1.0` then counts, and `observe_at(cell, value)`. Cells that are not bound are never
        touched by it, but the owner must be one thread at a time: another thread names another owner.
        """
        with self._placing:
            cell = self._bound.get((owner, labels))
            if cell is None:
                cell = self._bound[owner, labels] = self._place(labels)
            return cell

    def add(self, labels: Labels, by: float = 1.0) -> None:
        """Count."""
        cells = self._own.cells
        cell = cells.get(labels)
        if cell is None:
            cell = cells[labels] = self._place(labels)
        self.values[cell] += by

    def observe(self, labels: Labels, value: float) -> None:
        """Count into the bucket of a value."""
        cells = self._own.cells
        cell = cells.get(labels)
        if cell is None:
            cell = cells[labels] = self._place(labels)
        values = self.values  # as observe_at, without the call
        values[cell + bisect_left(self._bounds, value)] += 1.0
        values[cell + self._sum] += value

    def observe_at(self, cell: int, value: float) -> None:
        """Count a value into bound cells; that after the buckets holds the sum."""
        values = self.values
        values[cell + bisect_left(self._bounds, value)] += 1.0
        values[cell + self._sum] += value

    def set(self, labels: Labels, value: float) -> None:
        """Set to a value."""
        cell = self._shared.get(labels)
        if cell is None:
            with self._placing:
                cell = self._shared.get(labels)
                if cell is None:  # it holds its value before anybody can read it
                    cell = self._shared[labels] = self._place(labels, value)
        self.values[cell] = value

    def forget(self, labels: Labels) -> None:
        """Take a gauge away: what it measured is no longer there."""
        if labels in self._shared:
            self.set(labels, math.nan)

    def _place(self, labels: Labels, value: float = 0.0) -> int:
        return self._cells.place(self._family.name, labels, self._family.size, value)


class _Places(threading.local):
    """Labels → cell, for each thread; those of a thread that ended go to the next new one."""

    def __init__(self, spare: list[dict[Labels, int]]) -> None:
        try:
            self.cells = spare.pop()
        except IndexError:
            self.cells = {}
        self._lent = _Lent(spare, self.cells)


class _Lent:
    """Gives cells back when the thread that counted in them is gone."""

    def __init__(self, spare: list[dict[Labels, int]], cells: dict[Labels, int]) -> None:
        self._spare, self._cells = spare, cells

    def __del__(self) -> None:
        self._spare.append(self._cells)


class Metrics:
    """The counters of one worker; `read` gives those of all workers in the folder.

    >>> metrics = Metrics()
    >>> metrics.route_revision.set(("late",), 3)
    >>> [labels for family, series in metrics.read().items() for labels in series]
    [('late',)]
    """

    def __init__(self, folder: Path | None = None, worker: str = "worker") -> None:
        self.worker, self._cells = worker, Cells(folder, worker)
        self.values = self._cells.values  # of all series: what a bound cell is an index of
        self._readings = Readings(folder, self._cells if folder is None else None)
        series = {family.name: Series(family, self._cells) for family in FAMILIES}
        self.requests = series["esteira_requests_total"]
        self.request_seconds = series["esteira_request_duration_seconds"]
        self.predict_seconds = series["esteira_predict_duration_seconds"]
        self.refused = series["esteira_requests_refused_total"]
        self.in_flight = series["esteira_requests_in_flight"]
        self.queue_depth = series["esteira_queue_depth"]
        self.batch_rows = series["esteira_batch_rows"]
        self.cpu_seconds = series["esteira_model_cpu_seconds_total"]
        self.model_memory = series["esteira_model_memory_bytes"]
        self.model_gpu_memory = series["esteira_model_gpu_memory_bytes"]
        self.load_seconds = series["esteira_model_load_seconds"]
        self.swaps = series["esteira_model_swaps_total"]
        self.models_in_memory = series["esteira_models_in_memory"]
        self.model_info = series["esteira_model_info"]
        self.route_revision = series["esteira_route_revision"]
        self.route_failures = series["esteira_route_failures_total"]
        self.shadow_mirrored = series["esteira_shadow_mirrored_total"]
        self.shadow_requests = series["esteira_shadow_requests_total"]
        self.shadow_queue = series["esteira_shadow_queue_requests"]
        self.shadow_info = series["esteira_shadow_info"]
        self.predictions_dropped = series["esteira_prediction_log_dropped_total"]
        self.labels_dropped = series["esteira_label_log_dropped_total"]
        self.log_queue = series["esteira_log_queue_records"]
        self.observer_dropped = series["esteira_observer_dropped_total"]
        self.pushes_failed = series["esteira_pushes_failed_total"]
        self.worker_cpu_seconds = series["esteira_worker_cpu_seconds_total"]
        self.worker_memory = series["esteira_worker_memory_bytes"]
        self.gpu_memory = series["esteira_gpu_memory_bytes"]
        self.build_info = series["esteira_build_info"]

    def read(self) -> Numbers:
        """Family name → labels → numbers, merged over the workers."""
        return self._readings.read()

    def close(self) -> None:
        """Let this worker's gauges go; what it counted stays."""
        self._cells.close()
