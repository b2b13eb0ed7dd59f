"""What a model does to its raw columns before it looks at them, fitted in training and kept with it.

The `Signature` turns a request into raw numbers and category codes: these are logged, watched and compared.
Encodings are a second stage, inside the model. One row and many rows give equal bits.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import numpy as np

from esteira.base.errors import BadInput
from esteira.registry.columns import MISSING, Column
from esteira.registry.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray


class UnfitEncoding(BadInput):
    """An encoding that cannot be that of a column."""

    def __init__(self, column: str, encoding: str, reason: str) -> None:
        super().__init__(f"column {column!r} cannot be encoded by {encoding}: {reason}")
        self.column, self.encoding, self.reason = column, encoding, reason


@dataclass(frozen=True, slots=True)
class Kept:
    """The raw column as it is: a number, or the code of a category."""

    by: str = "keep"

    def columns(self, raw: Column) -> tuple[Column, ...]:
        return (Column(raw.name, raw.kind, raw.categories),)

    def reader(self) -> _Reader:
        return _Reader((MISSING,))


@dataclass(frozen=True, slots=True)
class Scaled:
    """A number as its distance from `center` in units of `scale`, named `miles~standard`."""

    by: str  # standard or robust
    center: float
    scale: float
    impute: bool  # a missing number becomes 0, the center; else it stays missing

    def columns(self, raw: Column) -> tuple[Column, ...]:
        if raw.kind != "number" or not (math.isfinite(self.center) and 0 < self.scale < math.inf):
            raise UnfitEncoding(raw.name, self.by, "it needs a number, a finite center and a positive scale")
        return (Column(f"{raw.name}~{self.by}"),)

    def reader(self) -> _Reader:
        return _Reader((0.0 if self.impute else MISSING,), center=self.center, scale=self.scale)


@dataclass(frozen=True, slots=True)
class Mapped:
    """A category as one number, named `dest~target`."""

    by: str  # ordinal or target
    values: tuple[float, ...]  # category code = position
    missing: float | None  # of a missing or unknown category; None: it stays missing

    def columns(self, raw: Column) -> tuple[Column, ...]:
        known = [each for each in (*self.values, self.missing) if each is not None]
        if raw.kind != "category" or len(self.values) != len(raw.categories) or not _are_finite(known):
            raise UnfitEncoding(raw.name, self.by, "it needs a category and one finite number for each")
        return (Column(f"{raw.name}~{self.by}"),)

    def reader(self) -> _Reader:
        other = MISSING if self.missing is None else self.missing
        return _Reader((other,), {float(code): (value,) for code, value in enumerate(self.values)})


@dataclass(frozen=True, slots=True)
class Marked:
    """A category as a column of 0 and 1 for each of some codes, named `carrier=UA`; others are 0 in all."""

    codes: tuple[int, ...]
    by: str = "one_hot"

    def columns(self, raw: Column) -> tuple[Column, ...]:
        if not self.codes or not set(self.codes) <= set(range(len(raw.categories))):
            raise UnfitEncoding(raw.name, self.by, "it needs a category, and codes of it")
        return tuple(Column(f"{raw.name}={raw.categories[code]}") for code in self.codes)

    def reader(self) -> _Reader:
        codes = range(max(self.codes) + 1)
        rows = {float(code): tuple(float(code == marked) for marked in self.codes) for code in codes}
        return _Reader((0.0,) * len(self.codes), rows)


_Rows: TypeAlias = dict[float, tuple[float, ...]]  # code → what it becomes
Fitted: TypeAlias = Kept | Scaled | Mapped | Marked

_FORMS: Mapping[str, type[Fitted]] = {
    "keep": Kept,
    "standard": Scaled,
    "robust": Scaled,
    "ordinal": Mapped,
    "target": Mapped,
    "one_hot": Marked,
}


@dataclass(frozen=True)
class Encodings:
    """One fitted encoding for each raw column, in the order of the signature.

    >>> Encodings((Scaled("standard", 500.0, 100.0, impute=True), Marked((0, 1)))).encode_row([600.0, 1.0])
    [1.0, 0.0, 1.0]
    """

    fitted: tuple[Fitted, ...]

    def encoded(self, raw: Signature) -> Signature:
        """What the model's native files ask for; its columns name what the raw ones became.

        Raises: UnfitEncoding, BadInput (encodings of other columns, or two of one name).
        """
        if len(self.fitted) != len(raw.columns):
            raise BadInput(f"expected one encoding for each of {raw.names}, found {len(self.fitted)}")
        made: dict[str, Column] = {}
        for each, column in zip(self.fitted, raw.columns, strict=True):
            for encoded in each.columns(column):
                if encoded.name in made:
                    raise BadInput(f"two encoded columns are named {encoded.name!r}; rename a raw column")
                made[encoded.name] = encoded
        return Signature(tuple(made.values()), raw.target)

    @cached_property
    def _readers(self) -> tuple[_Reader, ...]:
        return tuple(each.reader() for each in self.fitted)

    @cached_property
    def _plan(self) -> tuple[tuple[_Rows | None, tuple[float, ...], float, float], ...]:
        return tuple((each.rows, each.other, each.center, each.scale) for each in self._readers)

    def encode_row(self, row: Sequence[float]) -> list[float]:
        """A raw row as the model's native files ask for it."""
        encoded: list[float] = []
        for (rows, other, center, scale), value in zip(self._plan, row, strict=True):
            if rows is not None:
                encoded += rows.get(value, other)
            elif value == value:  # noqa: PLR0124 - only NaN differs from itself
                encoded.append((value - center) / scale)
            else:
                encoded += other
        return encoded

    def encode_matrix(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Raw rows, shape (rows, columns), each equal to the bit to `encode_row`; (rows, encoded columns)."""
        encoded = np.empty(
            (len(matrix), sum(len(reader.other) for reader in self._readers)), dtype=np.float64
        )
        start = 0
        for reader, values in zip(self._readers, matrix.T, strict=True):
            width = len(reader.other)
            encoded[:, start : start + width] = reader.of_column(values)
            start += width
        return encoded

    def to_plain(self) -> list[dict[str, Any]]:
        """The encodings as JSON values."""
        return [asdict(each) for each in self.fitted]

    @classmethod
    def from_plain(cls, plain: Iterable[Mapping[str, Any]]) -> Encodings:
        """The inverse of `to_plain`. Raises: KeyError, TypeError, msgspec.ValidationError."""
        return cls(tuple(_fitted(each) for each in plain))


@dataclass(frozen=True)
class _Reader:
    """How a raw value becomes encoded ones: by its code, or, without rows, on another scale."""

    other: tuple[float, ...]  # of a missing value, and of what is no code
    rows: _Rows | None = None
    center: float = 0.0
    scale: float = 1.0

    @cached_property
    def _table(self) -> NDArray[np.float64]:
        """The rows in the order of their codes 0, 1, 2…, and the other one."""
        return np.array([*(self.rows or {}).values(), self.other], dtype=np.float64)

    def of_column(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The encoded values of a column. Shapes: (rows,) in, (rows, encoded columns) out."""
        if self.rows is None:
            with np.errstate(over="ignore"):  # Python's floats too become infinite without a word
                moved = (values - self.center) / self.scale
            column: NDArray[np.float64] = np.where(np.isnan(values), self.other[0], moved)[:, np.newaxis]
            return column
        last = len(self.rows)
        is_code = (values >= 0) & (values < last) & (values == np.floor(values))
        rows: NDArray[np.float64] = self._table[np.where(is_code, values, last).astype(np.intp)]
        return rows


def _fitted(plain: Mapping[str, Any]) -> Fitted:
    kind: Any = _FORMS[plain["by"]]
    made = asdict(kind(**plain))  # refuses other names, and `convert` other types
    form: Fitted = msgspec.convert(made, kind)
    return form


def _are_finite(values: Iterable[float]) -> bool:
    return all(math.isfinite(value) for value in values)
