"""What a window says of its events.

Sums of whole numbers are exact in any order, so `Count`, `Sum` and `Mean` follow what enters and leaves.
`Min`, `Max`, `Last` and `Distinct` look at the events that count. Null is no value to any of them; nor is
NaN, which would be neither the least nor the greatest and not even equal to itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.features.windows.columns import check_unit, in_units
from esteira.features.windows.sortable import from_sortable, is_sortable, to_sortable

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from esteira.features.windows.spans import Spans


@dataclass(frozen=True, slots=True)
class Totals:
    """What a window knows of one column, per row: the sum and the number of values that are not null."""

    total: NDArray[np.int64]  # in multiples of the measure's unit
    count: NDArray[np.int64]


@runtime_checkable
class Additive(Protocol):
    """A measure made of the totals of a window's events."""

    @property
    def column(self) -> str | None:
        """The column that it needs; none to look at the events alone."""
        ...

    @property
    def unit(self) -> float | None:
        """What the values of its column are multiples of; none when they are integers or booleans."""
        ...

    def of(self, totals: Totals) -> pa.Array:
        """The measure of each row, from the totals of its column, or of all events."""
        ...


@runtime_checkable
class Spanning(Protocol):
    """A measure made of the events that count, not of their totals."""

    @property
    def column(self) -> str:
        """The column that it needs."""
        ...

    def takes(self, kind: pa.DataType) -> bool:
        """Whether it has a meaning over values of that type."""
        ...

    def over(self, values: pa.Array, spans: Spans) -> pa.Array:
        """The measure of each row, from the values of all events, the oldest first."""
        ...


Measure = Additive | Spanning


@dataclass(frozen=True, slots=True)
class Count:
    """How many events there are; 0 in an emptied window."""

    column: None = None
    unit: None = None

    def of(self, totals: Totals) -> pa.Array:
        return pa.array(totals.count)


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of the values; 0 when there are none.

    Of integers and booleans it is int64. Floats and decimals need the `unit` that all of them are whole
    multiples of, rounding of floats allowed; the sum is then exact in multiples, and given as float64.
    Raises: WrongWindow (a unit that is not above zero).
    >>> Sum("fare", unit=0.01).of(Totals(np.array([10 + 20]), np.array([2]))).to_pylist()
    [0.3]
    """

    column: str
    unit: float | None = None

    def __post_init__(self) -> None:
        check_unit(self.unit)

    def of(self, totals: Totals) -> pa.Array:
        return pa.array(totals.total if self.unit is None else in_units(totals.total, self.unit))


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of the values, null when there are none; `unit` as in `Sum`. A sum beyond 2**53 is rounded.

    Raises: WrongWindow (a unit that is not above zero).
    """

    column: str
    unit: float | None = None

    def __post_init__(self) -> None:
        check_unit(self.unit)

    def of(self, totals: Totals) -> pa.Array:
        empty = totals.count == 0
        return pa.array(in_units(totals.total, self.unit, np.where(empty, 1, totals.count)), mask=empty)


@dataclass(frozen=True, slots=True)
class Max:
    """The greatest value, of the column's type; null when there is none.

    Over integers, floats, flags, dates and times; the negative zero is less than zero.
    """

    column: str

    def takes(self, kind: pa.DataType) -> bool:
        return is_sortable(kind)

    def over(self, values: pa.Array, spans: Spans) -> pa.Array:
        there = _there(values)
        numbers = to_sortable(values.take(there))
        return from_sortable(spans.part(there).greatest(numbers), values.type)


@dataclass(frozen=True, slots=True)
class Min:
    """The least value; otherwise as `Max`."""

    column: str

    def takes(self, kind: pa.DataType) -> bool:
        return is_sortable(kind)

    def over(self, values: pa.Array, spans: Spans) -> pa.Array:
        there = _there(values)
        turned = ~to_sortable(values.take(there))  # unlike a minus, it never overflows
        return from_sortable(pc.bit_wise_not(spans.part(there).greatest(turned)), values.type)


@dataclass(frozen=True, slots=True)
class Last:
    """The newest value, of the column's type; null when there is none.

    Newest is what has the latest time; of one time, the greatest `_seq` if the events have that column, else
    the one that came last. Over any type, text too.
    """

    column: str

    def takes(self, kind: pa.DataType) -> bool:
        return _has_kernel(lambda: pa.nulls(1, kind).take([0]))

    def over(self, values: pa.Array, spans: Spans) -> pa.Array:
        there = _there(values)
        return values.take(spans.part(there).greatest(there))


@dataclass(frozen=True, slots=True)
class Distinct:
    """How many different values there are; 0 when there are none. The two zeros of floats are one value.

    Over anything that Arrow can hash: numbers, flags, text, bytes, dates and times, no lists.
    """

    column: str

    def takes(self, kind: pa.DataType) -> bool:
        return _has_kernel(lambda: pa.nulls(0, kind).dictionary_encode())

    def over(self, values: pa.Array, spans: Spans) -> pa.Array:
        if pa.types.is_floating(values.type):
            values = pc.add(values, pa.scalar(0, values.type))  # makes the negative zero positive
        there = _there(values)
        codes = values.take(there).dictionary_encode().indices
        return pa.array(spans.part(there).distinct(np.asarray(codes, dtype=np.int64)))


def _there(values: pa.Array) -> NDArray[np.int64]:
    return np.flatnonzero(np.asarray(values.is_valid()))


def _has_kernel(call: Callable[[], object]) -> bool:
    try:
        call()
    except pa.ArrowNotImplementedError:
        return False
    return True
