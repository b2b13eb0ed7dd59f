"""The counters as Prometheus text. Source: Prometheus text exposition format, version 0.0.4."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from esteira.serving.http.messages import Response
from esteira.serving.telemetry.families import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from esteira.serving.gateway import Gateway
    from esteira.serving.http.messages import Request
    from esteira.serving.telemetry.families import Family
    from esteira.serving.telemetry.metrics import Metrics

    Texts = dict[tuple[str, tuple[str, ...]], tuple[Sequence[float], str]]  # family, labels → numbers, text

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_texts: WeakKeyDictionary[Metrics, Texts] = WeakKeyDictionary()


def metrics_text(gateway: Gateway, _request: Request) -> Response:
    """Answer GET /metrics for all workers."""
    return Response(200, exposition(gateway.metrics).encode(), CONTENT_TYPE)


def exposition(metrics: Metrics) -> str:
    """Every family with its help, type and series; only what changed since the last time is written anew."""
    found, texts = metrics.read(), _texts.setdefault(metrics, {})
    return "".join(_family(family, found.get(family.name, {}), texts) for family in FAMILIES)


def _family(family: Family, series: Mapping[tuple[str, ...], Sequence[float]], texts: Texts) -> str:
    lines = [f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n"]
    if not family.labels and not series:
        lines.append(_series(family, (), [0.0] * family.size))
    for labels in sorted(series):
        numbers, key = series[labels], (family.name, labels)
        known = texts.get(key)
        if known is None or known[0] != numbers:
            known = texts[key] = numbers, _series(family, labels, numbers)
        lines.append(known[1])
    return "".join(lines)


def _series(family: Family, labels: Sequence[str], numbers: Sequence[float]) -> str:
    named = ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(family.labels, labels, strict=True))
    if family.kind == "histogram":
        return _histogram(family, named, numbers)
    if family.name == "esteira_model_info" and not numbers[0]:  # a version that left says nothing
        return ""
    return f"{family.name}{_braced(named)} {_number(numbers[0])}\n"


def _histogram(family: Family, named: str, numbers: Sequence[float]) -> str:
    *counts, total = numbers
    start = f"{family.name}_bucket{{{named}{',' if named else ''}le="
    bounds = [*map(str, family.buckets), "+Inf"]
    lines = [
        f'{start}"{bound}"}} {_number(count)}\n'
        for bound, count in zip(bounds, accumulate(counts), strict=True)
    ]
    lines.append(f"{family.name}_sum{_braced(named)} {total!r}\n")
    lines.append(f"{family.name}_count{_braced(named)} {_number(sum(counts))}\n")
    return "".join(lines)


def _braced(named: str) -> str:
    return f"{{{named}}}" if named else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)
