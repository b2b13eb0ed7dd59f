"""The strategies: which traffic the challenger gets, and what it takes to win."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from esteira.base.errors import UnknownName
from esteira.serving.rollout.losses import OUTCOME
from esteira.serving.rollout.plan import Goal, RolloutPlan

if TYPE_CHECKING:
    from collections.abc import Mapping

_GRID = 100  # a bandit's share moves in hundredths


@dataclass(frozen=True, slots=True)
class Canary(RolloutPlan):
    """A few requests first, then more, as long as the evidence allows it.

    >>> Canary((0.05, 0.5), bake=timedelta(days=1), minimum=300).steps
    2
    """

    strategy: ClassVar[str] = "canary"

    shares: tuple[float, ...] = (0.05, 0.25, 1.0)  # of the traffic, rising, one per step

    def __post_init__(self) -> None:
        RolloutPlan.__post_init__(self)
        expected = "rising fractions above 0 and at most 1, e.g. (0.05, 0.25, 1.0)"
        self._hold("shares", expected, self.shares, fits=self.shares[0] > 0)

    @property
    def ladder(self) -> tuple[float, ...]:
        return self.shares


@dataclass(frozen=True, slots=True, kw_only=True)
class BlueGreen(RolloutPlan):
    """All the traffic at once; the champion stands by in memory, so that the return is instant.

    The challenger is loaded on every worker and validated with no traffic first. After the switch it has
    `bake` and `minimum` to show that no guard fires.
    """

    strategy: ClassVar[str] = "blue-green"

    goal: Goal = "healthy"
    bake: timedelta = timedelta(hours=1)
    max_duration: timedelta = timedelta(days=7)

    @property
    def ladder(self) -> tuple[float, ...]:
        return (0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow(RolloutPlan):
    """Asked what the champion answers, after the reply: no user sees what it says.

    It is compared with the champion on the same requests. Unless it is `automatic`, a person promotes it.
    """

    strategy: ClassVar[str] = "shadow"

    mirror: float = 1.0  # of the requests
    goal: Goal = "healthy"
    automatic: bool = False

    def __post_init__(self) -> None:
        RolloutPlan.__post_init__(self)
        self._hold("mirror", "a fraction above 0 to 1", self.mirror, fits=self.mirror > 0)

    @property
    def ladder(self) -> tuple[float, ...]:
        return (0.0,)

    @property
    def mirrored(self) -> float:
        return self.mirror


@dataclass(frozen=True, slots=True, kw_only=True)
class ChampionChallenger(Shadow):
    """A shadow that is judged by labels, however late they come; it takes over when it is better."""

    strategy: ClassVar[str] = "champion-challenger"

    goal: Goal = "better"
    automatic: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ABTest(RolloutPlan):
    """An experiment: a fixed split, by key, on what the answers bring about.

    The same key sees the same version; the header `x-esteira-arm` overrides it for whoever tests, and such
    requests do not count. A split that is not the intended one stops it.
    """

    strategy: ClassVar[str] = "ab"

    share: float = 0.5
    metric: str = OUTCOME

    def __post_init__(self) -> None:
        RolloutPlan.__post_init__(self)
        self._hold("share", "a fraction above 0 and below 1", self.share, fits=0 < self.share < 1)

    @property
    def ladder(self) -> tuple[float, ...]:
        return (self.share,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandit(RolloutPlan):
    """Thompson sampling: each version gets as much traffic as its chance of being the best.

    Outcomes must lie between 0 and 1. Neither version falls below `floor`, so what changes is found out.
    Source: Thompson 1933; Agrawal & Goyal 2012 for outcomes between 0 and 1.
    """

    strategy: ClassVar[str] = "bandit"

    floor: float = 0.05
    metric: str = OUTCOME
    bake: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        self._hold("floor", "a share from 0.01 to 0.5", self.floor, fits=0.01 <= self.floor <= 0.5)
        RolloutPlan.__post_init__(self)
        self._hold("metric", "outcome", self.metric, fits=self.metric == OUTCOME)

    @property
    def ladder(self) -> tuple[float, ...]:
        least = round(self.floor * _GRID)
        return tuple(each / _GRID for each in range(least, _GRID - least + 1))

    @property
    def first_step(self) -> int:
        return self.steps // 2

    @property
    def moves_freely(self) -> bool:
        return True

    def step_of(self, share: float) -> int:
        """The step whose share is nearest."""
        return min(range(self.steps), key=lambda step: abs(self.ladder[step] - share))


STRATEGIES: Mapping[str, type[RolloutPlan]] = {
    kind.strategy: kind for kind in (Canary, BlueGreen, Shadow, ChampionChallenger, ABTest, Bandit)
}


def plan_of(plain: Mapping[str, Any]) -> RolloutPlan:
    """The plan that `to_plain` wrote; one that names no strategy is a canary's. Raises: BadPlan, UnknownName.

    >>> plan_of(Canary((0.1, 1.0)).to_plain()) == Canary((0.1, 1.0))
    True
    """
    name = plain.get("strategy", Canary.strategy)
    if name not in STRATEGIES:
        raise UnknownName("strategy", str(name), STRATEGIES)
    return STRATEGIES[name].from_plain(plain)
