"""A measured server as two drawings in one SVG file that needs nothing else: latencies, and throughput."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from esteira.serving.load.histogram import Histogram

WIDTH, HEIGHT = 720, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 18, 44, 44
_BARS = 60
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.title{font-weight:600;font-size:14px}"
    ".bar{fill:#2f6fb0}.line{fill:none;stroke:#2f6fb0;stroke-width:2}.dot{fill:#2f6fb0}"
    ".grid{stroke:#ddd}.mark{stroke:#b0402f;stroke-dasharray:4 3}"
)


@dataclass(frozen=True, slots=True)
class _Scale:
    """Turns values into pixels, evenly or by their logarithm."""

    low: float
    high: float
    first: float
    last: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        ends = self.low, self.high, max(value, self.low)
        low, high, at = (math.log(each) if self.is_log else each for each in ends)
        return self.first + (at - low) / ((high - low) or 1.0) * (self.last - self.first)


def serving_chart(title: str, latency: Histogram, throughput: Sequence[tuple[int, float]]) -> str:
    """One SVG: the latencies of one load, in seconds, and answers a second by connections.

    >>> from esteira.serving.load.histogram import Histogram
    >>> serving_chart("late", Histogram(), [(1, 5.0)]).startswith("<svg")
    True
    """
    drawn = _latencies(latency) + f'<g transform="translate(0 {HEIGHT})">{_throughput(throughput)}</g>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(title)}" '
        f'viewBox="0 0 {WIDTH} {2 * HEIGHT}"><style>{_STYLE}</style>'
        f'<rect width="{WIDTH}" height="{2 * HEIGHT}" fill="#fff"/>'
        f'<text class="title" x="{_LEFT}" y="18">{escape(title)}</text>{drawn}</svg>\n'
    )


def _latencies(latency: Histogram) -> str:
    name = _text(_LEFT, 36, "latency, answers by milliseconds")
    if not latency.count:
        return name + _text(_LEFT, HEIGHT / 2, "no answer")
    low, high = max(latency.least, 1e-6), max(latency.most, latency.least * 1.01, 2e-6)
    x = _Scale(low, high, _LEFT, WIDTH - _RIGHT, is_log=True)
    counts = [0] * _BARS
    for start, end, count in latency.bars():
        at = min(max((start + end) / 2, low), high)
        counts[min(int((x(at) - _LEFT) / (WIDTH - _LEFT - _RIGHT) * _BARS), _BARS - 1)] += count
    y = _Scale(0.0, max(counts), HEIGHT - _BOTTOM, _TOP)
    step = (WIDTH - _LEFT - _RIGHT) / _BARS
    bars = "".join(
        f'<rect class="bar" x="{_LEFT + at * step:.1f}" y="{y(count):.1f}" width="{step - 1:.1f}" '
        f'height="{HEIGHT - _BOTTOM - y(count):.1f}"/>'
        for at, count in enumerate(counts)
        if count
    )
    marks = "".join(_mark(x(latency.quantile(share)), name) for share, name in ((0.5, "p50"), (0.99, "p99")))
    return name + _axes(x, y, _decades(low, high), lambda seconds: f"{seconds * 1000:g}") + bars + marks


def _throughput(points: Sequence[tuple[int, float]]) -> str:
    name = _text(_LEFT, 36, "answers a second by connections")
    if not points:
        return name
    x = _Scale(points[0][0], points[-1][0], _LEFT + 20, WIDTH - _RIGHT - 20, is_log=True)
    y = _Scale(0.0, max(value for _, value in points) or 1.0, HEIGHT - _BOTTOM, _TOP + 8)
    places = [(x(connections), y(value), value) for connections, value in points]
    line = " ".join(f"{across:.1f},{down:.1f}" for across, down, _ in places)
    dots = "".join(
        f'<circle class="dot" r="3.5" cx="{across:.1f}" cy="{down:.1f}"/>'
        + _text(across, down - 8, f"{value:,.0f}", "middle")
        for across, down, value in places
    )
    axes = _axes(x, y, [connections for connections, _ in points], lambda value: f"{value:g}")
    return f'{name}{axes}<polyline class="line" points="{line}"/>{dots}'


def _axes(x: _Scale, y: _Scale, places: Sequence[float], spell: Callable[[float], str]) -> str:
    drawn = []
    for part in range(5):
        value = y.low + (y.high - y.low) * part / 4
        down = y(value)
        drawn.append(
            f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{down:.1f}" y2="{down:.1f}"/>'
        )
        drawn.append(_text(_LEFT - 8, down + 4, f"{value:,.0f}", "end"))
    drawn += [_text(x(place), HEIGHT - _BOTTOM + 18, spell(place), "middle") for place in places]
    return "".join(drawn)


def _decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten between two durations."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [step * 10.0**power for power in powers for step in (1, 2, 5) if low <= step * 10.0**power <= high]


def _mark(across: float, name: str) -> str:
    line = f'<line class="mark" x1="{across:.1f}" x2="{across:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>'
    return line + _text(across, _TOP - 4, name, "end" if across > WIDTH - 3 * _RIGHT else "middle")


def _text(across: float, down: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{across:.1f}" y="{down:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
