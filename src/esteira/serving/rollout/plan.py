"""How a challenger may take over, decided before anyone sees how it does: what every strategy shares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from esteira.base.errors import BadInput
from esteira.serving.rollout.losses import LOSSES, OUTCOME, Costs

if TYPE_CHECKING:
    from collections.abc import Mapping

Goal = Literal["better", "harmless", "healthy"]
_GOALS = ("better", "harmless", "healthy")
_SPANS = ("bake", "max_duration", "block")
_MICROSECOND = timedelta(microseconds=1)


class BadPlan(BadInput):
    """A plan that cannot be followed; it names the setting and what was expected."""

    def __init__(self, strategy: str, setting: str, expected: str, found: object) -> None:
        super().__init__(f"{strategy} {setting} must be {expected}, found {found}")
        self.strategy, self.setting, self.expected, self.found = strategy, setting, expected, found


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPlan(ABC):
    """The evidence that a rollout asks for, and how often chance may pass for it.

    Predictions that share a storm, a bug or a holiday are right or wrong together. `block` should be longer
    than such a thing usually lasts, and longer than labels take to come, or chance passes for evidence.

    Raises: BadPlan.
    """

    strategy: ClassVar[str] = ""

    goal: Goal = "better"  # what promotes: a better metric, no harm beyond the margin, or no guard that fires
    bake: timedelta = timedelta(days=1)  # the least time at each step
    minimum: int = 300  # predictions at each step before any verdict; labelled ones, unless it is "healthy"
    max_duration: timedelta = timedelta(days=28)  # no evidence by then, and the champion stays
    metric: str = "log_loss"  # by which labels judge: a loss by its name, or "outcome", the label itself
    costs: tuple[float, float] = (1.0, 1.0)  # of the metric "cost": of a false alarm, and of a miss
    threshold: float = 0.5  # from which on a score says yes: for "cost", "error" and the agreement
    margin: float = 0.01  # of the metric, that the challenger may be worse by before a step widens
    block: timedelta = timedelta(hours=6)  # predictions of one block count as one; zero: each for itself
    alpha: float = 0.05  # bound on the chance of ever promoting one that is no better
    harm_alpha: float = (
        0.01  # bound on the chance of ever rolling back one that does no harm, over all guards
    )
    max_error_rate: float = 0.01  # of the challenger's requests
    max_latency_ratio: float = 3.0  # challenger to champion, of the median and of the slowest hundredth
    max_score_shift: float | None = 0.4  # Kolmogorov–Smirnov distance between the scores of both, 0 to 1
    min_agreement: float | None = None  # share of requests on which both say the same, where both are asked
    segments: tuple[str, ...] = ()  # whose requests take part; empty: all
    automatic: bool = True  # else it widens and promotes by hand only; harm rolls it back all the same

    def __post_init__(self) -> None:
        self._check_goal()
        self._check_steps()
        self._check_times()
        self._check_chances()
        self._check_limits()

    # ── what the strategies say ─────────────────────────────────────────────────────────────────────────

    @property
    @abstractmethod
    def ladder(self) -> tuple[float, ...]:
        """The challenger's share of the traffic at each step."""

    @property
    def mirrored(self) -> float:
        """The share of the requests that the challenger is asked too, after the reply."""
        return 0.0

    @property
    def first_step(self) -> int:
        """Where a rollout begins."""
        return 0

    @property
    def moves_freely(self) -> bool:
        """Whether any step may follow any other, and promotion each."""
        return False

    # ── what follows from that ──────────────────────────────────────────────────────────────────────────

    @property
    def steps(self) -> int:
        return len(self.ladder)

    @property
    def is_paired(self) -> bool:
        """Whether both models are judged on the same rows: not where the answer decides what comes of it."""
        return self.metric != OUTCOME

    @property
    def planned_observations(self) -> float:
        """About how many observations decide: where the confidence sequence is tuned to be tightest.

        It must not depend on what is seen, so it comes from the plan: half of the longest duration.
        """
        if not self.block:
            return float(self.minimum * self.steps)
        return max(2.0, self.max_duration / self.block / 2)

    def costs_of(self) -> Costs:
        """What a wrong answer costs, and from which score on the answer is yes."""
        return Costs(*self.costs, self.threshold)

    def to_plain(self) -> dict[str, Any]:
        """The plan as JSON values, durations in microseconds."""
        micros = {name: getattr(self, name) // _MICROSECOND for name in _SPANS}
        lists = {name: [*value] for name, value in asdict(self).items() if isinstance(value, tuple)}
        return {"strategy": self.strategy} | asdict(self) | lists | micros

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of `to_plain`. Raises: BadPlan."""
        said = {name: value for name, value in plain.items() if name != "strategy"}
        known = {each.name for each in fields(cls)}
        for name in said:
            if name not in known:  # written by a newer esteira
                raise BadPlan(cls.strategy, "settings", f"some of {', '.join(sorted(known))}", name)
        tuples = {name: tuple(value) for name, value in said.items() if isinstance(value, list)}
        spans = {name: timedelta(microseconds=said[name]) for name in _SPANS if name in said}
        return cls(**{**said, **tuples, **spans})

    # ── checks ──────────────────────────────────────────────────────────────────────────────────────────

    def _hold(self, setting: str, expected: str, found: object, *, fits: bool) -> None:
        if not fits:
            raise BadPlan(self.strategy, setting, expected, found)

    def _check_goal(self) -> None:
        self._hold("goal", f"one of {', '.join(_GOALS)}", self.goal, fits=self.goal in _GOALS)
        names = (*LOSSES, OUTCOME)
        self._hold("metric", f"one of {', '.join(names)}", self.metric, fits=self.metric in names)
        fits = len(self.costs) == 2 and all(0 <= each < inf for each in self.costs)
        self._hold("costs", "two numbers of 0 or more: of a false alarm, of a miss", self.costs, fits=fits)
        fits = all(isinstance(each, str) and each for each in self.segments)
        self._hold("segments", "a tuple of names", self.segments, fits=fits and _is_tuple(self.segments))

    def _check_steps(self) -> None:
        shares, mirrored = self.ladder, self.mirrored
        fits = bool(shares) and [*shares] == sorted({*shares}) and 0 <= shares[0] <= shares[-1] <= 1
        self._hold("shares", "rising fractions from 0 to 1, e.g. (0.05, 0.25, 1.0)", shares, fits=fits)
        self._hold("mirror", "a fraction above 0 to 1", mirrored, fits=0 <= mirrored <= 1)

    def _check_times(self) -> None:
        found = f"{self.bake} and {self.block}"
        fits = self.bake >= timedelta(0) and self.block >= timedelta(0)
        self._hold("bake and block", "no negative time", found, fits=fits)
        least = max(self.bake * (1 if self.moves_freely else self.steps), _MICROSECOND)
        expected = f"time for {self.steps} steps of {self.bake}"
        self._hold("max_duration", expected, self.max_duration, fits=self.max_duration >= least)

    def _check_chances(self) -> None:
        what = "prediction" if self.goal == "healthy" else "labelled prediction"
        self._hold("minimum", f"at least 1 {what}", self.minimum, fits=self.minimum >= 1)
        for name in ("alpha", "harm_alpha"):
            value = getattr(self, name)
            self._hold(name, "a probability above 0 and below 0.5", value, fits=0 < value < 0.5)
        self._hold("margin", "a number of 0 or more", self.margin, fits=0 <= self.margin < inf)

    def _check_limits(self) -> None:
        rate, ratio = self.max_error_rate, self.max_latency_ratio
        self._hold("max_error_rate", "a fraction above 0 and below 1", rate, fits=0 < rate < 1)
        self._hold("max_latency_ratio", "a ratio above 0", ratio, fits=0 < ratio < inf)
        shift, agreement = self.max_score_shift, self.min_agreement
        fits = shift is None or 0 < shift < 1
        self._hold("max_score_shift", "a distance above 0 and below 1, or None", shift, fits=fits)
        fits = agreement is None or 0 < agreement < 1
        self._hold("min_agreement", "a share above 0 and below 1, or None", agreement, fits=fits)


def _is_tuple(found: object) -> bool:
    return isinstance(found, tuple)  # a text would be taken for its letters
