"""What the evidence of a rollout allows, in one word and in a sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from esteira.serving.rollout.sequences import Interval

VerdictKind = Literal["promote", "roll back", "hold", "widen"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do now, why, and the mean difference it rests on (below 0: challenger better)."""

    kind: VerdictKind
    reason: str
    interval: Interval
    advice: VerdictKind | Literal[""] = ""  # what a person could do now, where that is not done by itself

    def facts(self) -> dict[str, object]:
        """The verdict as JSON values; a bound that is infinite yet is null."""
        found = self.interval
        bounds = {"mean": found.mean, "low": found.low, "high": found.high}
        finite = {name: value if math.isfinite(value) else None for name, value in bounds.items()}
        said: dict[str, object] = {"verdict": self.kind, "reason": self.reason}
        if self.advice:
            said["advice"] = self.advice
        return said | finite | {"observations": found.observations}
