"""Which rows a reader asks for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq

from esteira.base.clock import from_micros, to_micros
from esteira.base.errors import BadInput, UnknownName

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from esteira.base.records import TableVersion


@dataclass(frozen=True, slots=True)
class Question:
    """What a reader wants of each row."""

    columns: Sequence[str]
    where: ds.Expression | None = None


def question(
    version: TableVersion,
    schema: pa.Schema,
    columns: Sequence[str] | None,
    where: Sequence[tuple[str, str, Any]],
) -> Question:
    """The columns (all if not said) and the condition. Raises: as `condition`."""
    for column in columns or ():
        if column not in schema.names:
            raise UnknownName(f"column of {version.table}", column, schema.names)
    names = schema.names if columns is None else columns
    return Question([*names], condition(version.table, where, schema))


def condition(table: str, where: Sequence[tuple[str, str, Any]], schema: pa.Schema) -> ds.Expression | None:
    """All of `where` as one expression; None when nothing is asked.

    Raises: UnknownName (a column), NaiveTime, BadInput (an operator or value that cannot be).
    """
    for column, _, _ in where:
        if column not in schema.names:
            raise UnknownName(f"column of {table}", column, schema.names)
    if not where:
        return None
    try:
        return pq.filters_to_expression([(column, sign, _literal(value)) for column, sign, value in where])
    except (ValueError, TypeError, OverflowError) as wrong:
        raise BadInput(f"cannot read {table} where {[*where]}: {wrong}") from wrong


def _literal(value: Any) -> Any:  # noqa: ANN401 - any value that a column may be compared with
    if isinstance(value, datetime):
        return from_micros(to_micros(value))
    return [_literal(each) for each in value] if isinstance(value, list | tuple | set | frozenset) else value
