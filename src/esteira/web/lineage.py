"""Where things come from, drawn as columns of boxes with curves between them.

It is drawn twice, for wide and for narrow screens; the style sheet shows one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Node:
    """A box: a name, a word below it, and where it leads."""

    name: str
    note: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class _Measures:
    """The drawing of one width, in pixels."""

    css: str
    width: int
    box: int
    row: int  # from the top of one box to the next
    height: int
    letters: int  # of a name that fit in a box


_WIDE = _Measures("wide", 1040, 250, 58, 44, 30)
_NARROW = _Measures("narrow", 360, 106, 54, 42, 15)


def lineage(columns: Sequence[Sequence[Node]], edges: Sequence[tuple[str, str]], *, label: str) -> Markup:
    """Draw nodes in columns from left to right; an edge joins two names of columns that stand side by side.

    Nothing to draw: an empty Markup.
    """
    if not any(columns):
        return Markup("")
    return Markup("".join(_drawing(columns, edges, label, measures) for measures in (_WIDE, _NARROW)))


def _drawing(
    columns: Sequence[Sequence[Node]], edges: Sequence[tuple[str, str]], label: str, own: _Measures
) -> str:
    tallest = max(len(column) for column in columns)
    gap = (own.width - own.box * len(columns)) / max(1, len(columns) - 1)
    places: list[dict[str, tuple[float, float]]] = []  # of each column: name → left and middle of its box
    for at, column in enumerate(columns):
        first = (tallest - len(column)) * own.row / 2 + own.height / 2
        left = at * (own.box + gap)
        places.append({each.name: (left, first + n * own.row) for n, each in enumerate(column)})
    curves = [
        _curve(before[one], after[other], own)
        for before, after in pairwise(places)
        for one, other in edges
        if one in before and other in after
    ]
    boxes = [
        _box(each, place[each.name], own)
        for place, nodes in zip(places, columns, strict=True)
        for each in nodes
    ]
    height = tallest * own.row - (own.row - own.height)
    return (
        f'<svg class="lineage {own.css}" role="group" aria-label="{escape(label)}" '
        f'viewBox="-2 -2 {own.width + 4} {height + 4}">{"".join((*curves, *boxes))}</svg>'
    )


def _curve(start: tuple[float, float], end: tuple[float, float], own: _Measures) -> str:
    (x1, y1), (x2, y2) = (start[0] + own.box, start[1]), end
    middle = (x1 + x2) / 2
    return (
        f'<path class="thread" d="M{x1:.0f} {y1:.0f}C{middle:.0f} {y1:.0f} {middle:.0f} {y2:.0f} '
        f'{x2:.0f} {y2:.0f}"/>'
    )


def _box(node: Node, place: tuple[float, float], own: _Measures) -> str:
    (left, middle), centre = place, place[0] + own.box / 2
    top = middle - own.height / 2
    name_at = middle - 2 if node.note else middle + 5
    note = f'<text class="fact" x="{centre:.0f}" y="{middle + 14:.0f}">{_short(node.note, own)}</text>'
    inside = (
        f"<title>{escape(node.name)}</title>"
        f'<rect x="{left:.0f}" y="{top:.0f}" width="{own.box}" height="{own.height}" rx="8"/>'
        f'<text class="name" x="{centre:.0f}" y="{name_at:.0f}">{_short(node.name, own)}</text>'
        f"{note if node.note else ''}"
    )
    if node.href:
        return f'<a href="{escape(node.href)}" class="station">{inside}</a>'
    return f'<g class="station">{inside}</g>'


def _short(text: str, own: _Measures) -> Markup:
    return escape(text if len(text) <= own.letters else f"{text[: own.letters - 1]}…")
