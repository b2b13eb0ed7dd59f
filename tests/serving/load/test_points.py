from __future__ import annotations

import os
from dataclasses import replace

import pytest
from tests.serving.load.servers import answered, serving

from esteira.base.errors import BadInput, NotFound, ServiceUnreachable
from esteira.serving.load.points import Target, measure, plan_of

METRICS = (
    'esteira_request_duration_seconds_bucket{{model="late",le="0.001"}} {0}\n'
    'esteira_request_duration_seconds_bucket{{model="late",le="+Inf"}} {0}\n'
    'esteira_request_duration_seconds_sum{{model="late"}} {1}\n'
)


def a_gateway(number: int, request: bytes) -> bytes:
    if request.startswith(b"GET /metrics"):
        return answered(METRICS.format(number, number * 0.0005).encode())
    if request.startswith(b"GET"):
        return answered(b'{"error": "not here"}', "404 Not Found")
    return answered(b'{"message": "no row"}', "400 Bad Request") if b"bad" in request else answered()


def test_a_point_says_what_was_answered_and_what_it_cost() -> None:
    with serving(a_gateway) as server:
        target = Target(server.url, {"x-api-key": "k"}, os.getpid())
        plan = replace(plan_of(target, "/infer", [b"{}"], 0.3), connections=2)
        point = measure(target, plan)
    said = point.to_plain()
    assert said["throughput"] > 0
    assert said["latency_ms"]["p50"] <= said["latency_ms"]["p99"] <= said["latency_ms"]["max"] * 1.01
    assert point.memory_bytes is None or point.memory_bytes > 1_000_000
    assert point.overhead_ms is not None
    assert point.overhead_ms["mean"] == pytest.approx(0.5, rel=0.05)
    assert all(b"x-api-key: k" in request.lower() for request in server.requests)


def test_what_cannot_be_seen_is_none() -> None:
    with serving(
        lambda _number, request: answered(b"", "403 No") if b"/metrics" in request else answered()
    ) as s:
        target = Target(s.url)
        point = measure(target, plan_of(target, "/infer", [b"{}"], 0.1))
    assert (point.overhead_ms, point.cpu_cores, point.memory_bytes) == (None, None, None)


def test_a_target_says_what_it_refuses_and_why() -> None:
    with serving(a_gateway) as server:
        target = Target(server.url)
        target.try_out("/infer", b"{}")
        with pytest.raises(BadInput, match=r"answered 400.*no row"):
            target.try_out("/infer", b"bad")
        with pytest.raises(NotFound, match="not here"):
            target.get("/v2/models/nope")
    with pytest.raises(ServiceUnreachable):
        Target("http://127.0.0.1:9").get("/")
