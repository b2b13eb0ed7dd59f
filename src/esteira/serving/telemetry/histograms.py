"""What counts in buckets say of the values behind them."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def quantile(bounds: Sequence[float], counts: Sequence[float], share: float) -> float | None:
    """The value that `share` of the observations do not exceed; None without observations.

    It lies in the bucket that holds it, placed as if that were filled evenly; above the last bound it is the
    last bound. Shapes: bounds (n,), counts (n + 1,), not accumulated. Source: Prometheus, histogram_quantile.

    >>> quantile([1.0, 2.0], [0, 4, 0], 0.5)
    1.5
    """
    total = sum(counts)
    if not total:
        return None
    rank = share * total
    for at, below in enumerate(accumulate(counts)):
        if below >= rank and counts[at]:
            if at == len(bounds):
                break
            low = bounds[at - 1] if at else 0.0
            return low + (bounds[at] - low) * max(0.0, 1 - (below - rank) / counts[at])
    return bounds[-1]
