"""What a gateway counts: the families, and the series of one worker in shared cells."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from esteira.serving.cells import Cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

BUCKETS = (5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 1.0)  # seconds, inclusive


@dataclass(frozen=True, slots=True)
class Family:
    """One metric, and how the numbers of several workers become one."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    merge: Literal["sum", "min", "max"] = "sum"


FAMILIES = (
    Family(
        "esteira_requests_total",
        "counter",
        ("model", "version", "variant", "protocol", "code"),
        "Requests answered.",
    ),
    Family(
        "esteira_request_duration_seconds",
        "histogram",
        ("model", "protocol"),
        "From the body being read to the answer being ready.",
    ),
    Family("esteira_predict_duration_seconds", "histogram", ("model", "version"), "In the model alone."),
    Family(
        "esteira_model_info",
        "gauge",
        ("model", "version", "variant", "digest"),
        "The versions that serve.",
        "max",
    ),
    Family(
        "esteira_route_revision", "gauge", ("model",), "The routes in force, on the slowest worker.", "min"
    ),
    Family("esteira_route_failures_total", "counter", ("model",), "Routes that could not be loaded."),
    Family("esteira_prediction_log_dropped_total", "counter", (), "Predictions answered but not logged."),
    Family("esteira_label_log_dropped_total", "counter", (), "Labels accepted but not logged."),
)


class Series:
    """The series of one family in one worker, each placed when first counted."""

    def __init__(self, family: Family, cells: Cells) -> None:
        self._family, self._cells, self._values = family, cells, cells.values
        self._starts: dict[tuple[str, ...], int] = {}

    def add(self, labels: tuple[str, ...], by: float = 1.0) -> None:
        """Count."""
        self._values[self._start(labels)] += by

    def set(self, labels: tuple[str, ...], value: float) -> None:
        """Set to a value."""
        self._values[self._start(labels)] = value

    def observe(self, labels: tuple[str, ...], seconds: float) -> None:
        """Count into the bucket of `seconds`; the slot after the buckets holds the sum."""
        start, values = self._start(labels), self._values
        values[start + bisect_left(BUCKETS, seconds)] += 1.0
        values[start + len(BUCKETS) + 1] += seconds

    def _start(self, labels: tuple[str, ...]) -> int:
        start = self._starts.get(labels)
        if start is None:
            size = len(BUCKETS) + 2 if self._family.kind == "histogram" else 1
            start = self._starts[labels] = self._cells.place(self._family.name, labels, size)
        return start


class Metrics:
    """The counters of one worker; `read` gives those of all workers in the folder.

    >>> metrics = Metrics()
    >>> metrics.route_revision.set(("late",), 3)
    >>> [labels for family, series in metrics.read().items() for labels in series]
    [('late',)]
    """

    def __init__(self, folder: Path | None = None, worker: str = "worker") -> None:
        self._cells = Cells(folder, worker)
        (
            self.requests,
            self.request_seconds,
            self.predict_seconds,
            self.model_info,
            self.route_revision,
            self.route_failures,
            self.predictions_dropped,
            self.labels_dropped,
        ) = (Series(family, self._cells) for family in FAMILIES)

    def read(self) -> dict[str, dict[tuple[str, ...], list[float]]]:
        """Family name → labels → numbers, merged over the workers."""
        merges = {family.name: _MERGES[family.merge] for family in FAMILIES}
        found: dict[str, dict[tuple[str, ...], list[float]]] = {}
        for name, labels, numbers in self._cells.read():
            series = found.setdefault(name, {})
            if labels in series:
                pairs = zip(series[labels], numbers, strict=True)
                series[labels] = [merges[name](pair) for pair in pairs]
            else:
                series[labels] = numbers
        return found


_MERGES: Mapping[str, Callable[[Iterable[float]], float]] = {"sum": sum, "min": min, "max": max}
