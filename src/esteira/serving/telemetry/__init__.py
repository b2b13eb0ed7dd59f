"""What a gateway says of itself: counters, an access log, traces, and where they are pushed to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.errors import BadInput
from esteira.base.optional import load

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.base.ports import Clock
    from esteira.base.settings import Settings, TelemetrySettings
    from esteira.serving.telemetry.exporter import Exporter
    from esteira.serving.telemetry.metrics import Metrics
    from esteira.serving.telemetry.port import Observer, Push

_ROOM = "esteira.serving.telemetry"


def open_observers(settings: TelemetrySettings, folder: Path, worker: str) -> list[Observer]:
    """What hears of every answer: the access log in `folder`, and the traces; none by default.

    Raises: BadInput, StorageUnwritable.
    """
    observers: list[Observer] = []
    if settings.access_log:
        for name, value in (("bytes", settings.access_log_bytes), ("files", settings.access_log_files)):
            if value < 1:
                raise BadInput(f"telemetry.access_log_{name} must be at least 1, found {value}")
        sizes = {"max_bytes": settings.access_log_bytes, "files": settings.access_log_files}
        observers.append(load(f"{_ROOM}.access_log:AccessLog")(folder, worker, **sizes))
    if settings.traces:
        if not settings.otlp:
            raise BadInput("telemetry.traces needs a collector: set telemetry.otlp to its URL, or traces = 0")
        observers.append(load(f"{_ROOM}.traces:Traces")(settings.traces))
    return observers


def open_exporter(
    settings: Settings, metrics: Metrics, clock: Clock, shared: Path | None, observers: list[Observer]
) -> Exporter | None:
    """The thread that pushes metrics and traces to the addresses in the settings; None without any.

    `shared` is the folder where the workers count: one of them pushes for all.
    Raises: BadInput, MissingExtra, StorageUnwritable.
    """
    wanted = settings.telemetry
    if not wanted.otlp and not wanted.dogstatsd:
        return None
    if not wanted.push_s > 0:
        raise BadInput(f"telemetry.push_s must be more than 0 seconds, found {wanted.push_s}")
    turn = load(f"{_ROOM}.turn:Turn")(shared)
    pushes: list[Push] = []
    if wanted.dogstatsd:
        dogstatsd = load(f"{_ROOM}.dogstatsd:DogStatsD")
        pushes.append(dogstatsd(wanted.dogstatsd, wanted.prefix, wanted.push_s, metrics, turn))
    if wanted.otlp:
        collector = load(f"{_ROOM}.opentelemetry:Collector")(settings, metrics.worker, shared)
        pushes.append(collector.metrics(metrics, clock, turn))
        pushes.extend(collector.traces(each) for each in observers if each.name == "traces")
    exporter: Exporter = load(f"{_ROOM}.exporter:Exporter")(pushes, metrics)
    return exporter
