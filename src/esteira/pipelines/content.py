"""The identity of a value is its content: one JSON spelling for each value that has one."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Set
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PosixPath, PurePath, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from esteira.base.digest import canonical_json, digest_bytes
from esteira.base.errors import BadInput, NaiveTime

if TYPE_CHECKING:
    from collections.abc import Callable

    Odd = Callable[[object], object]

Value: TypeAlias = Any  # whatever Python code hands about


class Unhashable(BadInput):
    """A value that has no content by which a cache could know it."""

    def __init__(self, kind: str) -> None:
        super().__init__(
            f"a value of type {kind} has no content that a cache key could hold; "
            "use JSON values, tuples, aware times, enums or dataclasses of them, or make it an input"
        )
        self.kind = kind


def content(value: object, odd: Odd) -> object:
    """JSON values that differ whenever the value, or the type of anything in it, does.

    `odd` answers for what this function does not know, or raises Unhashable.
    Raises: Unhashable (also for a container that holds itself).
    >>> content((1, [2.5, None]), plain_odd)
    {'tuple': [1, [2.5, None]]}
    """
    try:
        return _content(value, odd)
    except RecursionError as endless:
        raise Unhashable(f"{type(value).__name__} that holds itself") from endless


def plain_odd(value: object) -> object:
    """Enums, aware times and dataclasses. Raises: NaiveTime, Unhashable.

    >>> plain_odd(timedelta(days=1))
    {'timedelta': 86400000000}
    """
    if isinstance(value, datetime) and value.tzinfo is None:
        raise NaiveTime(f"the parameter {value!r}")
    return record(value, plain_odd, lambda kind: kind.__qualname__)


def record(value: object, odd: Odd, label: Callable[[type], object]) -> object:
    """Enums, times and dataclasses, each with `label` of its class. Raises: Unhashable."""
    if isinstance(value, Enum):
        return {"enum": [label(type(value)), value.name, _content(value.value, odd)]}
    if is_dataclass(value) and not isinstance(value, type):
        inside = [[f.name, _content(getattr(value, f.name), odd)] for f in fields(value)]
        return {"dataclass": [label(type(value)), inside]}
    if isinstance(value, datetime | date | time):
        return {type(value).__name__: value.isoformat()}
    if isinstance(value, timedelta):
        return {"timedelta": value // timedelta(microseconds=1)}
    raise Unhashable(type(value).__qualname__)


def _content(value: Value, odd: Odd) -> object:
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if isinstance(value, float) and math.isfinite(value) and not isinstance(value, Enum):
        return float(value)
    if isinstance(value, Enum | float):  # JSON spells neither inf nor nan
        return odd(value)
    if isinstance(value, list | tuple | Set | Mapping):
        return _container(value, odd)
    spell = _SPELLINGS.get(kind)
    return {kind.__name__: spell(value)} if spell else _array(value, odd)


def _container(value: Value, odd: Odd) -> object:
    if isinstance(value, list):
        return [_content(each, odd) for each in value]
    if isinstance(value, tuple):
        return {"tuple": [_content(each, odd) for each in value]}
    if isinstance(value, Set):
        return {"set": sorted((_content(each, odd) for each in value), key=canonical_json)}
    pairs = [[_content(name, odd), _content(each, odd)] for name, each in value.items()]
    return {"mapping": pairs}  # in its order, which a step may see


def _array(value: Value, odd: Odd) -> object:
    """Arrays by their bytes; the vendors are looked up, not loaded: a value of theirs has loaded them."""
    numpy, arrow = sys.modules.get("numpy"), sys.modules.get("pyarrow")
    if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic) and not value.dtype.hasobject:
        return {"array": [str(value.dtype), [*value.shape], digest_bytes(value.tobytes())]}
    if arrow is not None and isinstance(value, arrow.Table | arrow.Array | arrow.ChunkedArray):
        table = value if isinstance(value, arrow.Table) else arrow.table({"": value})
        return {"arrow": _arrow_digest(table.combine_chunks(), arrow)}
    if arrow is not None and isinstance(value, arrow.Schema | arrow.Field | arrow.DataType | arrow.Scalar):
        return {"arrow": [type(value).__name__, str(value)]}
    return odd(value)


def _arrow_digest(table: Value, arrow: Value) -> str:
    sink = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return digest_bytes(memoryview(sink.getvalue()))


_SPELLINGS: Mapping[type, Callable[[Any], object]] = {
    bytes: bytes.hex,
    bytearray: lambda value: value.hex(),
    complex: repr,
    Decimal: str,
    UUID: str,
    range: lambda value: [value.start, value.stop, value.step],
    slice: lambda value: [value.start, value.stop, value.step],
    re.Pattern: lambda value: [value.pattern, value.flags],
    type(...): repr,
    PosixPath: PurePath.as_posix,
    PurePosixPath: PurePath.as_posix,
}
