"""Rows to ask a model, made from what it says it takes, and bodies of requests made of rows."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from esteira.base.errors import BadInput, UnknownName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Row = Mapping[str, Any]

Protocol = Literal["oip", "invocations"]
_WHOLE = ("INT", "UINT")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a request.

    `datatype` is that of the Open Inference Protocol, `shape` that of one row: empty for a single value.
    """

    name: str
    datatype: str = "FP64"
    choices: tuple[str, ...] = ()  # texts that it may be
    low: float = 0.0
    high: float = 1.0
    shape: tuple[int, ...] = ()


def fields_of(metadata: Mapping[str, Any]) -> tuple[Field, ...]:
    """What a model's metadata, GET /v2/models/NAME, says that it takes. Raises: BadInput.

    >>> fields_of({"inputs": [{"name": "miles", "datatype": "FP64", "shape": [-1]}]})[0].name
    'miles'
    """
    try:
        found = tuple(
            Field(each["name"], each["datatype"], shape=tuple(max(size, 1) for size in each["shape"][1:]))
            for each in metadata["inputs"]
        )
    except (KeyError, TypeError) as wrong:
        raise BadInput(f"a server's metadata does not say what the model takes: {wrong}") from wrong
    if not found:
        raise BadInput("the model takes nothing, so there is nothing to ask")
    return found


def drawn_rows(fields: Sequence[Field], count: int, seed: int = 7) -> list[Row]:
    """Rows of values as each field allows them; equal seeds give equal rows.

    >>> drawn_rows([Field("carrier", "BYTES", ("AA",))], 1)
    [{'carrier': 'AA'}]
    """
    chance = random.Random(seed)
    return [{field.name: _drawn(field, field.shape, chance) for field in fields} for _ in range(count)]


def body_of(rows: Sequence[Row], fields: Sequence[Field], protocol: str) -> bytes:
    """The body of a request for rows. Raises: UnknownName (a protocol)."""
    if protocol not in _BODIES:
        raise UnknownName("protocol", protocol, _BODIES)
    return json.dumps(_BODIES[protocol](rows, fields)).encode()


def path_of_model(model: str, protocol: str) -> str:
    """Where a protocol asks a model."""
    return "/invocations" if protocol == "invocations" else f"/v2/models/{model}/infer"


def _drawn(field: Field, shape: tuple[int, ...], chance: random.Random) -> Any:  # noqa: ANN401 - of its datatype
    if shape:
        return [_drawn(field, shape[1:], chance) for _ in range(shape[0])]
    if field.datatype == "BYTES":
        return chance.choice(field.choices) if field.choices else f"value{chance.randrange(100)}"
    if field.datatype == "BOOL":
        return chance.random() < 0.5
    if field.datatype.startswith(_WHOLE):
        return chance.randint(int(field.low), max(int(field.high), int(field.low)))
    return round(chance.uniform(field.low, field.high), 6)


def _tensors(rows: Sequence[Row], fields: Sequence[Field]) -> dict[str, Any]:
    return {
        "inputs": [
            {
                "name": field.name,
                "shape": [len(rows), *field.shape],
                "datatype": field.datatype,
                "data": [row[field.name] for row in rows],
            }
            for field in fields
        ]
    }


def _frame(rows: Sequence[Row], fields: Sequence[Field]) -> dict[str, Any]:
    names = [field.name for field in fields]
    if any(field.shape for field in fields):  # a table has no tensors
        return {"inputs": {name: [row[name] for row in rows] for name in names}}
    return {"dataframe_split": {"columns": names, "data": [[row[name] for name in names] for row in rows]}}


_BODIES: Mapping[str, Callable[[Sequence[Row], Sequence[Field]], dict[str, Any]]] = {
    "oip": _tensors,
    "invocations": _frame,
}
