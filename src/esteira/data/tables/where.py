"""Which rows a reader asks for."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from esteira.base.clock import from_micros, to_micros
from esteira.base.errors import BadInput, UnknownName

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    import pyarrow.dataset as ds


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
    except (ValueError, TypeError) as wrong:
        raise BadInput(f"cannot read {table} where {[*where]}: {wrong}") from wrong


def _literal(value: Any) -> Any:  # noqa: ANN401 - any value that a column may be compared with
    if isinstance(value, datetime):
        return from_micros(to_micros(value))
    return [_literal(each) for each in value] if isinstance(value, list | tuple | set | frozenset) else value
