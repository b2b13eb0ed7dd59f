"""A server under one load after another: what it answered, what it cost, what it added to the model."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from esteira.base.errors import BadInput, NotFound, ServiceUnreachable
from esteira.serving.load.plan import Ask, LoadPlan
from esteira.serving.load.process import run_load
from esteira.serving.load.processes import usage
from esteira.serving.load.scrapes import Scrape
from esteira.serving.load.wire import split_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from esteira.serving.load.plan import LoadReport

_ASK_S = 10.0
_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
_QUOTED = 300  # characters of an answer that an error quotes


@dataclass(frozen=True, slots=True)
class Target:
    """A server to measure: where, with which headers, and its process if it runs on this machine."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    pid: int | None = None

    def get(self, path: str) -> bytes | None:
        """What is at a path; None when it is not for us. Raises: NotFound, ServiceUnreachable, BadInput."""
        status, body = self._answer("GET", path, b"")
        if status == 404:
            raise NotFound("what is measured,", path, _said(body))
        return body if status == 200 else None

    def try_out(self, path: str, body: bytes) -> None:
        """Ask once, so that no load is made of refusals. Raises: BadInput, ServiceUnreachable."""
        status, answer = self._answer("POST", path, body)
        if status != 200:
            raise BadInput(
                f"POST {path} is answered {status}: {_said(answer)}; a load of that measures nothing"
            )

    def _answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        host, port, _ = split_url(self.url)
        connection = http.client.HTTPConnection(host, port, timeout=_ASK_S)
        try:
            headers = {"content-type": "application/json", **self.headers}
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as silent:
            raise ServiceUnreachable("the server", self.url, str(silent) or type(silent).__name__) from silent
        finally:
            connection.close()


@dataclass(frozen=True, slots=True)
class Point:
    """What came of one load. Times in milliseconds; what could not be seen is None."""

    connections: int
    rate: float | None  # requests a second that were due; None in a closed loop
    report: LoadReport
    cpu_cores: float | None  # that the server's processes kept busy
    memory_bytes: int | None  # of the server's processes, shared memory once
    overhead_ms: Mapping[str, float] | None  # of the server beyond the model, by its own histograms

    def to_plain(self) -> dict[str, Any]:
        """As JSON values, without the buckets."""
        report = self.report
        latency = {name: report.latency.quantile(share) * 1000 for name, share in _SHARES.items()}
        latency |= {"mean": report.latency.mean * 1000, "max": report.latency.most * 1000}
        return {
            "connections": self.connections,
            "rate": self.rate,
            "throughput": report.throughput,
            "answers": {str(status): count for status, count in sorted(report.answers.items())},
            "errors": report.errors,
            "latency_ms": latency,
            "overhead_ms": None if self.overhead_ms is None else dict(self.overhead_ms),
            "cpu_cores": self.cpu_cores,
            "memory_bytes": self.memory_bytes,
        }


def measure(target: Target, plan: LoadPlan) -> Point:
    """One load on a target. Raises: ServiceUnreachable, LoadFailed."""
    before, spent = _scrape(target), _used(target)
    report = run_load(plan)
    after, cost = _scrape(target), _used(target)
    added = None
    if before is not None and after is not None:
        between = after.since(before)
        added = {name: between.overhead(share) * 1000 for name, share in _SHARES.items() if name != "p999"}
        added["mean"] = between.mean_overhead * 1000
    return Point(
        plan.connections,
        plan.rate,
        report,
        None if spent is None or cost is None else (cost[0] - spent[0]) / (plan.seconds + plan.warmup_s),
        None if cost is None else cost[1],
        added,
    )


def plan_of(target: Target, path: str, bodies: Sequence[bytes], seconds: float) -> LoadPlan:
    """A closed loop of one connection on a target, for `dataclasses.replace` to vary. Raises: BadInput."""
    headers = {"content-type": "application/json", **target.headers}
    asks = tuple(Ask(path, body) for body in bodies)
    return replace(
        LoadPlan(target.url, asks, headers=headers), seconds=seconds, warmup_s=min(0.5, seconds / 4)
    )


def _scrape(target: Target) -> Scrape | None:
    try:
        text = target.get("/metrics")
    except NotFound:
        return None
    found = None if text is None else Scrape.of(text.decode(errors="replace"))
    return found if found is not None and found.requests.count else None


def _used(target: Target) -> tuple[float, int] | None:
    found = None if target.pid is None else usage(target.pid)
    return None if found is None else (found.cpu_seconds, found.memory_bytes)


def _said(body: bytes) -> str:
    try:
        said = json.loads(body)
    except ValueError:
        return repr(body[:_QUOTED])
    if isinstance(said, dict):
        said = said.get("error") or said.get("message") or said
    return str(said)[:_QUOTED]
