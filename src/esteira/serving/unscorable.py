"""Which rows of a table a gateway would refuse, and in the same words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from esteira.registry.columns import WrongInput, column_in, numbers_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from esteira.registry.columns import Column


def unscorable(rows: pa.Table, columns: Iterable[Column]) -> dict[int, str]:
    """Place of a row → why it cannot be scored: what is absent and must not be, or is no finite number.

    `columns` are those that a request would carry; others of them are not looked at.

    Raises: WrongInput (a column that is not in the table, or of another type).
    >>> from esteira.registry.columns import Column
    >>> unscorable(pa.table({"miles": [500.0, None]}), [Column("miles")])
    {1: "column 'miles' must be a number, found nothing"}
    """
    found: dict[int, str] = {}
    for column in (each for each in columns if each.is_requested):
        for reason, mask in _wrong(rows, column):
            for place in np.flatnonzero(mask).tolist():
                found[place] = f"{found[place]}; {reason}" if place in found else reason
    return found


def _wrong(rows: pa.Table, column: Column) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    values = column_in(rows, column.name)
    absent = values.is_null().to_numpy() if values.null_count else None
    if absent is not None and not column.optional:
        yield str(WrongInput(column.name, f"a {column.kind}", "nothing")), absent
    if column.kind != "number" or not pa.types.is_floating(values.type):
        return
    numbers = numbers_in(rows, column)
    if np.isfinite(numbers).all():
        return
    kinds = {"inf": numbers == np.inf, "-inf": numbers == -np.inf}
    if not column.optional:
        is_nan = np.isnan(numbers)
        kinds["nan"] = is_nan if absent is None else is_nan & ~absent
    for found, mask in kinds.items():
        if mask.any():
            yield str(WrongInput(column.name, "a finite number", found)), mask
