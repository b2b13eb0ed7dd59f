"""How a challenger may take over the traffic, decided before anyone sees how it does."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

_SPANS = ("bake", "max_duration", "block")


class BadPlan(BadInput):
    """A plan that cannot be followed; it names the setting and what was expected."""

    def __init__(self, setting: str, expected: str, found: object) -> None:
        super().__init__(f"canary {setting} must be {expected}, found {found}")
        self.setting, self.expected, self.found = setting, expected, found


@dataclass(frozen=True, slots=True)
class CanaryPlan:
    """The steps of a rollout and the evidence that each asks for.

    Predictions that share a storm, a bug or a holiday are right or wrong together. `block` should be longer
    than such a thing usually lasts, and longer than labels take to come, or chance passes for evidence.

    Raises: BadPlan.
    >>> CanaryPlan((0.05, 0.5), timedelta(days=1), 300, timedelta(days=28)).steps
    2
    """

    shares: tuple[float, ...] = (0.05, 0.25, 1.0)  # of the traffic, rising, one per step
    bake: timedelta = timedelta(days=1)  # the least time at each step
    minimum: int = 300  # labelled predictions at each step before any verdict on them
    max_duration: timedelta = timedelta(days=28)  # no evidence by then, and the champion stays
    alpha: float = 0.05  # bound on the chance of a wrong promotion, and of a wrong claim of harm
    margin: float = 0.01  # log loss, in nats, that the challenger may be worse by before a step widens
    block: timedelta = timedelta(hours=6)  # predictions of one block count as one; zero: each for itself
    max_error_rate: float = 0.01  # of the challenger's requests
    max_latency_ratio: float = 3.0  # challenger to champion

    def __post_init__(self) -> None:
        steps = list(self.shares)
        if not steps or steps != sorted(set(steps)) or not 0 < steps[0] <= steps[-1] <= 1:
            raise BadPlan(
                "shares", "rising fractions above 0 and at most 1, e.g. (0.05, 0.25, 1.0)", self.shares
            )
        if self.bake < timedelta(0) or self.block < timedelta(0):
            raise BadPlan("bake and block", "no negative time", f"{self.bake} and {self.block}")
        if self.minimum < 1:
            raise BadPlan("minimum", "at least 1 labelled prediction", self.minimum)
        if self.max_duration < max(self.bake * self.steps, timedelta(microseconds=1)):
            raise BadPlan("max_duration", f"time for {self.steps} steps of {self.bake}", self.max_duration)
        if not 0 < self.alpha < 0.5:
            raise BadPlan("alpha", "a probability above 0 and below 0.5", self.alpha)
        if not self.margin >= 0:
            raise BadPlan("margin", "a loss of 0 or more", self.margin)
        self._check_limits()

    def _check_limits(self) -> None:
        if not 0 < self.max_error_rate < 1:
            raise BadPlan("max_error_rate", "a fraction above 0 and below 1", self.max_error_rate)
        if not self.max_latency_ratio > 0:
            raise BadPlan("max_latency_ratio", "a ratio above 0", self.max_latency_ratio)

    @property
    def steps(self) -> int:
        return len(self.shares)

    @property
    def planned_observations(self) -> float:
        """About how many observations decide: where the confidence sequence is tuned to be tightest.

        It must not depend on what is seen, so it comes from the plan: half of the longest duration.
        """
        if not self.block:
            return float(self.minimum * self.steps)
        return max(2.0, self.max_duration / self.block / 2)

    def to_plain(self) -> dict[str, Any]:
        """The plan as JSON values, durations in microseconds."""
        micros = {name: getattr(self, name) // timedelta(microseconds=1) for name in _SPANS}
        return asdict(self) | {"shares": [*self.shares]} | micros

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> CanaryPlan:
        """The inverse of `to_plain`. Raises: BadPlan."""
        spans = {name: timedelta(microseconds=plain[name]) for name in _SPANS}
        return cls(**{**plain, "shares": tuple(plain["shares"]), **spans})
