"""Simulated rollouts: requests, labels that come late, storms that both versions suffer, and looks.

Two versions are equal when they are drawn alike: what one row says of the difference is then as likely to be
its opposite. Rows of one block share a storm, so they are no independent witnesses. What is wrong with a
challenger is added to it alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from esteira.base.clock import to_micros
from esteira.serving.rollout.analysis import analyse
from esteira.serving.rollout.evidence import ArmSeen, Evidence, Split
from esteira.serving.rollout.losses import paired_losses, weighed_outcomes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from esteira.serving.rollout.plan import RolloutPlan
    from esteira.serving.rollout.verdict import Verdict

    Numbers = NDArray[np.float64]

START = datetime(2013, 6, 1, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
STORM = timedelta(hours=6)
LOOK = 100  # requests between two looks
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Harm:
    """What is wrong with the challenger."""

    error_rate: float = 0.0  # more of its requests fail
    slower: float = 1.0  # times
    slow_share: float = 0.0  # of its requests, 20 times as slow
    shifted: float = 0.0  # its scores: of them, replaced by one near 1
    nonfinite: float = 0.0  # of its scores
    lost: float = 0.0  # of the keys that are its own, given to the champion
    worse: float = 0.0  # nats of log loss for each prediction; below 0 it is better
    lift: float = 0.0  # of the requests that would have brought nothing, its answers bring something


@dataclass(frozen=True, slots=True)
class Traffic:
    """What comes, and how evenly."""

    requests: int = 8_000
    days: float = 28.0
    storm: float = 0.4  # standard deviation of what a block does to the logits of one version
    delay: timedelta = timedelta(hours=12)  # of a label, on average; the times are exponential
    unlabelled: float = 0.1  # of the requests never get a label
    keys: int = 0  # that ask again and again, each with outcomes of its own; 0: each asks once
    error_rate: float = 0.002  # of both versions; five times that in a block of twenty


class World:
    """All that both versions would answer, drawn once: who is asked is decided as it comes."""

    def __init__(self, seed: int, traffic: Traffic, harm: Harm) -> None:
        self.traffic, self.harm = traffic, harm
        chance = self._chance = np.random.default_rng([seed, 2013])
        rows = traffic.requests
        span = int(traffic.days * DAY / timedelta(microseconds=1))
        before = span // max(int(traffic.days), 1)  # a day on which the champion answers alone
        self.at = np.sort(chance.integers(-before, span, rows + int(rows / traffic.days)))
        self.first = int(np.searchsorted(self.at, 0))
        self.block = self.at // (STORM // timedelta(microseconds=1)) - int(self.at[0] // 3.6e9)
        many = traffic.keys or len(self.at)
        self.key = chance.integers(0, many, len(self.at)) if traffic.keys else np.arange(many)
        self.luck = chance.random(many)[self.key]  # where a key lies on the scale of the split
        self._answer()
        self._label()

    def _answer(self) -> None:
        chance, harm, count = self._chance, self.harm, len(self.at)
        truth = chance.normal(-1.0, 1.2, self.traffic.keys or count)[self.key]
        self.label = (chance.random(count) < _sigmoid(truth)).astype(np.float64)
        storms = chance.normal(0, self.traffic.storm, (2, int(self.block.max()) + 1))
        self.scores = [
            _sigmoid(truth + chance.normal(0, 0.3, count) + storms[arm, self.block]) for arm in (0, 1)
        ]
        is_bad = (chance.random(int(self.block.max()) + 1) < 0.05)[self.block]  # hours of trouble, for both
        slow, failing = np.where(is_bad, 4.0, 1.0), np.where(is_bad, 5.0, 1.0) * self.traffic.error_rate
        self.latencies = [0.002 * slow * chance.lognormal(0, 0.5, count) for _ in (0, 1)]
        self.failed = [chance.random(count) < failing for _ in (0, 1)]
        self.losses = paired_losses(self.label, *self.scores) + harm.worse
        self.latencies[1] *= np.where(chance.random(count) < harm.slow_share, 20.0, harm.slower)
        self.failed[1] |= chance.random(count) < harm.error_rate
        self.brought = np.maximum(self.label, chance.random(count) < harm.lift)  # by the challenger
        moved = chance.random(count) < harm.shifted
        self.scores[1] = np.where(moved, chance.uniform(0.9, 1.0, count), self.scores[1])
        self.scores[1][chance.random(count) < harm.nonfinite] = np.nan

    def _label(self) -> None:
        chance, traffic = self._chance, self.traffic
        mean = traffic.delay / timedelta(microseconds=1)
        known = self.at + chance.exponential(mean, len(self.at)).astype(np.int64)
        known[chance.random(len(self.at)) < traffic.unlabelled] = _NEVER
        self.label_at = known
        self.lost = chance.random(len(self.at)) < self.harm.lost

    @cached_property
    def looks(self) -> range:
        """Up to which row each look sees; after them come days of silence until the end."""
        return range(self.first + LOOK, len(self.at) + 1, LOOK)


def _sigmoid(logits: Numbers) -> Numbers:
    found: Numbers = 1 / (1 + np.exp(-logits))
    return found


@dataclass(frozen=True, slots=True)
class Ended:
    """How one rollout ended."""

    kind: str  # promote, roll back, or hold: not ended
    reason: str
    canary: int  # requests that the challenger was asked
    days: float
    step: int

    @property
    def is_blamed(self) -> bool:
        """Whether the challenger was rolled back for harm, and not because its time was over."""
        return self.kind == "roll back" and not self.reason.startswith(("no evidence of being", "only "))


@dataclass(slots=True)
class Following:
    """One rollout on its way through a world."""

    world: World
    plan: RolloutPlan
    step: int = field(init=False)
    since: int = 0  # microseconds after the start
    first: int = field(init=False)  # row of this step
    asked: NDArray[np.bool_] = field(init=False)  # which rows went to the challenger
    shares: Numbers = field(init=False)  # with which chance each did

    def __post_init__(self) -> None:
        self.step, self.first = self.plan.first_step, self.world.first
        self.asked = np.zeros(len(self.world.at), dtype=bool)
        self.shares = np.zeros(len(self.world.at))

    @property
    def share(self) -> float:
        return self.plan.ladder[self.step]

    def ask(self, start: int, end: int) -> None:
        """Deal the rows from `start` to `end`."""
        world = self.world
        self.shares[start:end] = self.share
        self.asked[start:end] = (world.luck[start:end] < self.share) & ~world.lost[start:end]

    def widen(self, now: int, row: int) -> None:
        self.step, self.since, self.first = self.step + 1, now, row

    def evidence(self, now: int, row: int) -> Evidence:
        """What is known at a moment, `row` requests having come."""
        world, start = self.world, self.world.first
        labelled = world.label_at[start:row] <= now
        dealt = self.asked[self.first : row]
        reference = 0 if self.share == 1 else start
        return Evidence(
            step=self.step,
            started_at=START,
            step_since=START + timedelta(microseconds=self.since),
            now=START + timedelta(microseconds=now),
            at=to_micros(START) + world.at[start:row][labelled],
            differences=self._differences(start, row)[labelled],
            keys=world.key[start:row][labelled],
            champion=self._seen(0, reference, row),
            challenger=self._seen(1, start, row),
            asked_in_step=int(np.sum(dealt)),
            split=self._split(row),
        )

    def _differences(self, start: int, row: int) -> Numbers:
        world = self.world
        if self.plan.is_paired:
            return world.losses[start:row]
        asked = self.asked[start:row]
        outcomes = np.where(asked, world.brought[start:row], world.label[start:row])
        return weighed_outcomes(outcomes, asked, self.shares[start:row])

    def _split(self, row: int) -> Split | None:
        if not 0 < self.share < 1:
            return None
        keys, dealt = self.world.key[self.first : row], self.asked[self.first : row]
        if self.world.traffic.keys:
            keys, first = np.unique(keys, return_index=True)
            dealt = dealt[first]
        return Split(int(np.sum(~dealt)), int(np.sum(dealt)), self.share)

    def _seen(self, arm: int, start: int, row: int) -> ArmSeen:
        mine = self.asked[start:row] == bool(arm)
        failed = self.world.failed[arm][start:row] & mine
        answered = mine & ~failed
        latencies, scores = self.world.latencies[arm][start:row], self.world.scores[arm][start:row]
        return ArmSeen(int(mine.sum()), int(failed.sum()), latencies[answered], scores[answered])


def follow(seed: int, plan: RolloutPlan, traffic: Traffic | None = None, harm: Harm | None = None) -> Ended:
    """One whole rollout, looked at every hundred requests, as the ring looks at it."""
    world = World(seed, traffic or Traffic(), harm or Harm())
    way, before = Following(world, plan), world.first
    for row in world.looks:
        way.ask(before, row)
        before = row
        now = int(world.at[row - 1]) + 1
        verdict = analyse(way.evidence(now, row), plan)
        if verdict.kind == "widen":
            way.widen(now, row)
        elif verdict.kind != "hold":
            return _ended(verdict, way, now, row)
    late = int((plan.max_duration + STORM) / timedelta(microseconds=1))  # nobody asks any more
    return _ended(analyse(way.evidence(late, before), plan), way, late, before)


def _ended(verdict: Verdict, way: Following, now: int, row: int) -> Ended:
    canary = int(np.sum(way.asked[:row]))
    return Ended(verdict.kind, verdict.reason, canary, now / (DAY / timedelta(microseconds=1)), way.step)


def followed(
    runs: int, plan: RolloutPlan, traffic: Traffic | None = None, harm: Harm | None = None, *, first: int = 0
) -> list[Ended]:
    """Rollouts with the seeds `first`, `first` + 1, …"""
    return [follow(seed, plan, traffic, harm) for seed in range(first, first + runs)]


def silent(plan: RolloutPlan) -> list[str]:
    """What is decided of a rollout that nobody asks, once an hour until just before its time is over."""
    evidence = Evidence(0, START, START, START, np.empty(0, np.int64), np.empty(0))
    hours = int(plan.max_duration / HOUR)
    return [analyse(replace(evidence, now=START + hour * HOUR), plan).kind for hour in range(hours)]
