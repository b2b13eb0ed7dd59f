"""Profiles: the distribution of a column as counts over fixed bins, which add up exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from esteira.base.records import Profile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from esteira.registry.columns import Column
    from esteira.registry.signature import Signature

    Counts = NDArray[np.int64]
    Matrix = NDArray[np.float64]

MOST_BINS = 20  # of a number
MOST_CATEGORIES = 50  # kept by name; the rarer ones are "other"

_SAMPLE_ROWS = 65_536  # edges are cut on a sample; what is counted between them is everything
_BLOCK_ROWS = 16_384  # few enough that a block stays in the processor's cache


@dataclass(frozen=True, slots=True)
class Bins:
    """How the values of one column are counted: numbers between edges, or categories by name.

    A number falls in the bin that starts at the last edge not above it. The bin before the last holds what
    has no bin of its own (beyond the last edge, "other"); the last holds the missing.
    """

    column: str
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    places: tuple[int, ...] = ()  # of a categorical column: the bin of each category code

    @property
    def width(self) -> int:
        """How many bins there are, with that of the missing."""
        return max(len(self.edges), len(self.categories)) + 2

    def count(self, values: NDArray[np.float64]) -> Counts:
        """How many values fall in each bin, shape (width,).

        >>> Bins("miles", edges=(0.0, 100.0)).count(np.array([-1.0, 0.0, 99.0, 100.0, math.nan])).tolist()
        [1, 2, 1, 1]
        """
        if self.places:
            return self._count_codes(values)
        present = int(np.count_nonzero(values == values))  # noqa: PLR0124 - only NaN differs from itself
        # One comparison and one count per edge run at memory speed; a search per value does not.
        beyond = [int(np.count_nonzero(values >= edge)) for edge in self.edges]
        below = np.diff([present, *beyond, 0])
        return np.append(-below, len(values) - present).astype(np.int64)

    def profile(self, counts: Counts) -> Profile:
        """The record of counts over these bins."""
        return Profile(self.column, self.edges, tuple(int(n) for n in counts), self.categories)

    def to_plain(self) -> dict[str, Any]:
        """The bins as JSON values."""
        lists = {"edges": [*self.edges], "categories": [*self.categories], "places": [*self.places]}
        return {"column": self.column, **lists}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Bins:
        """The inverse of `to_plain`."""
        return cls(plain["column"], tuple(plain["edges"]), tuple(plain["categories"]), tuple(plain["places"]))

    def _count_codes(self, values: NDArray[np.float64]) -> Counts:
        codes = values[~np.isnan(values)]
        other = len(self.categories)
        known = (codes >= 0) & (codes < len(self.places))
        places = np.asarray(self.places)[np.where(known, codes, 0).astype(np.int64)]
        counts = np.bincount(np.where(known, places, other), minlength=self.width)
        counts[-1] = len(values) - len(codes)
        return counts.astype(np.int64)


def fit_bins(matrix: Matrix, signature: Signature) -> tuple[Bins, ...]:
    """Bins for each column of a matrix of shape (rows, columns): about as many rows in each.

    A number with few values has a bin for each; a value that fills more than a bin has one for itself.
    """
    rows = len(matrix)
    if rows > _SAMPLE_ROWS:
        chosen = np.random.default_rng(0).choice(rows, _SAMPLE_ROWS, replace=False)
        matrix = matrix[np.sort(chosen)]
    return tuple(_bins(column, matrix[:, at]) for at, column in enumerate(signature.columns))


def count_rows(bins: Sequence[Bins], matrix: Matrix) -> list[Counts]:
    """Counts of each column of a matrix of shape (rows, columns)."""
    totals = [np.zeros(each.width, dtype=np.int64) for each in bins]
    for start in range(0, len(matrix), _BLOCK_ROWS):
        columns = np.ascontiguousarray(matrix[start : start + _BLOCK_ROWS].T)
        totals = [
            total + each.count(values) for each, total, values in zip(bins, totals, columns, strict=True)
        ]
    return totals


def _bins(column: Column, values: NDArray[np.float64]) -> Bins:
    present = values[np.isfinite(values)]
    if column.kind == "number":
        return Bins(column.name, edges=_edges(present))
    counts = np.bincount(present.astype(np.int64), minlength=len(column.categories))
    kept = np.sort(np.argsort(-counts, kind="stable")[:MOST_CATEGORIES])
    places = np.full(len(column.categories), len(kept))
    places[kept] = np.arange(len(kept))
    names = tuple(column.categories[code] for code in kept)
    return Bins(column.name, categories=names, places=tuple(places.tolist()))


def _edges(values: NDArray[np.float64]) -> tuple[float, ...]:
    distinct = np.unique(values)
    if len(distinct) <= MOST_BINS - 2:
        atoms, cuts = distinct, distinct[:0]
        if len(distinct):
            cuts = _just_above(distinct[-1:])
    else:
        cuts = _quantiles(values, MOST_BINS)
        atoms = np.unique(cuts[1:][np.diff(cuts) == 0])
        rest = values[~np.isin(values, atoms)]
        cuts = np.append(_quantiles(rest, MOST_BINS - 2 * len(atoms)), _just_above(atoms))
    edges = np.unique(np.append(atoms, cuts))
    return tuple(edges[np.isfinite(edges)].tolist())


def _quantiles(values: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    cuts: NDArray[np.float64] = np.quantile(values, np.arange(1, bins) / bins, method="higher")
    return cuts


def _just_above(values: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(over="ignore"):  # above the greatest number is infinity, which is no edge
        above: NDArray[np.float64] = np.nextafter(values, math.inf)
    return above
