"""How the values of a feature are distributed, in one pass over a column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
BINS = 24  # of a histogram
MOST_VALUES = 8  # of a feature of text that are named
_TAIL = 0.005  # of the values at either end that the histogram counts in its outer bins


@dataclass(frozen=True, slots=True)
class FeatureStatistics:
    """One feature over all rows of its view. What does not apply to its type is None or empty.

    NaN counts as null; infinities count as values, and in nothing that is made of numbers.
    """

    feature: str
    type: str
    rows: int
    nulls: int
    distinct: int  # of the values that are not null
    mean: float | None = None
    std: float | None = None
    low: float | None = None
    high: float | None = None
    quantiles: tuple[float, ...] = ()  # at `QUANTILES`
    edges: tuple[
        float, ...
    ] = ()  # of the histogram, one more than counts; the outer bins hold what is beyond
    counts: tuple[int, ...] = ()
    top: tuple[tuple[str, int], ...] = ()  # the most frequent values of text or flags

    @property
    def null_share(self) -> float:
        return self.nulls / self.rows if self.rows else 0.0


def describe_feature(name: str, values: pa.ChunkedArray) -> FeatureStatistics:
    """Count, measure and bin the values of one feature.

    >>> told = describe_feature("temp", pa.chunked_array([[1.0, 2.0, 3.0, None]]))
    >>> told.null_share, told.mean, told.quantiles[2], sum(told.counts)
    (0.25, 2.0, 2.0, 3)
    """
    kind, rows = values.type, len(values)
    if pa.types.is_dictionary(kind):
        return describe_feature(name, values.cast(kind.value_type))
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if not is_number:
        present = values.drop_null()
        distinct = pc.count_distinct(present).as_py()
        return FeatureStatistics(
            name, str(kind), rows, rows - len(present), distinct, top=_most_frequent(present)
        )
    numbers = pc.cast(values.drop_null(), pa.float64(), safe=False).to_numpy()
    numbers = numbers[~np.isnan(numbers)]
    about = (name, str(kind), rows, rows - len(numbers), len(np.unique(numbers)))
    finite = numbers[np.isfinite(numbers)]
    if not len(finite):
        return FeatureStatistics(*about)
    quantiles = np.quantile(finite, QUANTILES)
    edges, counts = _histogram(finite)
    return FeatureStatistics(
        *about,
        mean=float(finite.mean()),
        std=float(finite.std()),
        low=float(finite.min()),
        high=float(finite.max()),
        quantiles=tuple(quantiles.tolist()),
        edges=edges,
        counts=counts,
    )


def _histogram(values: NDArray[np.float64]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    low, high = np.quantile(values, (_TAIL, 1 - _TAIL))
    if low == high:
        low, high = values.min(), values.max()
    if low == high:
        return (float(low), float(high)), (len(values),)
    counts, edges = np.histogram(values.clip(low, high), BINS, (low, high))
    return tuple(edges.tolist()), tuple(counts.tolist())


def _most_frequent(values: pa.ChunkedArray) -> tuple[tuple[str, int], ...]:
    """The most frequent first; of equals the one that sorts first, so that the order is always the same."""
    if pa.types.is_nested(values.type) or not len(values):
        return ()
    found = pc.value_counts(values.cast(pa.string())).flatten()
    pairs = zip(found[0].to_pylist(), found[1].to_pylist(), strict=True)
    return tuple(sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:MOST_VALUES])
