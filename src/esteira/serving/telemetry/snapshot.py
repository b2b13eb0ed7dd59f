"""A running gateway's numbers from the folder that its workers share, for whoever wants to look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from esteira.serving.telemetry.families import BY_NAME, SECONDS
from esteira.serving.telemetry.histograms import quantile
from esteira.serving.telemetry.readings import Readings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from esteira.serving.telemetry.readings import Numbers

_SLOTS = len(SECONDS) + 2
_NOTHING = (0.0,) * _SLOTS


@dataclass(frozen=True, slots=True)
class ModelNumbers:
    """What is counted of one model since the gateway started."""

    model: str
    requests: float = 0.0  # answered, whatever the answer
    errors: float = 0.0  # of those, with a status from 500
    refused: float = 0.0
    durations: Sequence[float] = _NOTHING  # a count for each bucket of SECONDS, one above them, and the sum
    cpu_seconds: float = 0.0
    memory_bytes: float = 0.0
    queued_rows: float = 0.0
    versions: tuple[str, ...] = ()  # that serve now

    def latency(self, share: float) -> float | None:
        """The seconds that `share` of the answers did not exceed; None before the first."""
        return quantile(SECONDS, self.durations[:-1], share)

    def since(self, before: ModelNumbers) -> ModelNumbers:
        """What came after `before`; memory, queue and versions are those of now."""
        pairs = zip(self.durations, before.durations, strict=True)
        return ModelNumbers(
            self.model,
            self.requests - before.requests,
            self.errors - before.errors,
            self.refused - before.refused,
            [new - old for new, old in pairs],
            self.cpu_seconds - before.cpu_seconds,
            self.memory_bytes,
            self.queued_rows,
            self.versions,
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The numbers of all models at one moment; what belongs to no model stands under the empty name."""

    at_s: float  # of the caller's clock
    workers: int  # that live
    in_flight: float
    memory_bytes: float  # of all workers' processes
    models: Mapping[str, ModelNumbers]


@dataclass(frozen=True, slots=True)
class Rates:
    """What one model did between two snapshots; a rate is per second."""

    requests: float
    errors: float
    refused: float
    cpu: float  # cores
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None


def running(home: Path) -> list[int]:
    """The ports of the gateways that run, from the folder that holds everything of a project."""
    folders = [each for each in (home / "gateway").glob("*") if each.name.isdecimal()]
    return sorted(int(each.name) for each in folders if Readings(each).living())


def read_snapshot(folder: Path, at_s: float) -> Snapshot:
    """The numbers in a gateway's folder, `.esteira/gateway/PORT`, now. It changes nothing there."""
    readings = Readings(folder)
    return snapshot_of(readings.read(), at_s, readings.living())


def snapshot_of(numbers: Numbers, at_s: float, workers: int) -> Snapshot:
    """Merged numbers by model."""
    in_flight = numbers.get("esteira_requests_in_flight", {}).get((), [0.0])[0]
    memory = sum(each[0] for each in numbers.get("esteira_worker_memory_bytes", {}).values())
    names = {
        labels[0]
        for name, series in numbers.items()
        if BY_NAME[name].labels[:1] == ("model",)
        for labels in series
    }
    by_model = {name: _split(series) for name, series in numbers.items() if BY_NAME[name].labels}
    models = {name: _model(name, by_model) for name in sorted(names)}
    return Snapshot(at_s, workers, in_flight, memory, models)


def rates(before: Snapshot, after: Snapshot) -> dict[str, Rates]:
    """What each model did between two snapshots of one gateway; empty if it was started anew between."""
    seconds = after.at_s - before.at_s
    found = {}
    for name, now in after.models.items():
        change = now.since(before.models.get(name, ModelNumbers(name)))
        if seconds <= 0 or min(change.requests, change.refused, *change.durations[:-1]) < 0:
            return {}
        found[name] = Rates(
            change.requests / seconds,
            change.errors / seconds,
            change.refused / seconds,
            change.cpu_seconds / seconds,
            *(change.latency(share) for share in (0.5, 0.95, 0.99)),
        )
    return found


_Rest = dict[tuple[str, ...], "Sequence[float]"]  # the labels after the model → numbers


def _split(series: Mapping[tuple[str, ...], Sequence[float]]) -> dict[str, _Rest]:
    found: dict[str, _Rest] = {}
    for (model, *rest), numbers in series.items():
        found.setdefault(model, {})[tuple(rest)] = numbers
    return found


def _model(name: str, numbers: Mapping[str, Mapping[str, _Rest]]) -> ModelNumbers:
    def series(family: str) -> _Rest:
        return numbers.get(family, {}).get(name, {})

    def total(family: str) -> float:
        return sum(each[0] for each in series(family).values())

    requests = series("esteira_requests_total")
    durations = list(series("esteira_request_duration_seconds").values())
    info = series("esteira_model_info").items()
    return ModelNumbers(
        name,
        total("esteira_requests_total"),
        sum(each[0] for (*_, code), each in requests.items() if code >= "500"),
        total("esteira_requests_refused_total"),
        [sum(column) for column in zip(*durations, strict=True)] or _NOTHING,
        total("esteira_model_cpu_seconds_total"),
        total("esteira_model_memory_bytes"),
        total("esteira_queue_depth"),
        tuple(sorted({version for (version, *_), each in info if each[0]})),
    )
