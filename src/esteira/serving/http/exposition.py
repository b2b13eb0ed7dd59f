"""The counters as Prometheus text. Source: Prometheus text exposition format, version 0.0.4."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from esteira.serving.http.messages import Response
from esteira.serving.metrics import BUCKETS, FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from esteira.serving.gateway import Gateway
    from esteira.serving.http.messages import Request
    from esteira.serving.metrics import Family, Metrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics_text(gateway: Gateway, _request: Request) -> Response:
    """Answer GET /metrics for all workers."""
    return Response(200, exposition(gateway.metrics).encode(), CONTENT_TYPE)


def exposition(metrics: Metrics) -> str:
    """Every family with its help, type and series."""
    found = metrics.read()
    lines = [line for family in FAMILIES for line in _family(family, found.get(family.name, {}))]
    return "\n".join(lines) + "\n"


def _family(family: Family, series: Mapping[tuple[str, ...], Sequence[float]]) -> Iterator[str]:
    yield f"# HELP {family.name} {family.help}"
    yield f"# TYPE {family.name} {family.kind}"
    if not family.labels and not series:
        yield f"{family.name} 0"
    for labels, numbers in sorted(series.items()):
        named = dict(zip(family.labels, labels, strict=True))
        if family.kind == "histogram":
            yield from _histogram(family.name, named, numbers)
        elif family.name != "esteira_model_info" or numbers[0]:  # a version that left says nothing
            yield f"{family.name}{_labels(named)} {_number(numbers[0])}"


def _histogram(name: str, labels: Mapping[str, str], numbers: Sequence[float]) -> Iterator[str]:
    *counts, total = numbers
    for bound, count in zip([*map(str, BUCKETS), "+Inf"], accumulate(counts), strict=True):
        yield f"{name}_bucket{_labels({**labels, 'le': bound})} {_number(count)}"
    yield f"{name}_sum{_labels(labels)} {total!r}"
    yield f"{name}_count{_labels(labels)} {_number(sum(counts))}"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)
