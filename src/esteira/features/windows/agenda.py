"""What is due when: things at boundaries, handed out in their order; and deltas to the sums of keys."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np

from esteira.features.ordering import stable_order

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

END_OF_TIME = int(np.iinfo(np.int64).max)


class Dated(Protocol):
    """Things, each at a boundary, held in arrays of one length."""

    @property
    def boundaries(self) -> NDArray[np.int64]: ...

    def part(self, rows: slice | NDArray[np.int64]) -> Self:
        """Some of them, by position."""
        ...

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """All of several, in their order."""
        ...


class Deltas(NamedTuple):
    """Changes to the sums of keys: `amounts` has a row for each change, the others one number."""

    codes: NDArray[np.int64]
    boundaries: NDArray[np.int64]
    amounts: NDArray[np.int64]

    @classmethod
    def none(cls, width: int) -> Deltas:
        """No changes to that many sums."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, width), np.int64))

    @classmethod
    def joined(cls, parts: Iterable[Deltas]) -> Deltas:
        return cls(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def part(self, rows: slice | NDArray[np.int64]) -> Deltas:
        return Deltas(self.codes[rows], self.boundaries[rows], self.amounts[rows])

    def negative(self) -> Deltas:
        """What undoes them."""
        return self._replace(amounts=-self.amounts)

    def summed(self) -> Deltas:
        """One delta for each key and boundary, sorted by both."""
        if not len(self.codes):
            return self
        ordered = self.part(stable_order(self.codes, within=np.argsort(self.boundaries, kind="stable")))
        differs = np.diff(ordered.codes) | np.diff(ordered.boundaries)
        firsts = np.concatenate([[0], np.flatnonzero(differs) + 1])
        sums = np.add.reduceat(ordered.amounts, firsts, axis=0)
        return Deltas(ordered.codes[firsts], ordered.boundaries[firsts], sums)


Due = TypeVar("Due", bound=Dated)


class Agenda(Generic[Due]):
    """What is pending, in chunks that are sorted and do not overlap, so that taking what is due is cheap.

    >>> agenda = Agenda(Deltas.none(2))
    >>> agenda.put(Deltas(np.array([0, 1]), np.array([20, 10]), np.array([[1, 5], [1, 7]])))
    >>> agenda.take(10).codes.tolist(), agenda.take(99).codes.tolist()
    ([1], [0])
    """

    def __init__(self, nothing: Due) -> None:
        self._nothing = nothing
        self._chunks: deque[Due] = deque()

    def put(self, added: Due) -> None:
        """Add things in any order; those of one boundary are handed out in the order in which they came."""
        if not len(added.boundaries):
            return
        earliest = added.boundaries.min()
        overlapping = [added]
        while self._chunks and self._chunks[-1].boundaries[-1] > earliest:
            overlapping.append(self._chunks.pop())
        chunk = self._nothing.joined(reversed(overlapping)) if len(overlapping) > 1 else added
        if np.any(chunk.boundaries[1:] < chunk.boundaries[:-1]):
            chunk = chunk.part(np.argsort(chunk.boundaries, kind="stable"))
        self._chunks.append(chunk)

    def boundary_of(self, place: int) -> int:
        """The boundary of what is handed out after `place` others; the end of time when nothing is left."""
        for chunk in self._chunks:
            if place < len(chunk.boundaries):
                return int(chunk.boundaries[place])
            place -= len(chunk.boundaries)
        return END_OF_TIME

    def take(self, until: int) -> Due:
        """Remove and return all that is due at boundaries up to `until`, included."""
        due = [self._nothing]
        while self._chunks and self._chunks[0].boundaries[0] <= until:
            chunk = self._chunks.popleft()
            split = int(np.searchsorted(chunk.boundaries, until, side="right"))
            due.append(chunk.part(slice(0, split)))
            if split < len(chunk.boundaries):
                self._chunks.appendleft(chunk.part(slice(split, None)))
        return self._nothing.joined(due)
