"""Keys: the columns that say whom a row is about, as numbers that are equal when all of them are.

A key of several columns is never glued into one text, so (1, 23) and (12, 3) stay two keys. A row with a
null in its key is about nobody: its number is -1.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.errors import BadInput
from esteira.features.times import column_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NOBODY = -1


class WrongKey(BadInput):
    """A key that is no text, whole number, flag or date, or not of the type it must match."""

    def __init__(self, column: str, expected: str, found: str) -> None:
        super().__init__(f"key {column} must be {expected}, found {found}; cast it before")
        self.column, self.expected, self.found = column, expected, found


def key_column(table: pa.Table, name: str, what: str) -> pa.ChunkedArray:
    """A key column in the one type of its kind: text, int64, bool or date32.

    Raises: UnknownName, WrongKey.
    """
    values = column_of(table, name, what)
    if pa.types.is_dictionary(values.type):
        values = pc.cast(values, values.type.value_type)
    try:
        return pc.cast(values, _plain_type(values.type))
    except (KeyError, pa.ArrowInvalid) as wrong:
        expected = "text, whole numbers, flags or dates"
        raise WrongKey(f"{name!r} of {what}", expected, str(values.type)) from wrong


def _plain_type(found: pa.DataType) -> pa.DataType:
    kinds = pa.types
    if kinds.is_string(found) or kinds.is_large_string(found) or kinds.is_string_view(found):
        return pa.large_string()
    if kinds.is_integer(found):
        return pa.int64()
    if kinds.is_boolean(found) or kinds.is_date32(found) or kinds.is_null(found):
        return found
    raise KeyError(found)


def positions(values: pa.ChunkedArray | pa.Array, known: pa.Array) -> NDArray[np.int64]:
    """The place of each value among the known ones, which hold no null; `NOBODY` for null and strangers.

    >>> positions(pa.array(["y", None, "z"]), pa.array(["x", "y"])).tolist()
    [1, -1, -1]
    """
    if not len(known):
        return np.full(len(values), NOBODY, np.int64)
    if pa.types.is_null(values.type):
        values = pc.cast(values, known.type)
    found = pc.fill_null(pc.index_in(values, known), NOBODY)
    return np.asarray(found, dtype=np.int64)


def _combine(one: NDArray[np.int64], other: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    return np.where((one < 0) | (other < 0), NOBODY, one * size + other)


class KeyIndex:
    """Numbers keys in the order it meets them, over any number of tables of one type.

    >>> index = KeyIndex(("a",), "events")
    >>> index.codes(pa.table({"a": ["x", "y", None]})).tolist(), index.codes(pa.table({"a": ["y"]})).tolist()
    ([0, 1, -1], [1])
    """

    def __init__(self, keys: Sequence[str], what: str) -> None:
        self._keys, self._what = tuple(keys), what
        self._codes: dict[tuple[Any, ...], int] = {}
        self._types: tuple[pa.DataType, ...] = ()
        self._table: pa.Table | None = None

    def __len__(self) -> int:
        return len(self._codes)

    def codes(self, rows: pa.Table) -> NDArray[np.int64]:
        """The number of each row's key; new keys get the next ones. Raises: UnknownName, WrongKey."""
        before = len(self._codes), self._types
        columns = [key_column(rows, name, self._what) for name in self._keys]
        self._check_types(tuple(column.type for column in columns))
        local, firsts = _distinct(columns, rows.num_rows)
        seen = [column.take(firsts).to_pylist() for column in columns]
        keys = list(zip(*seen, strict=True)) if columns else [()] * len(firsts)
        numbers = [self._codes.setdefault(key, len(self._codes)) for key in keys]
        if before != (len(self._codes), self._types):
            self._table = None
        lookup = np.array([*numbers, NOBODY], np.int64)  # the last place answers for -1
        return lookup[local]

    def _check_types(self, found: tuple[pa.DataType, ...]) -> None:
        known = self._types or found
        for name, before, now in zip(self._keys, known, found, strict=True):
            if before != now and pa.null() not in (before, now):
                raise WrongKey(f"{name!r} of {self._what}", f"{before} as before", str(now))
        self._types = tuple(
            now if before == pa.null() else before for before, now in zip(known, found, strict=True)
        )

    def table(self) -> pa.Table:
        """The keys met so far, one row for each number; a type is null until rows were met."""
        if self._table is None:
            self._table = self._tabled()
        return self._table

    def _tabled(self) -> pa.Table:
        columns = zip(*self._codes, strict=True) if self._codes else [()] * len(self._keys)
        types = self._types or (pa.null(),) * len(self._keys)
        arrays = [
            pa.array(column, pa.string() if kind == pa.large_string() else kind)
            for column, kind in zip(columns, types, strict=True)
        ]
        return pa.Table.from_arrays(arrays, names=list(self._keys))


def _distinct(columns: Sequence[pa.ChunkedArray], rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A dense number for each row, and for each number the first row that has it."""
    local = np.zeros(rows, np.int64)
    for at, column in enumerate(columns):
        known = pc.drop_null(pc.unique(column))
        local = _combine(local, positions(column, known), len(known))
        if at:  # dense again, so that the product of many sizes cannot overflow
            local = positions(pa.array(local), pc.unique(pa.array(local[local >= 0])))
    about_somebody = np.flatnonzero(local >= 0)[::-1]
    firsts = np.empty(int(local.max(initial=NOBODY)) + 1, np.int64)
    firsts[local[about_somebody]] = about_somebody  # written backwards: the first row of a number stays
    return local, firsts


def key_text(value: object, name: str) -> str | None:
    """One value of a key as the text that online stores keep; null stays null. Raises: WrongKey.

    >>> key_text(True, "k"), key_text(7, "k"), key_text("7", "k"), key_text(None, "k")
    ('true', '7', '7', None)
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    raise WrongKey(repr(name), "a text, whole number, flag or date", repr(value)[:40])


def key_texts(rows: pa.Table, keys: Sequence[str], what: str) -> list[pa.ChunkedArray]:
    """The key columns as the texts of `key_text`. Raises: UnknownName, WrongKey."""
    return [pc.cast(key_column(rows, name, what), pa.large_string()) for name in keys]
