"""When a column is better than noise: it must do better than every shuffle of itself.

A shuffle has the column's own values and tells nothing. If the column tells nothing either, it is one of
1 + n equals, and is the best of them once in 1 + n times: with 19 shuffles, one noise column in 20 is kept,
whatever its kind, its gaps, or its number of categories.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from esteira.base.errors import BadInput
from esteira.training.selectors.port import ColumnScore

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHUFFLES = 19


def checked_shuffles(shuffles: int) -> None:
    """Raises: BadInput, for fewer shuffles than tell anything."""
    if shuffles < 2:
        raise BadInput(f"shuffles must be 2 or more, found {shuffles}; 19 keep one noise column in 20")


def draws_of(seed: int, column: str) -> np.random.Generator:
    """A generator of the column's own, so that its shuffles do not depend on the columns beside it."""
    return np.random.default_rng([seed, zlib.crc32(column.encode())])


def against_shuffles(column: str, worth: float, shuffled: NDArray[np.float64]) -> ColumnScore:
    """How far a column's worth is above the mean of its shuffles; more is better. Shapes: shuffled (n,).

    >>> against_shuffles("dest", 0.75, np.array([0.25, 0.5])).score
    0.375
    """
    lost, equals = worth - shuffled, int((shuffled >= worth).sum())
    score, spread, noise = float(lost.mean()), float(lost.std(ddof=1)), float((lost.mean() - lost).max())
    reason = f"better than all {len(shuffled)} shuffles of it"
    if equals:
        reason = f"no better than noise: {equals} of {len(shuffled)} shuffles of it do as well"
    return ColumnScore(column, score, not equals, reason, spread, noise)
