"""What was seen of a rollout: both versions, how keys were split, and what labels say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from esteira.base.clock import to_micros

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray


def _none() -> NDArray[np.float64]:
    return np.empty(0)


@dataclass(frozen=True, slots=True, eq=False)
class ArmSeen:
    """What one version did, whatever its predictions are worth."""

    requests: int = 0  # that it was asked, answered or not
    errors: int = 0  # of these
    latencies: NDArray[np.float64] = field(default_factory=_none)  # seconds, of those that it answered
    scores: NDArray[np.float64] = field(default_factory=_none)

    @property
    def nonfinite(self) -> int:
        """Scores that are no number."""
        return int(np.count_nonzero(~np.isfinite(self.scores)))


@dataclass(frozen=True, slots=True)
class Split:
    """How many keys the split dealt to each at this step, and the challenger's share as it was intended."""

    champion: int
    challenger: int
    share: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """On how many of the requests that both were asked they said the same."""

    agreeing: int
    compared: int


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Both models since the rollout began.

    `at`, `differences` and `keys` are parallel, shape (n,): when each labelled prediction was made, in UTC
    microseconds, how much worse the challenger is by it, in the unit of the plan's metric, and a number for
    the key that asked; without `keys` each asked once.
    """

    step: int  # from 0
    started_at: datetime
    step_since: datetime
    now: datetime
    at: NDArray[np.int64]
    differences: NDArray[np.float64]
    champion: ArmSeen = field(default_factory=ArmSeen)
    challenger: ArmSeen = field(default_factory=ArmSeen)
    asked_in_step: int = 0  # requests of the challenger
    split: Split | None = None
    agreement: Agreement | None = None
    is_validated: bool = True  # whether the checks after the deployment were made
    broken: tuple[str, ...] = ()  # what they found
    keys: NDArray[np.int64] | None = None

    @property
    def labelled(self) -> int:
        return len(self.differences)

    @property
    def labelled_in_step(self) -> int:
        return int(np.count_nonzero(self.at >= to_micros(self.step_since)))
