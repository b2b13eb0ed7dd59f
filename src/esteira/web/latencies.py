"""How latencies spread, drawn as bars of counts in buckets with marks at p50, p95 and p99."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from esteira.serving.telemetry.histograms import quantile
from esteira.web.canvas import CANVASES, GROUND, TOP
from esteira.web.cells import seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from esteira.web.canvas import Canvas

SHARES = (0.5, 0.95, 0.99)  # of the answers, whose latencies are marked
_FEWEST = 6  # buckets that are drawn, so that one bar is no wall
_TALLEST = GROUND - TOP - 24  # a bar stays below the names of the marks
_AIR = 0.07  # of a bucket's width, on either side of its bars


@dataclass(frozen=True, slots=True)
class Spread:
    """Counts in buckets: one for each bound, and one above the last."""

    name: str
    css: str  # v0 to v5
    counts: Sequence[float]


@dataclass(frozen=True, slots=True)
class _Frame:
    """Turns buckets into pixels."""

    canvas: Canvas
    first: int
    last: int

    @property
    def wide(self) -> float:
        return self.canvas.across / (self.last - self.first)

    def x(self, bucket: float) -> float:
        return self.canvas.left + (bucket - self.first) * self.wide


def latency_chart(
    bounds: Sequence[float], spreads: Sequence[Spread], *, label: str, spell: Callable[[int], str]
) -> Markup:
    """The bars of each spread side by side; the marks are those of the first. No counts: an empty Markup.

    Shapes: bounds (n,), each of the counts (n + 1,). Unit of the bounds: seconds.
    """
    first, last = _shown([any(column) for column in zip(*(each.counts for each in spreads), strict=True)])
    if last == first:
        return Markup("")
    drawn = []
    for canvas in CANVASES:
        frame = _Frame(canvas, first, last)
        every = 1 + (last - first - 2) // canvas.most_labels
        edges = (at for at in range(first + 1, last) if (at - first) % every == 0)
        inside = [canvas.below(frame.x(at), seconds(bounds[at - 1])) for at in edges]
        inside.append(
            f'<line class="grid" x1="{frame.x(first):.1f}" x2="{frame.x(last):.1f}" '
            f'y1="{GROUND}" y2="{GROUND}"/>'
        )
        inside += _bars(bounds, spreads, frame, spell)
        inside += _marks(bounds, spreads[0].counts, frame)
        inside.append(canvas.legend([(each.name, each.css) for each in spreads]))
        drawn.append(canvas.svg(label, inside))
    return Markup("".join(drawn))


def _bars(
    bounds: Sequence[float], spreads: Sequence[Spread], frame: _Frame, spell: Callable[[int], str]
) -> list[str]:
    """As tall as their share of their own spread."""
    highest = max(max(each.counts) / (sum(each.counts) or 1.0) for each in spreads)
    width, drawn = frame.wide * (1 - 2 * _AIR) / len(spreads), []
    for place, each in enumerate(spreads):
        total = sum(each.counts) or 1.0
        for at in range(frame.first, frame.last):
            share = each.counts[at] / total
            rise = max(1.0, _TALLEST * share / highest) if share else 0.0
            left = frame.x(at) + frame.wide * _AIR + place * width
            note = f"{each.name}, {_between(bounds, at)}: {spell(round(each.counts[at]))} ({share:.1%})"
            drawn.append(
                f'<rect class="{each.css}" x="{left:.1f}" y="{GROUND - rise:.1f}" '
                f'width="{width - 1:.1f}" height="{rise:.1f}"><title>{escape(note)}</title></rect>'
            )
    return drawn


def _marks(bounds: Sequence[float], counts: Sequence[float], frame: _Frame) -> list[str]:
    drawn = []
    for place, share in enumerate(SHARES):
        value = quantile(bounds, counts, share)
        if value is None:
            continue
        x, high = frame.x(_place(bounds, value)), TOP + 12 * place
        is_far = x > frame.canvas.width - 40
        side, anchor = (x - 4, "end") if is_far else (x + 4, "start")
        drawn.append(
            f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{high}" y2="{GROUND}"/>'
            f'<text class="mark" x="{side:.1f}" y="{high + 9}" text-anchor="{anchor}">'
            f"p{share * 100:.0f}</text>"
        )
    return drawn


def _place(bounds: Sequence[float], value: float) -> float:
    """Where a value lies on the scale of buckets.

    >>> _place([1.0, 2.0, 4.0], 3.0), _place([1.0, 2.0, 4.0], 0.5), _place([1.0, 2.0], 9.0)
    (2.5, 0.5, 2.0)
    """
    for at, (low, high) in enumerate(pairwise((0.0, *bounds))):
        if value <= high:
            return at + (value - low) / (high - low)
    return float(len(bounds))


def _shown(filled: Sequence[bool]) -> tuple[int, int]:
    """The buckets from the first that holds something to behind the last, with some beside if they are few.

    >>> _shown([False, True, True, False, False, False, False]), _shown([False, False])
    ((0, 6), (0, 0))
    """
    if not any(filled):
        return 0, 0
    first, last = filled.index(True), len(filled) - [*reversed(filled)].index(True)
    while last - first < min(_FEWEST, len(filled)):
        first, last = max(first - 1, 0), min(last + 1, len(filled))
    return first, last


def _between(bounds: Sequence[float], at: int) -> str:
    if at == len(bounds):
        return f"> {seconds(bounds[-1])}"
    return f"{seconds(bounds[at - 1]) if at else '0'} – {seconds(bounds[at])}"
