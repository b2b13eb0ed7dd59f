"""One column that a model or a transform asks for, and how a value or all of its values become numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MISSING = math.nan  # an absent number and an unknown category


class WrongInput(BadInput):
    """A row or table that does not fit the signature; it names the column and what was expected."""

    def __init__(self, column: str, expected: str, found: str) -> None:
        super().__init__(f"column {column!r} must be {expected}, found {found}")
        self.column, self.expected, self.found = column, expected, found


@dataclass(frozen=True, slots=True)
class Column:
    """One input of a model, or of its transforms."""

    name: str
    kind: Literal["number", "category"] = "number"
    categories: tuple[str, ...] = ()  # code = position; anything else is missing
    view: str = ""  # the feature view that supplies it; empty when the request does
    optional: bool = False  # whether a request may leave it out or null
    transform: str = ""  # the transform that computes it, if one does

    @property
    def is_requested(self) -> bool:
        """Whether the request carries it; else the gateway knows it, or that it is missing."""
        return not self.view and not self.transform


def number_of(column: Column, codes: dict[str, float] | None, value: object) -> float:
    """A value of a column as the model's number, by all the rules. Raises: WrongInput."""
    if codes is not None:
        text = text_of(column, value)
        return MISSING if text is None else codes.get(text, MISSING)
    if value is None:
        return _nothing(column)
    if isinstance(value, int | float):
        return _finite(column, float(value))
    raise WrongInput(column.name, "a number", repr(value)[:40])


def text_of(column: Column, value: object) -> str | None:
    """A value of a column as a text, None when missing. Raises: WrongInput."""
    if value is None:
        _nothing(column)
        return None
    if not isinstance(value, str):
        raise WrongInput(column.name, "a text", repr(value)[:40])
    return value


def _nothing(column: Column) -> float:
    if column.is_requested and not column.optional:
        raise WrongInput(column.name, f"a {column.kind}", "nothing")
    return MISSING


def _finite(column: Column, value: float) -> float:
    if math.isfinite(value) or not column.is_requested or (math.isnan(value) and column.optional):
        return value  # what a view holds is the same in a table, and nothing that a caller could mend
    raise WrongInput(column.name, "a finite number", str(value))


def column_in(table: pa.Table, name: str) -> pa.ChunkedArray:
    """A column of a table. Raises: WrongInput."""
    if name not in table.column_names:
        raise WrongInput(name, "in the table", f"only {', '.join(table.column_names)}")
    return table[name]


def is_text(kind: pa.DataType) -> bool:
    """Whether values of an Arrow type are texts to a model."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def texts_in(table: pa.Table, name: str) -> pa.Array:
    """A column of texts, as large_string. Raises: WrongInput."""
    values = column_in(table, name)
    if not is_text(values.type):
        raise WrongInput(name, "text", str(values.type))
    return pc.cast(values, pa.large_string()).combine_chunks()


def numbers_in(table: pa.Table, column: Column) -> NDArray[np.float64]:
    """A column as the model's numbers, shape (rows,); missing is NaN. Raises: WrongInput."""
    values = column_in(table, column.name)
    if column.kind == "category":
        if not is_text(values.type):
            raise WrongInput(column.name, "text", str(values.type))
        codes = pc.index_in(values, pa.array(column.categories, values.type), skip_nulls=True)
        encoded: NDArray[np.float64] = pc.cast(codes, pa.float64()).to_numpy()
        return encoded
    if not any(is_kind(values.type) for is_kind in _NUMBERS):
        raise WrongInput(column.name, "numbers", str(values.type))
    # Unsafe, so that a whole number beyond 2**53 is rounded as `float` rounds it in a row.
    numbers: NDArray[np.float64] = pc.cast(values, pa.float64(), safe=False).to_numpy()
    return numbers


# Arrow would also parse numbers out of text, which no request may carry.
_NUMBERS = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_boolean,
    pa.types.is_decimal,
    pa.types.is_null,
)
