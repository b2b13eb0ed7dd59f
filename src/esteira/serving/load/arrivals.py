"""When the requests of an open loop are due."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esteira.serving.load.plan import LoadPlan

_BATCH = 4096


def due_times(plan: LoadPlan, start: float, end: float) -> Iterator[float]:
    """Moments from `start` up to `end`, in order: at equal distances, or as a Poisson process has them."""
    rate = plan.rate or 1.0
    chance = np.random.default_rng(plan.seed)
    at = start
    while at < end:
        if plan.arrivals == "poisson":
            gaps = chance.exponential(1.0 / rate, _BATCH)
        else:
            gaps = np.full(_BATCH, 1.0 / rate)
        for moment in (at + np.cumsum(gaps)).tolist():
            if moment >= end:
                return
            at = moment
            yield moment
