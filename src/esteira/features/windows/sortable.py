"""Values as whole numbers that compare as the values do, and back again without loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIGN = np.int64(np.iinfo(np.int64).min)
_ALL_BUT_SIGN = np.int64(np.iinfo(np.int64).max)


def is_sortable(kind: pa.DataType) -> bool:
    """Whether values of that type have numbers here: integers, floats, flags, dates and times."""
    types = pa.types
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    return bool(is_number or types.is_null(kind) or (types.is_temporal(kind) and not types.is_interval(kind)))


def to_sortable(values: pa.Array) -> NDArray[np.int64]:
    """The numbers of values without nulls and NaN, shape (n,); the negative zero is less than zero.

    >>> to_sortable(pa.array([-1.5, 0.0, 2.0])).argsort().tolist()
    [0, 1, 2]
    """
    if pa.types.is_floating(values.type):
        bits = pc.cast(values, pa.float64()).to_numpy(zero_copy_only=False).view(np.int64)
        ordered: NDArray[np.int64] = np.where(bits < 0, bits ^ _ALL_BUT_SIGN, bits)
        return ordered
    if pa.types.is_uint64(values.type):
        turned: NDArray[np.int64] = values.to_numpy().view(np.int64) ^ _SIGN
        return turned
    if _is_narrow_time(values.type):
        values = pc.cast(values, pa.int32())
    found: NDArray[np.int64] = pc.cast(values, pa.int64()).to_numpy(zero_copy_only=False)
    return found


def from_sortable(numbers: pa.Int64Array, kind: pa.DataType) -> pa.Array:
    """The values of that type that have these numbers; null stays null.

    >>> from_sortable(pa.array(to_sortable(pa.array([2.5]))), pa.float32()).to_pylist()
    [2.5]
    """
    if pa.types.is_floating(kind):
        bits = pc.fill_null(numbers, 0).to_numpy()
        floats = np.where(bits < 0, bits ^ _ALL_BUT_SIGN, bits).view(np.float64)
        return pc.cast(pa.array(floats, mask=~np.asarray(numbers.is_valid())), kind)
    if pa.types.is_uint64(kind):
        return pc.bit_wise_xor(numbers, pa.scalar(int(_SIGN))).view(kind)
    if pa.types.is_null(kind):
        return pa.nulls(len(numbers))
    return pc.cast(pc.cast(numbers, pa.int32()), kind) if _is_narrow_time(kind) else pc.cast(numbers, kind)


def _is_narrow_time(kind: pa.DataType) -> bool:
    """Whether Arrow turns it into numbers of 32 bits only."""
    return bool(pa.types.is_date32(kind) or pa.types.is_time32(kind))
