"""Traces and metrics to an OpenTelemetry collector by OTLP/HTTP: the only file that imports its SDK.

Nothing of it runs where requests are answered: `Traces` queues what is traced, the exporter's thread makes
spans of it here. Source: OpenTelemetry semantic conventions for HTTP, version 1.23 and later.
"""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from esteira.base.errors import BadInput, ServiceUnreachable
from esteira.serving.telemetry.access_log import METHODS
from esteira.serving.telemetry.families import BY_NAME
from esteira.serving.telemetry.resources import release

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from esteira.base.ports import Clock
    from esteira.base.settings import Settings
    from esteira.serving.telemetry.families import Family
    from esteira.serving.telemetry.metrics import Metrics
    from esteira.serving.telemetry.port import Exchange
    from esteira.serving.telemetry.traces import Traced, Traces
    from esteira.serving.telemetry.turn import Turn

TIMEOUT_S = 2.0  # of one export, retries included: what waits behind it is metrics, not requests
TRACES_EVERY_S = 1.0
BATCH = 512  # spans of one export

_SCOPE = InstrumentationScope("esteira.serving", release())
_CUMULATIVE = AggregationTemporality.CUMULATIVE

# The SDK reports each failure on its own logger; here the exporter says it, once.
logging.getLogger("opentelemetry").addHandler(logging.NullHandler())


class Collector:
    """Where to send, and who says it. A key that the collector asks for comes from the environment alone:
    `OTEL_EXPORTER_OTLP_HEADERS`, as for every program that speaks OTLP. Raises: BadInput (no http URL).
    """

    def __init__(self, settings: Settings, worker: str, shared: Path | None = None) -> None:
        self.url = settings.telemetry.otlp.rstrip("/")
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise BadInput(
                f"telemetry.otlp must be a base URL such as http://127.0.0.1:4318, found {self.url!r}"
            )
        self.every_s = settings.telemetry.push_s
        gateway = settings.gateway
        # The folder that the workers share is named by the port that was taken.
        port = int(shared.name) if shared is not None and shared.name.isdecimal() else gateway.port
        scheme = "https" if gateway.tls_cert else "http"
        self.server = {"server.address": gateway.host, "server.port": port, "url.scheme": scheme}
        named = {"service.name": settings.project.name, "service.namespace": "esteira"}
        self.gateway = Resource({**named, "service.version": release()})
        self.worker = self.gateway.merge(Resource({"service.instance.id": worker}))

    def traces(self, traces: Traces) -> TracePush:
        """What sends the spans of this worker."""
        return TracePush(self, traces)

    def metrics(self, metrics: Metrics, clock: Clock, turn: Turn) -> MetricPush:
        """What sends the numbers of all workers."""
        return MetricPush(self, metrics, clock, turn)

    def refused(self, what: str) -> ServiceUnreachable:
        """The error of an export that did not arrive."""
        return ServiceUnreachable("the OpenTelemetry collector", self.url, f"it did not take the {what}")


class TracePush:
    """Sends the answers that are traced, each as a server span."""

    name, every_s = "otlp_traces", TRACES_EVERY_S

    def __init__(self, collector: Collector, traces: Traces) -> None:
        self._collector, self._traces = collector, traces
        self._exporter = OTLPSpanExporter(endpoint=f"{collector.url}/v1/traces", timeout=TIMEOUT_S)

    def push(self) -> None:
        """Send what waits; what is not taken is dropped and counted. Raises: ServiceUnreachable."""
        while traced := self._traces.take(BATCH):
            spans = [span_of(each, self._collector) for each in traced]
            if self._exporter.export(spans) is not SpanExportResult.SUCCESS:
                self._traces.drop(len(spans))
                raise self._collector.refused("traces")

    def close(self) -> None:
        """Let the connection go."""
        self._exporter.shutdown()


class MetricPush:
    """Sends the merged counters, cumulative since the gateway's start, while it is this worker's turn."""

    name = "otlp_metrics"

    def __init__(self, collector: Collector, metrics: Metrics, clock: Clock, turn: Turn) -> None:
        self.every_s = collector.every_s
        self._collector, self._metrics, self._clock, self._turn = collector, metrics, clock, turn
        self._exporter = OTLPMetricExporter(endpoint=f"{collector.url}/v1/metrics", timeout=TIMEOUT_S)
        self._started: int | None = None

    def push(self) -> None:
        """Send all numbers. Raises: ServiceUnreachable."""
        if not self._turn.is_mine():
            return
        now = self._clock.micros()
        found = self._metrics.read().items()
        times = {"start_time_unix_nano": self._start(now) * 1000, "time_unix_nano": now * 1000}
        metrics = [metric_of(BY_NAME[name], series, times) for name, series in found]
        scope = ScopeMetrics(_SCOPE, metrics, "")
        data = MetricsData([ResourceMetrics(self._collector.gateway, [scope], "")])
        if self._exporter.export(data) is not MetricExportResult.SUCCESS:
            raise self._collector.refused("metrics")

    def close(self) -> None:
        """Let the connection go, and another worker speak."""
        self._exporter.shutdown()
        self._turn.close()

    def _start(self, now: int) -> int:
        # The same for every worker that speaks in turn: another start would mean that all began at zero.
        if self._started is None:
            kept = self._turn.kept(self.name)
            self._started = now if kept is None else int(msgspec.msgpack.decode(kept))
            if kept is None:
                self._turn.keep(self.name, msgspec.msgpack.encode(now))
        return self._started


def span_of(traced: Traced, collector: Collector) -> ReadableSpan:
    """A server span; its parent is the caller's span when it sent one."""
    exchange, parent = traced.exchange, None
    flags = TraceFlags(TraceFlags.SAMPLED)
    trace = traced.parent.trace if traced.parent else random.getrandbits(128) or 1
    if traced.parent is not None:
        parent = SpanContext(trace, traced.parent.span, is_remote=True, trace_flags=flags)
    start = exchange.started * 1000
    method = exchange.method if exchange.method in METHODS else "HTTP"
    failed = exchange.status >= 500
    return ReadableSpan(
        name=f"{method} {exchange.route}" if exchange.route else method,
        context=SpanContext(trace, random.getrandbits(64) or 1, is_remote=False, trace_flags=flags),
        parent=parent,
        resource=collector.worker,
        attributes={**_attributes(exchange), **collector.server},
        kind=SpanKind.SERVER,
        status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
        start_time=start,
        end_time=start + round(exchange.seconds * 1e9),
        instrumentation_scope=_SCOPE,
    )


def _attributes(exchange: Exchange) -> dict[str, str | int | float]:
    attributes: dict[str, str | int | float] = {
        "http.request.method": exchange.method if exchange.method in METHODS else "_OTHER",
        "http.response.status_code": exchange.status,
        "http.request.body.size": exchange.bytes_in,
        "http.response.body.size": exchange.bytes_out,
        "esteira.protocol": exchange.protocol,
    }
    named: dict[str, str | int | float] = {
        "http.route": exchange.route,
        "url.template": exchange.route,
        "error.type": str(exchange.status) if exchange.status >= 500 else "",
        "esteira.model": exchange.model,
        "esteira.version": exchange.version,
        "esteira.arm": exchange.arm,
        "esteira.caller": exchange.caller,
        "esteira.rows": exchange.rows,
        "esteira.predict_seconds": exchange.predict_seconds,
    }
    return attributes | {name: value for name, value in named.items() if value}


def metric_of(
    family: Family, series: Mapping[tuple[str, ...], list[float]], times: Mapping[str, int]
) -> Metric:
    """One family with all its series."""
    points: list[Any] = []
    for labels, numbers in series.items():
        named = dict(zip(family.labels, labels, strict=True))
        if family.kind == "histogram":
            counts = [int(each) for each in numbers[:-1]]
            both = {"bucket_counts": counts, "explicit_bounds": family.buckets}
            sums = {"count": sum(counts), "sum": numbers[-1], "min": None, "max": None}
            points.append(HistogramDataPoint(attributes=named, **both, **sums, **times))
        else:
            points.append(NumberDataPoint(attributes=named, value=numbers[0], **times))
    data = {
        "counter": lambda: Sum(points, _CUMULATIVE, is_monotonic=True),
        "gauge": lambda: Gauge(points),
        "histogram": lambda: Histogram(points, _CUMULATIVE),
    }[family.kind]()
    return Metric(family.name, family.help, _unit(family.name), data)


def _unit(name: str) -> str:
    base = name.removesuffix("_total")
    return {"seconds": "s", "bytes": "By"}.get(base.rpartition("_")[2], "1")
