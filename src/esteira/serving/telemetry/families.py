"""What a gateway counts: every family, its labels, and how the numbers of several workers become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# Inclusive bounds; the gateway alone takes some ten microseconds.
SECONDS = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 1.0)
LOAD_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. Counters and histograms add up over the workers, those that died included; gauges are
    merged over the workers that live."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str
    merge: Literal["sum", "min", "max"] = "sum"
    buckets: tuple[float, ...] = ()  # of a histogram: the inclusive upper bounds, the last before infinity

    @property
    def size(self) -> int:
        """Numbers of one series: one, or a count for each bucket, one for what is above them, and the sum."""
        return len(self.buckets) + 2 if self.kind == "histogram" else 1


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
        buckets=SECONDS,
    ),
    Family(
        "esteira_predict_duration_seconds",
        "histogram",
        ("model", "version"),
        "In the model alone.",
        buckets=SECONDS,
    ),
    Family("esteira_requests_refused_total", "counter", ("model", "reason"), "Requests that were refused."),
    Family("esteira_requests_in_flight", "gauge", (), "Requests that are being answered."),
    Family("esteira_queue_depth", "gauge", ("model",), "Rows that wait for their model."),
    Family("esteira_batch_rows", "histogram", ("model",), "Rows of one call of a model.", buckets=ROWS),
    Family(
        "esteira_model_cpu_seconds_total",
        "counter",
        ("model", "version"),
        "CPU time of the threads that called the model.",
    ),
    Family("esteira_model_memory_bytes", "gauge", ("model", "version"), "Memory that the model takes."),
    Family(
        "esteira_model_gpu_memory_bytes", "gauge", ("model", "version"), "GPU memory that the model takes."
    ),
    Family(
        "esteira_model_load_seconds",
        "histogram",
        (),
        "To bring one version into memory.",
        buckets=LOAD_SECONDS,
    ),
    Family("esteira_model_swaps_total", "counter", ("model",), "Routes taken up in place of others."),
    Family("esteira_models_in_memory", "gauge", ("worker",), "Models in the memory of a worker."),
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
    Family(
        "esteira_shadow_mirrored_total",
        "counter",
        ("model", "version"),
        "Answered requests that a shadow was to be asked too.",
    ),
    Family(
        "esteira_shadow_requests_total",
        "counter",
        ("model", "version", "outcome"),
        "What became of them: answered, failed, dropped, or lost with a process that ended.",
    ),
    Family(
        "esteira_shadow_queue_requests",
        "gauge",
        (),
        "Answered requests in memory that are not yet handed to the shadows, or passed over.",
    ),
    Family(
        "esteira_shadow_info",
        "gauge",
        ("model", "version", "variant", "digest"),
        "Shadows: 1 when each worker's process can ask it.",
        "min",
    ),
    Family("esteira_prediction_log_dropped_total", "counter", (), "Predictions answered but not logged."),
    Family("esteira_label_log_dropped_total", "counter", (), "Labels accepted but not logged."),
    Family(
        "esteira_log_queue_records",
        "gauge",
        ("log",),
        "Predictions or labels in memory that are not yet on disk.",
    ),
    Family(
        "esteira_observer_dropped_total",
        "counter",
        ("observer",),
        "Answers that the access log or the traces left out.",
    ),
    Family("esteira_pushes_failed_total", "counter", ("to",), "Pushes that their receiver did not take."),
    Family("esteira_worker_cpu_seconds_total", "counter", ("worker",), "CPU time of a worker's process."),
    Family("esteira_worker_memory_bytes", "gauge", ("worker",), "Resident memory of a worker's process."),
    Family(
        "esteira_gpu_memory_bytes",
        "gauge",
        ("worker", "device"),
        "GPU memory that a worker's process takes.",
    ),
    Family("esteira_build_info", "gauge", ("version", "python"), "What runs.", "max"),
)
BY_NAME = {family.name: family for family in FAMILIES}
