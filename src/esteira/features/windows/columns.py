"""Columns of events as measures take them: plain values, and whole numbers that add up exactly."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.errors import BadInput
from esteira.features.times import column_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

EVENTS = "the events"
_ROUNDINGS = 4  # units in the last place by which a sum or product of decimals may be off


class WrongWindow(BadInput):
    """A window that cannot mean anything, or events that it cannot measure exactly."""


class Amounts(NamedTuple):
    """What each event adds: shapes (events,)."""

    values: NDArray[np.int64]  # 0 for none
    counts: NDArray[np.int64]  # 1 for a value, 0 for none


def values_of(events: pa.Table, name: str) -> pa.ChunkedArray:
    """A column with its dictionary or views looked up; NaN is no value, and therefore null.

    Raises: UnknownName.
    >>> values_of(pa.table({"x": [1.5, float("nan")]}), "x").to_pylist()
    [1.5, None]
    """
    values = column_of(events, name, EVENTS)
    if pa.types.is_dictionary(values.type):
        values = pc.cast(values, values.type.value_type)
    if pa.types.is_string_view(values.type):
        return pc.cast(values, pa.string())
    if pa.types.is_floating(values.type):
        is_nan = pc.fill_null(pc.is_nan(values), False)  # noqa: FBT003 - Arrow's signature
        return pc.if_else(is_nan, pa.scalar(None, values.type), values)
    return values


def amounts_of(events: pa.Table, name: str, unit: float | None) -> Amounts:
    """A column as whole numbers: as it is, or with a unit as multiples of that.

    Raises: UnknownName, WrongWindow.
    >>> amounts_of(pa.table({"fare": [2.5, None, 0.1 + 0.2]}), "fare", 0.01).values.tolist()
    [250, 0, 30]
    """
    values = values_of(events, name)
    whole = _whole(values, name) if unit is None else _multiples(values, name, unit)
    return Amounts(whole, np.asarray(values.is_valid(), dtype=np.int64))


def _whole(values: pa.ChunkedArray, name: str) -> NDArray[np.int64]:
    if not (pa.types.is_integer(values.type) or pa.types.is_boolean(values.type)):
        mend = "cast it, or say what floats and decimals are multiples of, e.g. unit=0.01"
        what = "sums are exact over integers and booleans only"
        raise WrongWindow(f"column {name!r} of {EVENTS} is {values.type}; {what}; {mend}")
    try:
        whole: NDArray[np.int64] = pc.fill_null(pc.cast(values, pa.int64()), 0).to_numpy()
    except pa.ArrowInvalid as large:
        raise WrongWindow(f"column {name!r} of {EVENTS} holds numbers beyond int64") from large
    return whole


def _multiples(values: pa.ChunkedArray, name: str, unit: float) -> NDArray[np.int64]:
    floats = _floats(values, name)
    ratio = _ratio(unit)
    precision = np.finfo(values.type.to_pandas_dtype() if pa.types.is_floating(values.type) else np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused below
        multiples = floats * float(ratio.numerator) / float(ratio.denominator)
        whole, noise = np.rint(multiples), _ROUNDINGS * float(precision.eps) * np.abs(multiples)
        is_known = noise < 1 / 8  # else rounding may hide a fraction
        wrong = np.flatnonzero(~(is_known & (np.abs(multiples - whole) <= noise)))
    if len(wrong):
        first = wrong[0]
        fault = "is no whole multiple of" if is_known[first] else "is too large to be exact in multiples of"
        mend = "round it, or give a smaller unit" if is_known[first] else "give a larger unit"
        value = values[int(first)].as_py()
        raise WrongWindow(f"column {name!r} of {EVENTS} holds {value}, which {fault} {unit}; {mend}")
    return whole.astype(np.int64)


def _floats(values: pa.ChunkedArray, name: str) -> NDArray[np.float64]:
    kind, types = values.type, pa.types
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    if not (is_number or types.is_null(kind)):
        raise WrongWindow(f"column {name!r} of {EVENTS} is {kind}; only numbers have a unit; cast it")
    try:
        floats: NDArray[np.float64] = pc.fill_null(pc.cast(values, pa.float64()), 0.0).to_numpy()
    except pa.ArrowInvalid as large:
        raise WrongWindow(f"column {name!r} of {EVENTS} holds numbers beyond 2**53") from large
    return floats


def _ratio(unit: float) -> Fraction:
    """Multiples per value, with the unit as it is written: 0.01 is a hundredth."""
    return 1 / Fraction(str(unit))


def check_unit(unit: float | None) -> None:
    """Refuse what is no unit. Raises: WrongWindow."""
    if unit is not None and not 0 < unit < np.inf:
        raise WrongWindow(f"a unit is a number above zero such as 0.01, found {unit}")


def in_units(
    totals: NDArray[np.int64], unit: float | None, share: NDArray[np.int64] | int = 1
) -> NDArray[np.float64]:
    """Totals of multiples as float64 values, each divided by its share: one rounding up to 2**53.

    >>> in_units(np.array([10 + 20]), 0.01).tolist()
    [0.3]
    """
    ratio = Fraction(1) if unit is None else _ratio(unit)
    return totals * float(ratio.denominator) / (float(ratio.numerator) * share)
