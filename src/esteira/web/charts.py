"""Charts as SVG text, drawn on the server: they take their colours from the page's style sheet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 18, 30
_SPARK = (104, 32)  # width and height of a chart in a cell


@dataclass(frozen=True, slots=True)
class Point:
    """One value in time, with its interval if it has one, and what the pointer shows."""

    at: datetime
    value: float | None
    low: float | None = None
    high: float | None = None
    bad: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Frame:
    """Turns time and value into pixels."""

    start: float
    end: float
    low: float
    high: float

    def x(self, moment: datetime) -> float:
        span = (self.end - self.start) or 1.0
        return LEFT + (moment.timestamp() - self.start) / span * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        span = (self.high - self.low) or 1.0
        return TOP + (self.high - value) / span * (HEIGHT - TOP - BOTTOM)


def line_chart(
    points: Sequence[Point],
    *,
    label: str,
    limits: Sequence[float | None] = (),
    marks: Mapping[datetime, str] | None = None,
) -> Markup:
    """A line with its intervals; `limits` (one per point) is drawn dashed, `marks` as vertical lines.

    Gaps stay gaps: a point without value breaks the line. No points: an empty Markup.
    """
    known = [p for p in points if p.value is not None]
    if not known:
        return Markup("")
    heights = [v for p in known for v in (p.value, p.low, p.high) if v is not None]
    heights += [limit for limit in limits if limit is not None]
    frame = _frame([p.at for p in points], min(heights), max(heights))
    band = _band(known, frame)
    dashed = _polyline([(p.at, limit) for p, limit in zip(points, limits, strict=False)], frame, "limit")
    line = _polyline([(p.at, p.value) for p in points], frame, "line")
    dots = "".join(
        f'<circle class="{"dot bad" if p.bad else "dot"}" r="3.5" '
        f'cx="{frame.x(p.at):.1f}" cy="{frame.y(p.value):.1f}"><title>{escape(p.note)}</title></circle>'
        for p in known
        if p.value is not None
    )
    return _svg(
        label, _axes(frame, "{:.2f}".format) + _marks(marks or {}, frame) + band + dashed + line + dots
    )


def stacked_bars(
    days: Sequence[tuple[datetime, Mapping[int, int]]],
    *,
    label: str,
    spell: Callable[[int], str] = "{:,}".format,
) -> Markup:
    """Counts per day as bars, one colour per version, spelt by `spell`. No days: an empty Markup."""
    if not days:
        return Markup("")
    top = max(sum(counts.values()) for _, counts in days)
    frame = _frame([day for day, _ in days], 0, top, tight=True)
    width = max(1.0, (WIDTH - LEFT - RIGHT) / max(1, len(days)) - 0.6)
    bars = []
    for day, counts in days:
        floor = 0
        for version in sorted(counts):
            upper, lower = frame.y(floor + counts[version]), frame.y(floor)
            note = f"{day:%Y-%m-%d} v{version}: {spell(counts[version])}"
            bars.append(
                f'<rect class="v{(version - 1) % 6}" x="{frame.x(day) - width / 2:.1f}" y="{upper:.1f}" '
                f'width="{width:.1f}" height="{lower - upper:.1f}"><title>{note}</title></rect>'
            )
            floor += counts[version]
    versions = sorted({version for _, counts in days for version in counts})
    return _svg(label, _axes(frame, lambda count: spell(round(count))) + "".join(bars) + _legend(versions))


def share_bar(shares: Sequence[tuple[int, float]], *, label: str) -> Markup:
    """One bar split by version: (version, share from 0 to 1)."""
    start, parts = 0.0, []
    for version, share in shares:
        width = 700 * share
        text = f"v{version} {share:.0%}"
        parts.append(
            f'<rect class="v{(version - 1) % 6}" x="{start:.1f}" y="0" width="{width:.1f}" height="34">'
            f"<title>{text}</title></rect>"
        )
        if width > 70:
            parts.append(
                f'<text class="on" x="{start + width / 2:.1f}" y="22" text-anchor="middle">{text}</text>'
            )
        start += width
    return Markup(
        f'<svg class="chart" role="img" aria-label="{escape(label)}" viewBox="0 0 700 34">'
        f"{''.join(parts)}</svg>"
    )


def _frame(moments: Sequence[datetime], low: float, high: float, *, tight: bool = False) -> _Frame:
    margin = 0.0 if tight else 0.08 * ((high - low) or abs(high) or 1.0)
    seconds = [moment.timestamp() for moment in moments]
    # Half a bar at each end, or as much as keeps the first dot off the axis.
    slack = 43_200.0 if tight or len(set(seconds)) == 1 else 0.02 * (max(seconds) - min(seconds))
    return _Frame(min(seconds) - slack, max(seconds) + slack, low - margin, high + (margin or 0.05 * high))


def _polyline(points: Sequence[tuple[datetime, float | None]], frame: _Frame, css: str) -> str:
    runs: list[list[str]] = [[]]
    for at, value in points:
        if value is None:
            runs.append([])
        else:
            runs[-1].append(f"{frame.x(at):.1f},{frame.y(value):.1f}")
    return "".join(f'<polyline class="{css}" points="{" ".join(run)}"/>' for run in runs if len(run) > 1)


def _band(points: Sequence[Point], frame: _Frame) -> str:
    bounded = [p for p in points if p.low is not None and p.high is not None]
    upper = [f"{frame.x(p.at):.1f},{frame.y(p.high or 0.0):.1f}" for p in bounded]
    lower = [f"{frame.x(p.at):.1f},{frame.y(p.low or 0.0):.1f}" for p in reversed(bounded)]
    return f'<polygon class="band" points="{" ".join(upper + lower)}"/>' if len(bounded) > 1 else ""


def _marks(marks: Mapping[datetime, str], frame: _Frame) -> str:
    drawn = []
    for at, text in marks.items():
        if frame.start <= at.timestamp() <= frame.end:
            x = frame.x(at)
            drawn.append(
                f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
                f'<text class="mark" x="{x + 3:.1f}" y="{TOP + 9}">{escape(text)}</text>'
            )
    return "".join(drawn)


def _legend(versions: Sequence[int]) -> str:
    """Above the chart, from the right: the colour of each of the newest versions."""
    drawn = []
    for place, version in enumerate(reversed(versions[-6:])):
        x = WIDTH - RIGHT - 58 * (place + 1)
        drawn.append(
            f'<rect class="v{(version - 1) % 6}" x="{x}" y="1" width="10" height="10"/>'
            f'<text class="key" x="{x + 14}" y="11">v{version}</text>'
        )
    return "".join(drawn)


def _axes(frame: _Frame, spell: Callable[[float], str]) -> str:
    drawn = []
    for value in ticks(frame.low, frame.high):
        y = frame.y(value)
        drawn.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="axis" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{spell(value)}</text>'
        )
    for moment in _dates(frame):
        drawn.append(
            f'<text class="axis" x="{frame.x(moment):.1f}" y="{HEIGHT - 8}" text-anchor="middle">'
            f"{moment:%m-%d}</text>"
        )
    return "".join(drawn)


def ticks(low: float, high: float) -> list[float]:
    """Four to eight round values between two ends."""
    raw = (high - low) / 5 or 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first = math.ceil(low / step)
    return [step * n for n in range(first, math.floor(high / step) + 1)]


def _dates(frame: _Frame) -> list[datetime]:
    count = 6
    step = (frame.end - frame.start) / count
    return [datetime.fromtimestamp(frame.start + step * (n + 0.5), UTC) for n in range(count)]


def _svg(label: str, inside: str) -> Markup:
    return Markup(
        f'<svg class="chart" role="img" aria-label="{escape(label)}" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f"{inside}</svg>"
    )


def histogram(bars: Sequence[tuple[str, int]], *, label: str) -> Markup:
    """A small chart for a table's cell: (what the pointer shows, count) per bar. No bars: an empty Markup."""
    tallest = max((count for _, count in bars), default=0)
    if not tallest:
        return Markup("")
    (width, height), drawn = _SPARK, []
    step = width / len(bars)
    for place, (note, count) in enumerate(bars):
        rise = max(1.0, height * count / tallest) if count else 0.0
        drawn.append(
            f'<rect class="bar" x="{place * step:.1f}" y="{height - rise:.1f}" '
            f'width="{max(1.0, step - 1):.1f}" height="{rise:.1f}"><title>{escape(note)}</title></rect>'
        )
    return Markup(
        f'<svg class="spark" role="img" aria-label="{escape(label)}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">{"".join(drawn)}</svg>'
    )
