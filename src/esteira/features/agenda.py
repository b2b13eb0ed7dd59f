"""What is due when: deltas to the sums of keys, handed out in the order of their boundaries."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


class Deltas(NamedTuple):
    """Changes to the sums of keys: `amounts` has a row for each change, the others one number."""

    codes: NDArray[np.int64]
    boundaries: NDArray[np.int64]
    amounts: NDArray[np.int64]

    def part(self, rows: slice | NDArray[np.int64]) -> Deltas:
        """Some of them, by position."""
        return Deltas(self.codes[rows], self.boundaries[rows], self.amounts[rows])

    def summed(self) -> Deltas:
        """One delta for each key and boundary, sorted by both."""
        if not len(self.codes):
            return self
        ordered = self.part(np.lexsort((self.boundaries, self.codes)))
        differs = np.diff(ordered.codes) | np.diff(ordered.boundaries)
        firsts = np.concatenate([[0], np.flatnonzero(differs) + 1])
        sums = np.add.reduceat(ordered.amounts, firsts, axis=0)
        return Deltas(ordered.codes[firsts], ordered.boundaries[firsts], sums)


def joined(parts: Iterable[Deltas]) -> Deltas:
    """All deltas of several, in their order."""
    return Deltas(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


class Agenda:
    """Pending deltas in chunks that are sorted and do not overlap, so that taking what is due is cheap.

    >>> agenda = Agenda(2)
    >>> agenda.put(Deltas(np.array([0, 1]), np.array([20, 10]), np.array([[1, 5], [1, 7]])))
    >>> agenda.take(10).codes.tolist(), agenda.take(99).codes.tolist()
    ([1], [0])
    """

    def __init__(self, width: int) -> None:
        self._none = Deltas(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, width), np.int64))
        self._chunks: deque[Deltas] = deque()

    def put(self, deltas: Deltas) -> None:
        """Add deltas in any order."""
        if not len(deltas.codes):
            return
        earliest = deltas.boundaries.min()
        overlapping = [deltas]
        while self._chunks and self._chunks[-1].boundaries[-1] > earliest:
            overlapping.append(self._chunks.pop())
        chunk = joined(reversed(overlapping))
        self._chunks.append(chunk.part(np.argsort(chunk.boundaries, kind="stable")))

    def take(self, until: int) -> Deltas:
        """Remove and return all deltas of boundaries up to `until`, included."""
        due = [self._none]
        while self._chunks and self._chunks[0].boundaries[0] <= until:
            chunk = self._chunks.popleft()
            split = int(np.searchsorted(chunk.boundaries, until, side="right"))
            due.append(chunk.part(slice(0, split)))
            if split < len(chunk.codes):
                self._chunks.appendleft(chunk.part(slice(split, None)))
        return joined(due)
