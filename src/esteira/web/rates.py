"""How often a gateway was asked over the last minutes, drawn as lines that end now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from esteira.web.canvas import CANVASES, GROUND, RIGHT, TOP
from esteira.web.charts import ticks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from esteira.web.canvas import Canvas


@dataclass(frozen=True, slots=True)
class RateLine:
    """How often something happened over time; None breaks the line."""

    name: str
    css: str  # v0 to v5, or failed
    values: Sequence[tuple[float, float | None]]  # seconds ago, a second


@dataclass(frozen=True, slots=True)
class _Frame:
    """Turns seconds ago and a rate into pixels."""

    canvas: Canvas
    span_s: float
    top: float

    def place(self, ago: float, value: float) -> tuple[float, float]:
        x = self.canvas.width - RIGHT - ago / self.span_s * self.canvas.across
        return x, GROUND - value / self.top * (GROUND - TOP)


def rate_chart(
    lines: Sequence[RateLine], *, label: str, span_s: float, now: str, spell: Callable[[float], str]
) -> Markup:
    """Lines from `span_s` ago to now; the first stands on a band. Nothing known: an empty Markup."""
    known = [value for line in lines for _, value in line.values if value is not None]
    if not known:
        return Markup("")
    steps = ticks(0.0, max(*known, 1.0) * 1.08)
    top = max(*known, *steps) * 1.02
    drawn = []
    for canvas in CANVASES:
        frame = _Frame(canvas, span_s, top)
        inside = [canvas.level(frame.place(0.0, value)[1], spell(value)) for value in steps]
        for minute in range(round(span_s / 60) + 1):
            x, _ = frame.place(60.0 * minute, 0.0)
            inside.append(canvas.below(x, f"−{minute} min" if minute else now, "middle" if minute else "end"))
        for line in lines:
            inside += _curves(line, frame, is_filled=line is lines[0])
        inside.append(canvas.legend([(line.name, line.css) for line in lines]))
        drawn.append(canvas.svg(label, inside))
    return Markup("".join(drawn))


def _curves(line: RateLine, frame: _Frame, *, is_filled: bool) -> list[str]:
    runs: list[list[tuple[float, float]]] = [[]]
    for ago, value in line.values:
        if value is None:
            runs.append([])
        else:
            runs[-1].append(frame.place(ago, value))
    drawn = []
    for run in (each for each in runs if len(each) > 1):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in run)
        if is_filled:
            ground = f"{run[-1][0]:.1f},{GROUND} {run[0][0]:.1f},{GROUND}"
            drawn.append(f'<polygon class="band {line.css}" points="{points} {ground}"/>')
        drawn.append(f'<polyline class="line {line.css}" points="{points}"/>')
    return drawn
