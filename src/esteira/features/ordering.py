"""Sorting whole numbers in linear time: by radix, 16 bits at a time, least significant first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Whole = NDArray[np.int64] | NDArray[np.uint64]

_LIMB = 16  # bits: numpy sorts numbers of that size by radix


def stable_order(numbers: Whole, within: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Positions that sort `numbers`, shape (n,); equal ones stay in the order of `within`, or of the array.

    >>> stable_order(np.array([3, -1, 3, 2])).tolist()
    [1, 3, 0, 2]
    >>> stable_order(np.array([3, -1, 3, 2]), within=np.array([2, 3, 0, 1])).tolist()
    [1, 3, 2, 0]
    """
    order = within
    if order is None and is_sorted(numbers):
        return np.arange(len(numbers))
    if not len(numbers):
        return np.arange(0)
    low = numbers.min()
    digits = numbers.view(np.uint64) - low.view(np.uint64)  # wraps around, and is exact
    for shift in range(0, int(digits.max()).bit_length(), _LIMB):
        limb = (digits >> np.uint64(shift)).astype(np.uint16)
        if order is None:
            order = np.argsort(limb, kind="stable")
        else:
            order = order[np.argsort(limb[order], kind="stable")]
    return np.arange(len(numbers)) if order is None else order


def order_by(*ranks: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Positions that sort rows by the first rank, ties by the second, and so on; None when they are sorted.

    >>> order_by(np.array([1, 1, 0]), np.array([5, 4, 9])).tolist()
    [2, 1, 0]
    """
    if _stand_in_order(ranks):
        return None
    order = stable_order(ranks[0])
    first = ranks[0][order]
    ties = np.flatnonzero(first[1:] == first[:-1])
    if len(ties):  # only they need the other ranks
        tied = np.unique(np.concatenate([ties, ties + 1]))
        rows = order[tied]
        order[tied] = rows[np.lexsort([rank[rows] for rank in reversed(ranks)])]
    return order


def _stand_in_order(ranks: tuple[NDArray[np.int64], ...]) -> bool:
    ahead = np.zeros(max(len(ranks[0]) - 1, 0), np.bool_)
    for rank in ranks:  # wherever no earlier rank has decided
        if np.any(~ahead & (rank[1:] < rank[:-1])):
            return False
        ahead |= rank[1:] > rank[:-1]
    return True


def is_sorted(numbers: Whole) -> bool:
    """Whether no number is less than the one before it."""
    return bool(np.all(numbers[1:] >= numbers[:-1]))
