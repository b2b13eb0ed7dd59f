from __future__ import annotations

import gzip
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.serving.telemetry.exchanges import NOON, exchange
from tests.serving.worlds import project

from esteira.base.clock import SimulatedClock, from_micros
from esteira.base.errors import BadInput, ServiceUnreachable
from esteira.serving.telemetry.metrics import Metrics
from esteira.serving.telemetry.opentelemetry import BATCH, TIMEOUT_S, Collector
from esteira.serving.telemetry.traces import Traces
from esteira.serving.telemetry.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
LATE = ("late", "1", "champion", "oip", "200")


class Listener(ThreadingHTTPServer):
    """A real HTTP listener that keeps what it is sent, or answers with a failure."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.received: list[tuple[str, bytes]] = []
        self.keys: list[str | None] = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def spans(self) -> list[Any]:
        requests = [
            ExportTraceServiceRequest.FromString(body) for path, body in self.received if "traces" in path
        ]
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def metrics(self) -> list[dict[str, Any]]:
        requests = [
            ExportMetricsServiceRequest.FromString(body) for path, body in self.received if "metrics" in path
        ]
        return [
            {metric.name: metric for metric in request.resource_metrics[0].scope_metrics[0].metrics}
            for request in requests
        ]


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        server = self.server
        assert isinstance(server, Listener)
        assert self.headers["content-type"] == "application/x-protobuf"
        server.received.append((self.path, body))
        server.keys.append(self.headers.get("x-key"))
        self.send_response(server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def listener() -> Iterator[Listener]:
    server = Listener()
    yield server
    server.shutdown()
    server.server_close()


def _collector(folder: Path, url: str, shared: Path | None = None) -> Collector:
    settings = project(folder / "p", f'[project]\nname = "late"\n[telemetry]\notlp = "{url}"\n')
    return Collector(settings, "w7", shared)


def _attributes(item: Any) -> dict[str, Any]:
    values = {each.key: each.value for each in item.attributes}
    return {key: getattr(value, value.WhichOneof("value")) for key, value in values.items()}


def test_a_span_goes_on_where_the_callers_trace_is_and_says_who_answered(
    listener: Listener, tmp_path: Path
) -> None:
    traces = Traces(1e-12)
    push = _collector(tmp_path, listener.url, tmp_path / "8123").traces(traces)
    traces.answered(exchange(traceparent=f"00-{TRACE}-{SPAN}-01"))
    push.push()
    push.close()
    [span] = listener.spans()
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, SPAN)
    assert span.span_id.hex() not in {SPAN, "0" * 16}
    assert (span.name, span.kind) == ("POST /v2/models/{model}/infer", span.SPAN_KIND_SERVER)
    assert span.start_time_unix_nano == NOON * 1000
    assert span.end_time_unix_nano == NOON * 1000 + 1_500_000
    assert span.status.code == span.status.STATUS_CODE_UNSET
    assert _attributes(span) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.request.body.size": 120,
        "http.response.body.size": 60,
        "http.route": "/v2/models/{model}/infer",
        "url.template": "/v2/models/{model}/infer",
        "url.scheme": "http",
        "server.address": "127.0.0.1",
        "server.port": 8123,
        "esteira.protocol": "oip",
        "esteira.model": "late",
        "esteira.version": "3",
        "esteira.arm": "champion",
        "esteira.caller": "pricing",
        "esteira.rows": 1,
        "esteira.predict_seconds": 0.0005,
    }
    request = ExportTraceServiceRequest.FromString(listener.received[0][1])
    resource = _attributes(request.resource_spans[0].resource)
    assert resource["service.name"] == "late"
    assert resource["service.instance.id"] == "w7"


def test_without_a_caller_a_trace_begins_and_a_failure_is_marked(listener: Listener, tmp_path: Path) -> None:
    traces = Traces(1.0)
    push = _collector(tmp_path, listener.url).traces(traces)
    traces.answered(exchange(status=503, method="STRANGE-529", route=""))
    traces.answered(exchange(status=400))
    push.push()
    push.close()
    failed, refused = listener.spans()
    assert len(failed.trace_id) == 16
    assert failed.parent_span_id == b""
    assert failed.name == "HTTP"
    assert failed.status.code == failed.status.STATUS_CODE_ERROR
    assert _attributes(failed)["error.type"] == "503"
    assert _attributes(failed)["http.request.method"] == "_OTHER"
    assert b"529" not in listener.received[0][1]
    assert refused.status.code == refused.status.STATUS_CODE_UNSET  # the client's fault is no failure of ours
    assert refused.trace_id != failed.trace_id


def test_a_key_comes_from_the_environment(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=of-the-team")
    traces = Traces(1.0)
    push = _collector(tmp_path, listener.url).traces(traces)
    traces.answered(exchange())
    push.push()
    assert listener.keys == ["of-the-team"]


def test_many_spans_go_in_batches(listener: Listener, tmp_path: Path) -> None:
    traces = Traces(1.0)
    push = _collector(tmp_path, listener.url).traces(traces)
    for _ in range(BATCH + 1):
        traces.answered(exchange())
    push.push()
    push.push()
    push.close()
    assert len(listener.received) == 2
    assert len(listener.spans()) == BATCH + 1


def test_metrics_are_those_of_all_workers_since_the_gateway_started(
    listener: Listener, tmp_path: Path
) -> None:
    clock = SimulatedClock(start=from_micros(NOON))
    shared = tmp_path / "8123"
    one, other = Metrics(shared, "w1"), Metrics(shared, "w2")
    collector = _collector(tmp_path, listener.url, shared)
    first, second = (collector.metrics(each, clock, Turn(shared)) for each in (one, other))
    for metrics in (one, other):
        metrics.requests.add(LATE, 3)
        metrics.batch_rows.observe(("late",), 5)
        metrics.queue_depth.set(("late",), 2)
        metrics.cpu_seconds.add(("late", "1"), 0.25)
    first.push()
    second.push()
    first.close()
    clock.advance(from_micros(10_000_000) - from_micros(0))
    other.requests.add(LATE)
    second.push()
    second.close()
    sent, later = listener.metrics()
    requests = sent["esteira_requests_total"].sum
    [point] = requests.data_points
    assert (requests.is_monotonic, requests.aggregation_temporality) == (True, 2)  # cumulative
    assert point.as_double == 6.0
    assert _attributes(point)["variant"] == "champion"
    assert point.start_time_unix_nano == point.time_unix_nano == NOON * 1000
    rows = sent["esteira_batch_rows"].histogram.data_points[0]
    assert (rows.count, rows.sum, list(rows.bucket_counts)[3], len(rows.explicit_bounds)) == (2, 10.0, 2, 11)
    assert not rows.HasField("min")
    assert sent["esteira_queue_depth"].gauge.data_points[0].as_double == 4.0
    assert sent["esteira_model_cpu_seconds_total"].unit == "s"
    [point] = later["esteira_requests_total"].sum.data_points
    assert (point.as_double, point.start_time_unix_nano) == (7.0, NOON * 1000)
    assert point.time_unix_nano == (NOON + 10_000_000) * 1000


def test_a_collector_that_refuses_is_an_unreachable_service_and_its_spans_are_counted(
    listener: Listener, tmp_path: Path
) -> None:
    listener.status = 400
    traces = Traces(1.0)
    collector = _collector(tmp_path, listener.url)
    push = collector.traces(traces)
    traces.answered(exchange())
    with pytest.raises(ServiceUnreachable, match="did not take the traces"):
        push.push()
    assert traces.dropped == 1
    metrics = collector.metrics(Metrics(), SimulatedClock(start=from_micros(NOON)), Turn(None))
    with pytest.raises(ServiceUnreachable, match="did not take the metrics"):
        metrics.push()
    listener.status = 200
    traces.answered(exchange())
    push.push()
    assert traces.dropped == 1


def test_a_collector_that_is_dead_gives_up_in_time_and_says_nothing_itself(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    traces = Traces(1.0)
    push = _collector(tmp_path, "http://127.0.0.1:9").traces(traces)
    traces.answered(exchange())
    started = time.monotonic()
    with pytest.raises(ServiceUnreachable):
        push.push()
    assert time.monotonic() - started < TIMEOUT_S + 6
    assert traces.dropped == 1
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("url", ["localhost:4318", "grpc://127.0.0.1:4317", "http://", "4318"])
def test_what_is_no_base_url_is_refused_with_the_mend(tmp_path: Path, url: str) -> None:
    with pytest.raises(BadInput, match="must be a base URL such as http"):
        _collector(tmp_path, url)
