"""Which cells of two computations of one table are not the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.features.times import micros

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROUNDING = 1e-9  # of a value: what another order of the same sum may change


def common_places(
    one: pa.Table, other: pa.Table, at: str, key: str, moment: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the rows of times up to `moment` that both tables have stand in each of them.

    Rows are the same when they are equal in `key`; without a key, when they stand at the same place among
    those of times up to `moment`, if both tables have as many.
    >>> from esteira.features.times import UTC_MICROS
    >>> one = pa.table({"at": pa.array([1, 2, 9], UTC_MICROS), "id": ["a", "b", "c"]})
    >>> [places.tolist() for places in common_places(one, one.slice(1), "at", "id", moment=5)]
    [[1], [0]]
    """
    mine, theirs = (np.flatnonzero(micros(each, at, "the training set") <= moment) for each in (one, other))
    if not key:
        nothing = np.zeros(0, np.int64)
        return (mine, theirs) if len(mine) == len(theirs) else (nothing, nothing)
    found = pc.index_in(one[key].take(pa.array(mine)), other[key].take(pa.array(theirs)))
    has = np.asarray(found.is_valid())
    return mine[has], theirs[np.asarray(found.drop_null(), dtype=np.int64)]


def unequal(one: pa.ChunkedArray, other: pa.ChunkedArray) -> NDArray[np.bool_]:
    """For each place whether the values differ; null equals null and NaN, numbers may differ by rounding.

    >>> unequal(pa.chunked_array([[1.0, None, 0.1 + 0.2]]), pa.chunked_array([[2.0, None, 0.3]])).tolist()
    [True, False, False]
    """
    if _is_number(one.type) and _is_number(other.type):
        left, right = (pc.cast(each, pa.float64(), safe=False).to_numpy() for each in (one, other))
        return np.asarray(~np.isclose(left, right, rtol=_ROUNDING, atol=0, equal_nan=True))
    return np.array(
        [left != right for left, right in zip(one.to_pylist(), other.to_pylist(), strict=True)], np.bool_
    )


def _is_number(kind: pa.DataType) -> bool:
    kinds = pa.types
    return bool(
        kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_boolean(kind) or kinds.is_null(kind)
    )
