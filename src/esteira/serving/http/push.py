"""POST /push/{table}: rows for a table that is filled by pushes, taken in whole or not at all.

    curl -d '{"rows": [{"pump": "p7", "event_ts": "2013-07-01T12:00:00Z", "load": 0.7}], "token": "a7"}' \\
        http://127.0.0.1:8080/push/readings

answers 202 and `{"accepted":1,"token":"a7"}` once the rows are on disk; they are in the table and online well
under a second later, as long as `esteira up` runs, or else as soon as it does. No answer, or 503: send them
again with the same token, and they count once, as long as that is within a week. `GET /push` tells which
tables there are, and what their rows must be.

Times are ISO 8601 texts with a zone, or whole microseconds since 1970 in UTC; bytes are base64.
"""

from __future__ import annotations

import os
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.errors import BadInput
from esteira.monitoring.push_log import Push
from esteira.serving.http.decoding import decode
from esteira.serving.http.messages import Response, json_response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.serving.gateway import Gateway
    from esteira.serving.http.messages import Request
    from esteira.serving.pushes import PushTable

_YEAR_1, _YEAR_10000 = -62_135_596_800_000_000, 253_402_300_800_000_000  # UTC microseconds
_Micros = Annotated[int, msgspec.Meta(ge=_YEAR_1, lt=_YEAR_10000)]
_Moment = Annotated[datetime, msgspec.Meta(tz=True)] | _Micros
_Token = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_FORMS: dict[pa.DataType, Any] = {
    pa.bool_(): bool,
    pa.float32(): float,
    pa.float64(): float,
    pa.string(): str,
    pa.binary(): bytes,
    pa.date32(): date,
    pa.timestamp("us", "UTC"): _Moment,
    **{
        kind: Annotated[int, msgspec.Meta(ge=-(1 << kind.bit_width - 1), le=(1 << kind.bit_width - 1) - 1)]
        for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())
    },
}


def tables(gateway: Gateway, _request: Request) -> Response:
    """GET /push: the tables that take pushes, with the types of their columns."""
    found = {
        name: {
            "columns": {field.name: str(field.type) for field in table.schema},
            "required": table.required,
        }
        for name, table in gateway.pushes.tables.items()
    }
    return json_response(200, {"tables": found})


def post_rows(gateway: Gateway, request: Request) -> Response:
    """Accept rows once they are on disk. Raises: NotFound, BadInput (row and column), StorageUnwritable."""
    table = gateway.pushes.table(request.table)
    posted = decode(_decoder_of(table), request.body)
    columns = [
        _column(field, [getattr(row, place) for row in posted.rows]) for place, field in _places(table.schema)
    ]
    rows = pa.Table.from_arrays(columns, schema=table.schema)
    token = posted.token or os.urandom(16).hex()
    if rows.num_rows:
        gateway.pushes.keep(table.name, Push(token, _published(rows, table, gateway.clock.now())))
    return json_response(202, {"accepted": rows.num_rows, "token": token})


@lru_cache(maxsize=256)
def _decoder_of(table: PushTable) -> msgspec.json.Decoder[Any]:
    """Reads a body, and refuses what does not fit the table with the row and the column that do not."""
    fields: list[Any] = []
    for place, field in _places(table.schema):
        form = _form(field.type)
        fields.append((place, form) if field.name in table.required else (place, form | None, None))
    names = {place: field.name for place, field in _places(table.schema)}
    row = msgspec.defstruct("Row", fields, rename=names, forbid_unknown_fields=True, kw_only=True)
    body: list[Any] = [("rows", list[row]), ("token", _Token | None, None)]  # type: ignore[valid-type] # mypy does not follow a type made at run time
    return msgspec.json.Decoder(msgspec.defstruct("Posted", body, forbid_unknown_fields=True))


def _places(schema: pa.Schema) -> list[tuple[str, pa.Field]]:
    """Columns under names that attributes can have."""
    return [(f"c{place}", field) for place, field in enumerate(schema)]


def _form(kind: pa.DataType) -> Any:  # noqa: ANN401 - a type form
    if pa.types.is_list(kind):
        return list[_form(kind.value_type) | None]  # type: ignore[misc] # mypy does not follow a type made at run time
    return Decimal if pa.types.is_decimal(kind) else _FORMS[kind]


def _column(field: pa.Field, values: Sequence[Any]) -> pa.Array:
    try:
        column = pa.array(values, field.type)
    except pa.ArrowInvalid:
        column = _cell_by_cell(field, values)
    _refuse_unheld(field.name, column)
    return column


def _refuse_unheld(name: str, column: pa.Array) -> None:
    """Refuse what only the type can hold: numbers that are none, and times of years that have no name."""
    rows, cells = np.arange(len(column)), column
    while pa.types.is_list(cells.type):
        rows, cells = rows[pc.list_parent_indices(cells)], pc.list_flatten(cells)
    if pa.types.is_floating(cells.type):
        is_held, what = pc.is_finite(cells), f"a finite {cells.type}; for no value send null"
    elif pa.types.is_timestamp(cells.type):
        micros = pc.cast(cells, pa.int64())
        is_held = pc.and_(pc.greater_equal(micros, _YEAR_1), pc.less(micros, _YEAR_10000))
        what = "a time of the years 1 to 9999 in UTC"
    else:
        return
    place = pc.index(is_held, value=False).as_py()
    if place >= 0:
        raise BadInput(f"row {rows[place]}: {name} must be {what}")


def _cell_by_cell(field: pa.Field, values: Sequence[Any]) -> pa.Array:
    cells = []
    for row, value in enumerate(values):
        try:
            cells.append(pa.array([value], field.type))
        except pa.ArrowInvalid as wrong:
            raise BadInput(f"row {row}: {field.name} does not fit {field.type}: {wrong}") from wrong
    return pa.concat_arrays(cells)


def _published(rows: pa.Table, table: PushTable, now: datetime) -> pa.Table:
    if not table.published:
        return rows
    filled = pc.fill_null(rows[table.published], pa.scalar(now, table.schema.field(table.published).type))
    return rows.set_column(rows.column_names.index(table.published), table.published, filled)
