"""The join engine that needs nothing else: sort the rows, then look every question up.

A key and a moment become one whole number, the key above the moment, so that the last row of a key that was
available is the one with the largest number that is not greater than the question's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from esteira.features.ordering import is_sorted, stable_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Whole = NDArray[np.uint64]
    Sides = tuple[NDArray[np.int64], NDArray[np.int64]]  # of the questions, of the rows

_WORD = 64  # bits


class NumpyEngine:
    """Joins in memory, in the thread that asks."""

    threads = 4  # sorting, like taking, lets other threads run

    def __init__(self, url: str = "numpy:") -> None:
        self.url = url

    def last_available(self, spine: pa.Table, rows: pa.Table) -> pa.Array:
        """See `JoinEngine.last_available`."""
        keys = spine.column("key").to_numpy(), rows.column("key").to_numpy()
        times = spine.column("at").to_numpy(), rows.column("available").to_numpy()
        if not len(keys[0]) or not len(keys[1]):
            return pa.nulls(len(keys[0]), pa.int64())
        asked, known, shift = _numbered(keys, times)
        order = stable_order(keys[1])
        known = known[order]
        if not is_sorted(known):  # by now nearly so when rows come about as they happen
            late = np.argsort(known, kind="stable")
            order, known = order[late], known[late]
        best = _best_so_far(known >> shift, order)
        found = np.searchsorted(known, asked, side="right") - 1
        has = (found >= 0) & (known[found] >> shift == asked >> shift)
        return pa.array(best[found], mask=~has)


def _numbered(keys: Sides, times: Sides) -> tuple[Whole, Whole, np.uint64]:
    """One number for each question and each row, and how many of its bits are the moment's."""
    low = min(int(side.min()) for side in times)
    bits = (max(int(side.max()) for side in times) - low).bit_length()
    if bits + max(int(side.max()) for side in keys).bit_length() <= _WORD:
        base = np.int64(low).view(np.uint64)
        asked, known = (side.view(np.uint64) - base for side in times)  # wraps around, and is exact
    else:  # moments so far apart are replaced by their ranks
        every = np.unique(np.concatenate(times))
        bits = len(every).bit_length()
        asked, known = (np.searchsorted(every, side).astype(np.uint64) for side in times)
    shift = np.uint64(bits)
    return keys[0].view(np.uint64) << shift | asked, keys[1].view(np.uint64) << shift | known, shift


def _best_so_far(keys: Whole, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each row in that order the greatest position that its key has had: what came late hides nothing."""
    first = keys.view(np.int64) * len(order)  # grows with the key, so no key sees the positions of another
    best = first + order
    np.maximum.accumulate(best, out=best)
    best -= first
    return best
