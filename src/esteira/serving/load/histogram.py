"""Latencies in buckets of equal relative width: any number of them in little memory, mergeable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_BITS = 7  # of each value that are kept
_STEPS = 1 << _BITS  # buckets to a power of two: each is narrower than 0.8 % of its values
_LONGEST_NS = 1 << 44  # almost five hours; whatever is longer counts as that
_SIZE = (44 - _BITS + 1) * _STEPS + 1


class Histogram:
    """Durations in seconds. Count, sum, least and most are exact, quantiles within 0.8 %.

    Source: HdrHistogram, G. Tene; 128 buckets to each power of two of nanoseconds.
    >>> seen = Histogram()
    >>> seen.record([0.001, 0.002, 0.004])
    >>> seen.count, round(seen.quantile(0.5) * 1000, 1)
    (3, 2.0)
    """

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros(_SIZE, dtype=np.int64)
        self.count, self.total = 0, 0.0  # total in seconds
        self.least, self.most = 0.0, 0.0  # seconds

    def record(self, seconds: Sequence[float]) -> None:
        """Count durations; a negative one counts as 0."""
        if not len(seconds):
            return
        taken = np.maximum(np.asarray(seconds, dtype=np.float64), 0.0)
        found = np.bincount(_places(taken), minlength=_SIZE)
        self._add(found, float(taken.sum()), (float(taken.min()), float(taken.max())))

    def merge(self, other: Histogram) -> None:
        """Count what another one counted."""
        if other.count:
            self._add(other._counts, other.total, (other.least, other.most))

    @property
    def mean(self) -> float:
        """Seconds; 0 of nothing."""
        return self.total / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """The duration in seconds that `share` of all, 0 to 1, do not exceed; 0 of nothing.

        Raises: BadInput.
        """
        if not 0.0 <= share <= 1.0:
            raise BadInput(f"a quantile is a share from 0 to 1, found {share!r}")
        if not self.count:
            return 0.0
        rank = min(self.count, max(1, int(np.ceil(share * self.count))))
        place = int(np.searchsorted(np.cumsum(self._counts), rank))
        low, high = _edges(place)
        return min(max((low + high) / 2e9, self.least), self.most)

    def bars(self) -> list[tuple[float, float, int]]:
        """(from, to, count) of every bucket that holds something, in seconds."""
        edges = ((_edges(int(at)), int(self._counts[at])) for at in np.flatnonzero(self._counts))
        return [(low / 1e9, high / 1e9, count) for (low, high), count in edges]

    def to_plain(self) -> dict[str, Any]:
        """As JSON values; empty buckets are left out."""
        places = np.flatnonzero(self._counts)
        return {
            "places": places.tolist(),
            "counts": self._counts[places].tolist(),
            "total": self.total,
            "least": self.least,
            "most": self.most,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of `to_plain`."""
        made = cls()
        counts = np.zeros(_SIZE, dtype=np.int64)
        counts[np.asarray(plain["places"], dtype=np.intp)] = plain["counts"]
        if counts.any():
            made._add(counts, float(plain["total"]), (float(plain["least"]), float(plain["most"])))
        return made

    def _add(self, counts: NDArray[np.int64], total: float, ends: tuple[float, float]) -> None:
        self.least = min(self.least, ends[0]) if self.count else ends[0]
        self.most = max(self.most, ends[1])
        self._counts += counts
        self.count += int(counts.sum())
        self.total += total


def _places(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    whole = np.minimum(seconds * 1e9, _LONGEST_NS).astype(np.int64)
    power: NDArray[np.int64] = np.frexp(whole.astype(np.float64))[1].astype(np.int64)  # its bit length
    shift = np.maximum(power - _BITS - 1, 0)
    places: NDArray[np.int64] = shift * _STEPS + (whole >> shift)
    return places


def _edges(place: int) -> tuple[int, int]:
    """The nanoseconds of a bucket: from, and up to without."""
    shift = max(place // _STEPS - 1, 0)
    low = (place - shift * _STEPS) << shift
    return low, low + (1 << shift)
