"""The distinct keys of a spine as numbers, found again in the rows of any view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.features.keys import NOBODY, WrongKey, key_column, positions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_SPARSE = 4  # a range of whole numbers is its own code when it has at most so many places for each row…
_FEW = 1 << 16  # …or is this small
_FILLED = 0.8
_CODES = 1 << 31  # numbers of keys stay below it


class _Coder(Protocol):
    """Numbers the values that one key column of the spine has; any other value is nobody's."""

    @property
    def size(self) -> int: ...
    def codes(self, values: pa.ChunkedArray) -> NDArray[np.int64]: ...


class KeyMatcher:
    """The keys of a spine; equal numbers are equal keys, and -1 (a null in the key, a stranger) is nobody.

    Raises: UnknownName, WrongKey.
    >>> spine = pa.table({"a": ["x", "y"], "b": [1, 2]})
    >>> matcher = KeyMatcher(spine, ("a", "b"))
    >>> found = matcher.codes_of(pa.table({"a": ["y", "z"], "b": [2, 1]}), "view v")
    >>> bool(found[0] == matcher.codes[1]), int(found[1])
    (True, -1)
    """

    def __init__(self, spine: pa.Table, keys: Sequence[str]) -> None:
        self._keys = tuple(keys)
        columns = [key_column(spine, name, "the spine") for name in keys]
        self._types = [column.type for column in columns]
        self._coders = [_coder(column) for column in columns]
        self._dense: list[NDArray[np.int64] | None] = []  # after each column, when codes would get too large
        self.codes, size = self._combined(columns, spine.num_rows, is_spine=True)
        self._asked = _asked(self.codes, size)

    def codes_of(self, rows: pa.Table, what: str) -> NDArray[np.int64]:
        """The number of each row's key, shape (rows,). Raises: UnknownName, WrongKey."""
        columns = [key_column(rows, name, what) for name in self._keys]
        for name, one, other in zip(self._keys, self._types, columns, strict=True):
            if one != other.type and pa.null() not in (one, other.type):
                raise WrongKey(f"{name!r} of the spine", f"{other.type} as in {what}", str(one))
        codes, _ = self._combined(columns, rows.num_rows, is_spine=False)
        return codes if self._asked is None else np.where(self._asked[codes], codes, NOBODY)

    def _combined(
        self, columns: Sequence[pa.ChunkedArray], rows: int, *, is_spine: bool
    ) -> tuple[NDArray[np.int64], int]:
        codes, size = np.zeros(rows, np.int64), 1
        for at, (coder, values) in enumerate(zip(self._coders, columns, strict=True)):
            part = coder.codes(values)
            codes = np.where((codes < 0) | (part < 0), NOBODY, codes * coder.size + part) if at else part
            size *= coder.size
            if is_spine:
                self._dense.append(np.unique(codes[codes >= 0]) if size > _CODES else None)
            dense = self._dense[at]
            if dense is not None:
                codes, size = _places(codes, dense), len(dense)
        return codes, size


def _asked(codes: NDArray[np.int64], size: int) -> NDArray[np.bool_] | None:
    """Which numbers the spine has, when it has so few of them that it pays to leave the other rows out."""
    if size > _SPARSE * len(codes) + _FEW:
        return None
    asked = np.zeros(max(size, 1), np.bool_)
    asked[codes[codes >= 0]] = True
    return asked if np.count_nonzero(asked) < _FILLED * size else None


def _places(codes: NDArray[np.int64], dense: NDArray[np.int64]) -> NDArray[np.int64]:
    if not len(dense):
        return np.full(len(codes), NOBODY, np.int64)
    places = np.minimum(np.searchsorted(dense, codes), len(dense) - 1)
    return np.where(dense[places] == codes, places, NOBODY)


def _coder(values: pa.ChunkedArray) -> _Coder:
    if pa.types.is_int64(values.type) and values.null_count < len(values):
        ends = pc.min_max(values).as_py()
        spread = _Range(ends["min"], ends["max"])
        if spread.size <= max(_SPARSE * len(values), _FEW):
            return spread
    return _Listed(pc.drop_null(pc.unique(values)))


@dataclass(frozen=True, slots=True)
class _Range:
    """Whole numbers near each other: their distance from the least is their code, and nothing is hashed."""

    low: int
    high: int

    @property
    def size(self) -> int:
        return self.high - self.low + 1

    def codes(self, values: pa.ChunkedArray) -> NDArray[np.int64]:
        if pa.types.is_null(values.type):
            return np.full(len(values), NOBODY, np.int64)
        numbers = pc.fill_null(values, 0).to_numpy()
        inside = (numbers >= self.low) & (numbers <= self.high)
        if values.null_count:
            inside &= np.asarray(values.is_valid())
        return np.where(inside, numbers - self.low, NOBODY)


@dataclass(frozen=True, slots=True)
class _Listed:
    """Any values: their place in the list of those that the spine has."""

    known: pa.Array

    @property
    def size(self) -> int:
        return len(self.known)

    def codes(self, values: pa.ChunkedArray) -> NDArray[np.int64]:
        return positions(values, self.known)
