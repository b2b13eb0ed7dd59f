"""What drawings of a running gateway stand on: each is drawn twice, for wide and for narrow screens.

The style sheet shows one of the two, and gives the colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from markupsafe import escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HEIGHT, TOP, RIGHT, GROUND = 210, 18, 14, 182  # the ground is where zero lies, above the values of the x axis


@dataclass(frozen=True, slots=True)
class Canvas:
    """The drawing of one width, in pixels."""

    css: str
    width: int
    left: int  # where the first value of the x axis lies
    letters: int  # of a name above the drawing
    most_labels: int  # below it

    @property
    def across(self) -> float:
        """From the first value of the x axis to the last."""
        return self.width - self.left - RIGHT

    def svg(self, label: str, inside: Iterable[str]) -> str:
        """The whole drawing."""
        return (
            f'<svg class="gauge {self.css}" role="img" aria-label="{escape(label)}" '
            f'viewBox="0 0 {self.width} {HEIGHT}">{"".join(inside)}</svg>'
        )

    def level(self, y: float, text: str) -> str:
        """A line across, with its value."""
        return (
            f'<line class="grid" x1="{self.left}" x2="{self.width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="axis" x="{self.left - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>'
        )

    def below(self, x: float, text: str, anchor: str = "middle") -> str:
        """A value of the x axis."""
        place = f'x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}"'
        return f'<text class="axis" {place}>{escape(text)}</text>'

    def legend(self, named: Sequence[tuple[str, str]]) -> str:
        """Names and their colours above the drawing, from the left, as many as have room."""
        most = self.letters
        texts = [name if len(name) <= most else f"{name[: most - 1]}…" for name, _ in named]
        places = accumulate((34 + 7 * len(text) for text in texts), initial=self.left)
        return "".join(
            f'<rect class="{css}" x="{x}" y="1" width="10" height="10"/>'
            f'<text class="key" x="{x + 14}" y="11">{escape(text)}</text>'
            for x, text, (_, css) in zip(places, texts, named, strict=False)
            if x + 14 + 7 * len(text) < self.width
        )


CANVASES = (Canvas("wide", 720, 58, 22, 8), Canvas("narrow", 330, 40, 18, 5))
