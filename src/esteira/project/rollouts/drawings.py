"""Drawings of a rollout as SVG text, for its page and its report: colours come from the style sheet there.

Each is drawn twice, for wide and for narrow screens; the style sheet shows one of the two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from esteira.project.rollouts.moves import Look

_HEIGHT, _TOP, _RIGHT, _GROUND = 230, 26, 14, 200
_MOST_LOOKS = 160  # that are drawn
_SEEN = 0.6  # of the looks, whose bounds fit into the drawing; earlier ones leave it
_BINS = 24


@dataclass(frozen=True, slots=True)
class _Sheet:
    css: str
    width: int
    left: int
    labels: int  # below the drawing

    def svg(self, label: str, inside: Iterable[str], height: int = _HEIGHT) -> str:
        return (
            f'<svg class="gauge {self.css}" role="img" aria-label="{escape(label)}" '
            f'viewBox="0 0 {self.width} {height}">{"".join(inside)}</svg>'
        )

    def text(self, css: str, x: float, y: float, text: str, anchor: str = "start") -> str:
        return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'

    def across(self, css: str, y: float) -> str:
        return f'<line class="{css}" x1="{self.left}" x2="{self.width - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'

    def x(self, part: float) -> float:
        """Where a part of the way from the left to the right lies, 0 to 1."""
        return self.left + part * (self.width - self.left - _RIGHT)

    def legend(self, named: Sequence[tuple[str, str]]) -> str:
        drawn, x = [], float(self.left)
        for css, text in named:
            drawn.append(f'<rect class="{css}" x="{x:.1f}" y="2" width="10" height="10"/>')
            drawn.append(self.text("key", x + 14, 12, text))
            x += 30 + 6.6 * len(text)
        return "".join(drawn)


_SHEETS = (_Sheet("wide", 720, 62, 5), _Sheet("narrow", 330, 52, 3))


@dataclass(frozen=True, slots=True)
class IntervalWords:
    """What is written in the drawing of an interval."""

    label: str
    mean: str
    bounds: str
    no_difference: str
    margin: str


def interval_chart(looks: Sequence[Look], margin: float | None, words: IntervalWords) -> str:
    """The confidence sequence of a rollout over time: the mean, its bounds, zero and the margin.

    An end that is infinite leaves the drawing. `margin` is None where the plan has none. Fewer than two
    looks: an empty text.
    """
    looks = _thinned(looks)
    if len(looks) < 2:
        return ""
    low, high = _range(looks, margin)
    times = [each.at.timestamp() for each in looks]
    span = times[-1] - times[0]
    # Looks of a clock that stands still are told apart by their order.
    parts = [(at - times[0]) / span if span else n / (len(looks) - 1) for n, at in enumerate(times)]

    def y(value: float) -> float:
        return _TOP + (high - min(max(value, low), high)) / (high - low) * (_GROUND - _TOP)

    drawn = []
    for sheet in _SHEETS:
        xs = [sheet.x(part) for part in parts]
        inside = [_levels(sheet, low, high, y)]
        inside.append(_area(xs, looks, y, low, high))
        inside.append(sheet.across("zero", y(0.0)))
        if margin:
            inside.append(sheet.across("limit", y(margin)))
            inside.append(sheet.text("mark", sheet.x(1), y(margin) - 5, words.margin, "end"))
        inside.append(sheet.text("mark", sheet.x(1), y(0.0) - 5, words.no_difference, "end"))
        points = " ".join(f"{x:.1f},{y(each.mean or 0.0):.1f}" for x, each in zip(xs, looks, strict=True))
        inside.append(f'<polyline class="line" points="{points}"/>')
        inside.append(f'<circle class="dot" r="4" cx="{xs[-1]:.1f}" cy="{y(looks[-1].mean or 0.0):.1f}"/>')
        inside.append(_times(sheet, looks[0].at, looks[-1].at))
        inside.append(sheet.legend([("v0", words.mean), ("v0 band", words.bounds)]))
        drawn.append(sheet.svg(words.label, inside))
    return "".join(drawn)


def _thinned(looks: Sequence[Look]) -> Sequence[Look]:
    known = [each for each in looks if each.mean is not None]
    if len(known) <= _MOST_LOOKS:
        return known
    places = np.unique(np.linspace(0, len(known) - 1, _MOST_LOOKS).round().astype(int))
    return [known[at] for at in places]


def _range(looks: Sequence[Look], margin: float | None) -> tuple[float, float]:
    """From the lowest value to the highest that is drawn; the widest intervals, the first, leave it."""
    reach = sorted(
        max(abs(value) for value in (each.low, each.high, each.mean) if value is not None) for each in looks
    )
    far = max(reach[min(int(_SEEN * len(reach)), len(reach) - 1)], 1.3 * (margin or 0.0), 1e-9)
    ends = [value for each in looks for value in (each.low, each.high, each.mean) if value is not None]
    low, high = max(min(*ends, 0.0), -far), min(max(*ends, margin or 0.0, 0.0), far)
    air = 0.1 * (high - low or 1.0)
    return low - air, high + air


def _area(
    xs: Sequence[float], looks: Sequence[Look], y: Callable[[float], float], low: float, high: float
) -> str:
    upper = [
        f"{x:.1f},{y(high if each.high is None else each.high):.1f}"
        for x, each in zip(xs, looks, strict=True)
    ]
    lower = [
        f"{x:.1f},{y(low if each.low is None else each.low):.1f}" for x, each in zip(xs, looks, strict=True)
    ]
    return f'<polygon class="band" points="{" ".join((*upper, *reversed(lower)))}"/>'


def _levels(sheet: _Sheet, low: float, high: float, y: Callable[[float], float]) -> str:
    drawn = []
    for value in _ticks(low, high):
        drawn.append(sheet.across("grid", y(value)))
        drawn.append(
            sheet.text("axis", sheet.left - 6, y(value) + 4, f"{value:+.3g}" if value else "0", "end")
        )
    return "".join(drawn)


def _ticks(low: float, high: float) -> list[float]:
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    return [step * n for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _times(sheet: _Sheet, first: datetime, last: datetime) -> str:
    form = "%m-%d %H:%M" if (last - first).days < 4 else "%Y-%m-%d"
    drawn = []
    for n in range(sheet.labels):
        part = n / (sheet.labels - 1)
        anchor = "start" if n == 0 else "end" if part == 1 else "middle"
        at = first + part * (last - first)
        drawn.append(sheet.text("axis", sheet.x(part), _HEIGHT - 10, at.strftime(form), anchor))
    return "".join(drawn)


def scores_chart(
    champion: NDArray[np.float64], challenger: NDArray[np.float64], names: tuple[str, str], label: str
) -> str:
    """The scores of both as histograms side by side, each as shares of its own. Nothing known: empty.

    Shapes: champion (n,), challenger (m,). `names` are those of the champion and of the challenger.
    """
    arms = [each[np.isfinite(each)] for each in (champion, challenger)]
    if not any(len(each) for each in arms):
        return ""
    edges = score_edges(*arms)
    parts = [np.histogram(each, edges)[0] / max(len(each), 1) for each in arms]
    tallest = max(float(each.max()) for each in parts)
    drawn = []
    for sheet in _SHEETS:
        inside = [_bars(sheet, parts, tallest, edges, names), sheet.across("grid", _GROUND)]
        for n in range(sheet.labels):
            part = n / (sheet.labels - 1)
            anchor = "start" if n == 0 else "end" if part == 1 else "middle"
            value = edges[0] + part * (edges[-1] - edges[0])
            inside.append(sheet.text("axis", sheet.x(part), _HEIGHT - 10, f"{value:.3g}", anchor))
        inside.append(sheet.legend([("v0", names[0]), ("v1", names[1])]))
        drawn.append(sheet.svg(label, inside))
    return "".join(drawn)


def score_edges(*samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """The edges of the bins of histograms that are compared: chances from 0 to 1 where scores are some."""
    low = min(float(each.min()) for each in samples if len(each))
    high = max(float(each.max()) for each in samples if len(each))
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    return np.linspace(low, high if high > low else low + 1.0, _BINS + 1)


def _bars(
    sheet: _Sheet,
    parts: Sequence[NDArray[np.float64]],
    tallest: float,
    edges: NDArray[np.float64],
    names: tuple[str, str],
) -> str:
    drawn = []
    wide = (sheet.x(1) - sheet.x(0)) / _BINS
    for place, (each, name) in enumerate(zip(parts, names, strict=True)):
        for at, share in enumerate(each.tolist()):
            if not share:
                continue
            rise = max(1.0, (_GROUND - _TOP) * share / tallest)
            note = escape(f"{name}, {edges[at]:.3g} – {edges[at + 1]:.3g}: {share:.1%}")
            left = sheet.x(0) + wide * (at + 0.06 + 0.44 * place)
            drawn.append(
                f'<rect class="v{place}" x="{left:.1f}" y="{_GROUND - rise:.1f}" '
                f'width="{0.43 * wide:.1f}" height="{rise:.1f}"><title>{note}</title></rect>'
            )
    return "".join(drawn)


@dataclass(frozen=True, slots=True)
class SplitBar:
    """One bar: what it is of, and the challenger's part of it; None where nothing was dealt yet."""

    name: str
    share: float | None
    note: str = ""


def split_chart(bars: Sequence[SplitBar], names: tuple[str, str], label: str) -> str:
    """Bars below each other, each split between the champion and the challenger. No bars: empty."""
    if not bars:
        return ""
    drawn = []
    for sheet in _SHEETS:
        height = 20 + 52 * len(bars)
        inside = [_legend_at_edge(sheet, names)]
        for n, bar in enumerate(bars):
            inside += _split(sheet, bar, 24 + 52 * n)
        drawn.append(sheet.svg(label, inside, height))
    return "".join(drawn)


def _legend_at_edge(sheet: _Sheet, names: tuple[str, str]) -> str:
    return _Sheet(sheet.css, sheet.width, 0, 0).legend([("v0", names[0]), ("v1", names[1])])


def _split(sheet: _Sheet, bar: SplitBar, top: int) -> list[str]:
    said = f"{bar.name}: {bar.note}" if bar.note else bar.name
    drawn = [sheet.text("key", 0, top + 12, said)]
    full = f'y="{top + 18}" height="22"'
    if bar.share is None:
        return [*drawn, f'<rect class="nothing" x="0" width="{sheet.width}" {full}/>']
    border = sheet.width * (1 - bar.share)
    drawn.append(f'<rect class="v0" x="0" width="{border:.1f}" {full}/>')
    drawn.append(f'<rect class="v1" x="{border:.1f}" width="{sheet.width - border:.1f}" {full}/>')
    if border > 48:
        drawn.append(sheet.text("on", 8, top + 34, f"{1 - bar.share:.1%}"))
    if sheet.width - border > 48:
        drawn.append(sheet.text("on other", sheet.width - 8, top + 34, f"{bar.share:.1%}", "end"))
    return drawn
