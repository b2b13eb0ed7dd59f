"""Which rows each event counts in, and what the events that count in a row amount to.

The rows stand by key, then boundary, and there is one wherever an event enters or leaves: an event counts in
a run of rows. All is worked out over whole arrays, in memory that is a few numbers for each event and row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEAST = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Spans:
    """For each event the rows that it counts in: from `starts` up to `ends`, which is not one of them.

    >>> spans = Spans(np.array([0, 1]), np.array([2, 3]), rows=4)
    >>> spans.greatest(np.array([7, 5])).to_pylist(), spans.distinct(np.array([1, 1])).tolist()
    ([7, 7, 5, None], [1, 1, 1, 0])
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    rows: int

    def part(self, events: NDArray[np.int64]) -> Spans:
        """Those of some events, by position."""
        return Spans(self.starts[events], self.ends[events], self.rows)

    def greatest(self, numbers: NDArray[np.int64]) -> pa.Int64Array:
        """The greatest number among the events of each row; null in a row where none counts.

        A span is covered by two runs, each as long as the greatest power of two that fits. Runs are noted at
        their first row; then those of each length are handed down as two of half of it, until each is a row.
        """
        best = np.full(self.rows, _LEAST)
        power_of = np.frexp(self.ends - self.starts)[1] - 1  # -1 for an event that counts in no row
        for power in range(int(power_of.max(initial=-1)), -1, -1):
            events = np.flatnonzero(power_of == power)
            np.maximum.at(best, self.starts[events], numbers[events])
            np.maximum.at(best, self.ends[events] - (1 << power), numbers[events])
            half = 1 << power >> 1
            if half:
                best[half:] = np.maximum(best[half:], best[:-half])
        is_covered = np.cumsum(_steps(self.starts, self.ends, self.rows)) > 0
        return pa.array(best, mask=~is_covered)

    def distinct(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many different codes the events of each row have; codes are not negative."""
        places = self.rows + 1
        order = np.argsort(codes * places + self.starts)
        starts, ends = ((codes * places + each)[order] for each in (self.starts, self.ends))
        reached = np.maximum.accumulate(ends)  # a greater code's spans lie beyond all of a lesser one's
        is_first = np.ones(len(order), np.bool_)
        is_first[1:] = starts[1:] > reached[:-1]
        is_last = np.roll(is_first, -1)
        return np.cumsum(_steps(starts[is_first] % places, reached[is_last] % places, self.rows))


def _steps(starts: NDArray[np.int64], ends: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
    """By how much more spans cover each row than the row before."""
    begun, ended = (np.bincount(each, minlength=rows + 1) for each in (starts, ends))
    steps: NDArray[np.int64] = (begun - ended)[:rows]
    return steps
