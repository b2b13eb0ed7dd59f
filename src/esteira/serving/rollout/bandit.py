"""Thompson sampling of the challenger's share: as much traffic as its chance of being the better one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_DRAWS = 20_000


def best_share(champion: ArrayLike, challenger: ArrayLike, *, seed: int = 0) -> float:
    """The chance, 0 to 1, that the challenger's outcomes are the greater on average.

    Shapes: champion (n,), challenger (m,), outcomes between 0 and 1. An outcome counts as that part of a
    success, and before any each mean is as likely as any other. The same outcomes give the same answer.
    Source: Thompson 1933; Agrawal & Goyal 2012, "Analysis of Thompson sampling for the multi-armed bandit
    problem", for outcomes between 0 and 1. Raises: ValueError (an outcome outside 0 to 1).
    >>> best_share([], []), best_share([0, 1] * 100, [1, 1, 0] * 100) > 0.99
    (0.5, True)
    """
    means = []
    drawn = np.random.default_rng(seed)
    for outcomes in (champion, challenger):
        seen = np.asarray(outcomes, np.float64)
        if seen.size and not ((seen >= 0) & (seen <= 1)).all():
            raise ValueError("outcomes of a bandit lie between 0 and 1")
        won = float(seen.sum())
        means.append(drawn.beta(1 + won, 1 + seen.size - won, _DRAWS))
    if not np.size(champion) and not np.size(challenger):
        return 0.5
    return float(np.mean(means[1] > means[0]))
