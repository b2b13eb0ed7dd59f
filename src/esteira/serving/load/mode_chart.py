"""Ways to score the same rows as bars in one SVG file that needs nothing else, for light and dark pages.

Both scales are logarithmic, as modes are many times apart; each bar says its figure.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

WIDTH = 720
_LEFT, _RIGHT, _TOP = 188, 96, 34  # room for names, for figures, for the title
_BAR, _GAP, _PANEL = 16, 14, 62  # heights: of a bar, between modes, of all else in a panel
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.title{font-weight:600;font-size:14px}"
    ".what{font-weight:600}.figure{stroke:#fff;stroke-width:3px;paint-order:stroke}.ground{fill:#fff}.one{fill:#2f6fb0}.other{fill:#b0642f}.grid{stroke:#ddd}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.figure{stroke:#15181c}.ground{fill:#15181c}.one{fill:#6aa6e0}"
    ".other{fill:#e09a62}.grid{stroke:#3a3f46}}"
)


class ModeBars(NamedTuple):
    """What is drawn of a mode."""

    name: str
    rows_per_s: float
    p50_s: float  # of a row
    p99_s: float


class _Scale(NamedTuple):
    """Turns values into pixels by their logarithm, from a power of ten to one."""

    low: int
    high: int

    def __call__(self, value: float) -> float:
        at = (math.log10(max(value, 10.0**self.low)) - self.low) / (self.high - self.low)
        return _LEFT + min(at, 1.0) * (WIDTH - _LEFT - _RIGHT)


def modes_chart(title: str, modes: Sequence[ModeBars]) -> str:
    """One SVG: rows a second of each mode, and how long a row waits in milliseconds.

    >>> modes_chart("late", [ModeBars("batch", 1e6, 0.1, 0.1)]).startswith("<svg")
    True
    """
    speed = [(each.name, [each.rows_per_s]) for each in modes]
    waits = [(each.name, [each.p50_s * 1000, each.p99_s * 1000]) for each in modes]
    upper, down = _panel(_TOP, ["rows a second, by powers of ten"], speed, lambda value: f"{value:,.0f}")
    lower, height = _panel(
        down, ["milliseconds that a row waits, by powers of ten: p50", "p99"], waits, _figure
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(title)}" '
        f'viewBox="0 0 {WIDTH} {height}"><style>{_STYLE}</style>'
        f'<rect class="ground" width="{WIDTH}" height="{height}"/>'
        f"{_text('title', 16, 22, title)}{upper}{lower}</svg>\n"
    )


def _panel(
    top: int,
    legend: Sequence[str],
    rows: Sequence[tuple[str, list[float]]],
    spell: Callable[[float], str],
) -> tuple[str, int]:
    """Bars below one another under a legend, and where they end."""
    scale = _scale(value for _, values in rows for value in values)
    ground = top + 34 + sum(len(values) * _BAR + _GAP for _, values in rows)
    drawn = [_legend(top + 16, legend)]
    for power in range(scale.low, scale.high + 1):
        x = scale(10.0**power)
        drawn.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top + 28}" y2="{ground - _GAP + 6}"/>'
        )
        drawn.append(
            _text("", x, ground + 6, f"{10.0**power:,g}" if power < 0 else f"{10**power:,}", "middle")
        )
    down = top + 34
    for name, values in rows:
        drawn.append(_text("", _LEFT - 10, down + len(values) * _BAR / 2 + 4, name, "end"))
        for css, value in zip(("one", "other"), values, strict=False):
            width = scale(value) - _LEFT
            drawn.append(
                f'<rect class="{css}" x="{_LEFT}" y="{down + 1}" width="{width:.1f}" height="{_BAR - 2}"/>'
            )
            drawn.append(_text("figure", _LEFT + width + 6, down + _BAR - 4, spell(value)))
            down += _BAR
        down += _GAP
    return "".join(drawn), ground + _PANEL - 34


def _scale(values: Iterable[float]) -> _Scale:
    """From the power of ten below all of them, not at the least, to the one above."""
    found = [value for value in values if value > 0] or [1.0]
    low = math.floor(math.log10(min(found) * 0.8))
    return _Scale(low, max(math.ceil(math.log10(max(found))), low + 1))


def _legend(down: float, names: Sequence[str]) -> str:
    drawn, x = [], 16.0
    for css, name in zip(("one", "other"), names, strict=False):
        if len(names) > 1:
            drawn.append(f'<rect class="{css}" x="{x:.1f}" y="{down - 9:.1f}" width="10" height="10"/>')
            x += 15
        drawn.append(_text("what", x, down, name))
        x += 14 + 6.9 * len(name)
    return "".join(drawn)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _text(css: str, across: float, down: float, text: str, anchor: str = "start") -> str:
    named = f' class="{css}"' if css else ""
    return f'<text{named} x="{across:.1f}" y="{down:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
