"""The bandit's share of traffic against a Thompson sampler that learns from every answer at once.

Both are asked the same requests, and what each version's answer would bring is drawn before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esteira.serving.rollout.bandit import best_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from esteira.serving.rollout.strategies import Bandit


@dataclass(frozen=True, slots=True)
class Replay:
    """What the answers of both versions would bring, 0 or 1, shape (2, requests), and bring on average."""

    brought: NDArray[np.float64]
    means: tuple[float, float]
    luck: NDArray[np.float64]  # where each key lies on the scale of the split

    @property
    def requests(self) -> int:
        return int(self.brought.shape[1])

    def regret(self, asked: NDArray[np.bool_]) -> float:
        """Successes missed by asking the challenger where `asked`, and the champion elsewhere."""
        chosen = np.where(asked, self.means[1], self.means[0])
        return float(np.sum(max(self.means) - chosen))


def replay(seed: int, requests: int, means: tuple[float, float]) -> Replay:
    """A replay that is the same for the same seed."""
    chance = np.random.default_rng([seed, 1933])
    brought = (chance.random((2, requests)) < np.array(means)[:, None]).astype(np.float64)
    return Replay(brought, means, chance.random(requests))


def reference(given: Sequence[Replay], seed: int, floor: float = 0.0) -> list[NDArray[np.bool_]]:
    """Which requests of each replay a Thompson sampler of its own gives to the challenger.

    It draws for every request and learns before the next. With a floor, each version keeps that chance.
    """
    chance = np.random.default_rng([seed, 2012])
    runs, requests = len(given), given[0].requests
    brought, luck = np.stack([each.brought for each in given]), np.stack([each.luck for each in given])
    asked, every = np.zeros((runs, requests), dtype=bool), np.arange(runs)
    won, lost = np.ones((2, runs)), np.ones((2, runs))
    for at in range(requests):
        means = chance.beta(won, lost)
        arm = np.where(luck[:, at] < 2 * floor, luck[:, at] < floor, means[1] > means[0])
        gain = brought[every, arm.astype(int), at]
        won[arm.astype(int), every] += gain
        lost[arm.astype(int), every] += 1 - gain
        asked[:, at] = arm
    return list(asked)


def ours(given: Replay, plan: Bandit, every: int) -> NDArray[np.bool_]:
    """Which requests the bandit's share gives to the challenger, dealt anew after `every` requests."""
    asked, step = np.zeros(given.requests, dtype=bool), plan.first_step
    for start in range(0, given.requests, every):
        end = min(start + every, given.requests)
        asked[start:end] = given.luck[start:end] < plan.ladder[step]
        seen = asked[:end]
        champion, challenger = given.brought[0, :end][~seen], given.brought[1, :end][seen]
        step = plan.step_of(best_share(champion, challenger, seed=step))
    return asked
