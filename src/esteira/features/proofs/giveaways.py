"""Columns that give the answer away: one of them alone tells the target almost always."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

IMPLAUSIBLE = 0.99  # the area under the curve of one column, which no honest one is known to reach
_ENOUGH = 30  # rows of either class: with fewer a column may tell them apart by chance
_EDGES = np.linspace(0, 1, 65)[1:-1]  # quantiles between which numbers are one category
_SHUFFLES = 100  # of the target: a column must do better than with every one of them


def find_giveaways(rows: pa.Table, target: str, columns: Sequence[str], *, seed: int = 7) -> tuple[str, ...]:
    """The columns whose values alone separate a target of 0 and 1; none when it is of another kind.

    A column is named when the area under its ROC curve is at least `IMPLAUSIBLE` and greater than with any
    of 100 shuffled targets, on at least 30 rows of either class. Values are also taken as categories, each
    judged by rows that it was not learnt from, so that a name without order or a target hidden in the
    middle of a scale is found, and a column of ids is not.

    >>> late = np.arange(200) % 2
    >>> rows = pa.table({"late": late, "delay": late * 60 + np.arange(200) % 40, "id": np.arange(200)})
    >>> find_giveaways(rows, "late", ("delay", "id"))
    ('delay',)
    """
    labels = _labels(rows, target)
    if labels is None:
        return ()
    chance = np.random.default_rng(seed)
    fold = chance.integers(0, 2, len(labels))
    return tuple(name for name in columns if name != target and _tells(rows[name], labels, fold, chance))


def _labels(rows: pa.Table, target: str) -> NDArray[np.bool_] | None:
    values = rows[target] if target in rows.column_names else None
    if values is None or values.null_count or not set(pc.unique(values).to_pylist()) <= {0, 1}:
        return None
    labels = np.asarray(pc.cast(values, pa.bool_()))
    return labels if min(labels.sum(), (~labels).sum()) >= _ENOUGH else None


def _tells(
    values: pa.ChunkedArray, labels: NDArray[np.bool_], fold: NDArray[np.int64], chance: np.random.Generator
) -> bool:
    codes, order = _codes(values)
    found = _separation(codes, order, labels, fold)
    if found < IMPLAUSIBLE:
        return False
    by_chance = (_separation(codes, order, chance.permutation(labels), fold) for _ in range(_SHUFFLES))
    return found > max(by_chance)


def _codes(values: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
    """A number for each category, and for numbers also their order; null is a category of its own."""
    kinds = pa.types
    if kinds.is_integer(values.type) or kinds.is_floating(values.type):
        numbers = pc.cast(values, pa.float64(), safe=False).to_numpy()
        known = numbers[~np.isnan(numbers)]
        edges = np.unique(np.quantile(known, _EDGES)) if len(known) else known
        codes = np.searchsorted(edges, numbers)
        return np.where(np.isnan(numbers), len(edges) + 1, codes), numbers
    try:
        return np.asarray(pc.index_in(values, pc.unique(values)), dtype=np.int64), None
    except (pa.ArrowNotImplementedError, TypeError):  # a list or a struct is no category
        return np.zeros(len(values), np.int64), None


def _separation(
    codes: NDArray[np.int64],
    order: NDArray[np.float64] | None,
    labels: NDArray[np.bool_],
    fold: NDArray[np.int64],
) -> float:
    """The better of two areas: by category, and by order where every row has its place in it."""
    scores = np.empty(len(codes))
    for side in (0, 1):
        learnt, judged = fold == side, fold != side
        scores[judged] = _shares(codes[learnt], labels[learnt], codes[judged])
    found = _area(scores, labels)
    if order is None or np.isnan(order).any():
        return found
    ordered = _area(order, labels)
    return max(found, ordered, 1 - ordered)


def _shares(
    codes: NDArray[np.int64], labels: NDArray[np.bool_], wanted: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The share of 1 in each wanted category; of one that was not seen, the share in all."""
    size = max(int(codes.max(initial=0)), int(wanted.max(initial=0))) + 1
    count, ones = np.bincount(codes, minlength=size), np.bincount(codes, labels, minlength=size)
    share = np.where(count > 0, ones / np.maximum(count, 1), labels.mean() if len(labels) else 0.5)
    return np.asarray(share[wanted], np.float64)


def _area(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """The area under the ROC curve: how often a 1 scores above a 0, ties counted half."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    ones = int(labels.sum())
    return float((ranks[labels].sum() - ones * (ones + 1) / 2) / (ones * (len(labels) - ones)))
