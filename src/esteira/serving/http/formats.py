"""What MLflow's clients send, as rows of named values: frames, records, columns, CSV and Parquet.

This is the exact path: it takes every body that MLflow's scoring server takes for a model whose columns
have names, and says of any other what is wrong with it. Columns that the model does not know are left out, as
MLflow leaves them out: clients send whole frames. Values are checked later, where they become numbers.

Source: mlflow.pyfunc.scoring_server, version 3; tests/serving/http/golden holds its answers.
"""

from __future__ import annotations

import csv
from difflib import get_close_matches
from io import StringIO
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, UnsetType

from esteira.base.errors import BadInput
from esteira.serving.http.decoding import MalformedBody, decode
from esteira.serving.work import refuse_many

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from esteira.registry.signature import Signature

    Rows = list[dict[str, Any]]

FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # some editors and Windows programs write it
# What pandas writes and reads as no value; in a column of texts they are texts.
_NOTHING = frozenset(
    ("", "#N/A", "#NA", "-nan", "-NaN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null")
)
_QUOTED = 20  # names that an error quotes or compares


class UnfitRows(BadInput):
    """Values that were read, and are not those of the model's columns or tensors."""


class Split(msgspec.Struct, forbid_unknown_fields=True):
    """A frame as its columns and its rows."""

    data: list[list[Any]]
    columns: list[Any] | None = None
    index: list[Any] | None = None


class Invocation(msgspec.Struct):
    """The body: exactly one of the formats. Parameters and what else there is are ignored, as by MLflow."""

    dataframe_split: Split | UnsetType = UNSET
    dataframe_records: list[Any] | UnsetType = UNSET
    instances: Any = UNSET
    inputs: Any = UNSET


_decoder = msgspec.json.Decoder(Invocation)


def given(body: bytes) -> tuple[str, Any]:
    """The one format of a JSON body, and what it holds. Raises: MalformedBody.

    >>> given(b'{"inputs": {"miles": [5]}, "signature_name": "x"}')
    ('inputs', {'miles': [5]})
    """
    asked = decode(_decoder, body.removeprefix(_BYTE_ORDER_MARK))
    found = [name for name in FORMATS if getattr(asked, name) is not UNSET]
    if len(found) != 1:
        raise MalformedBody(f"send exactly one of {', '.join(FORMATS)}, found {', '.join(found) or 'none'}")
    return found[0], getattr(asked, found[0])


def rows_of_json(body: bytes, signature: Signature) -> Rows:
    """The rows of a JSON body, whatever its format. Raises: MalformedBody, UnfitRows.

    >>> from esteira.registry.signature import Column, Signature
    >>> rows_of_json(b'{"inputs": {"miles": [5, 6], "day": "Mon"}}', Signature((Column("miles"),), "late"))
    [{'miles': 5}, {'miles': 6}]
    """
    name, value = given(body)
    if name == "dataframe_split":
        return _of_split(value, signature)
    if isinstance(value, dict):
        return _of_columns(value, signature)
    if not isinstance(value, list):
        raise UnfitRows(f"{name} must be a list of records, or columns by name, found {str(value)[:40]!r}")
    fields = [*(column.name for column in signature.request_columns), *signature.keys]
    if name != "dataframe_records" and len(fields) == 1 and not any(isinstance(each, dict) for each in value):
        return _of_columns({fields[0]: value}, signature)  # there is only one column that it can mean
    return _of_records(name, value, signature)


def rows_of_csv(body: bytes, signature: Signature) -> Rows:
    """The rows of CSV with a header, as pandas writes it. Raises: MalformedBody, UnfitRows, BadInput.

    >>> from esteira.registry.signature import Column, Signature
    >>> rows_of_csv(b"miles,day\\n5,Mon\\n", Signature((Column("miles"),), "late"))
    [{'miles': 5.0}]
    """
    try:
        text = StringIO(body.decode("utf-8-sig"), newline="")
        names, *lines = (line for line in csv.reader(text, strict=True) if line)
    except (ValueError, csv.Error) as wrong:
        raise MalformedBody(f"the body is not CSV with a header: {wrong}") from wrong
    numbers = {column.name for column in signature.request_columns if column.kind == "number"}
    kept = [(at, name, name in numbers) for at, name in _kept(names, signature)]
    _refuse_ragged(lines, names)
    return [
        {name: _number(name, line[at]) if is_number else line[at] for at, name, is_number in kept}
        for line in lines
    ]


def rows_of_columns(columns: Mapping[str, Sequence[Any]]) -> Rows:
    """Columns of equal length as rows.

    >>> rows_of_columns({"a": [1, 2], "b": [3, 4]})
    [{'a': 1, 'b': 3}, {'a': 2, 'b': 4}]
    """
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def known_fields(signature: Signature) -> frozenset[str]:
    """Every name that the model has a word on, be it only that a request must not bring it."""
    own = (column.name for column in (*signature.columns, *signature.inputs))
    return frozenset((*own, *signature.keys))


def refuse_missing(names: Iterable[str], signature: Signature) -> None:
    """Refuse names that lack one which the model needs. Raises: UnfitRows, which tells a misspelt name."""
    found = {*names}
    missing = [name for name in _required(signature) if name not in found]
    if not missing:
        return
    for stranger in sorted(found - known_fields(signature))[:_QUOTED]:
        near = get_close_matches(stranger[:80], missing, n=1, cutoff=0.5)
        if near:
            raise UnfitRows(f"unknown column {stranger[:80]!r}; did you mean {near[0]!r}?")
    kinds = {column.name: f"a {column.kind}" for column in signature.request_columns}
    wanted = kinds.get(missing[0], "given, as the key of features (null when unknown)")
    also = f"; missing too: {', '.join(missing[1:_QUOTED])}" if missing[1:] else ""
    raise UnfitRows(f"column {missing[0]!r} must be {wanted}, found nothing{also}")


def _required(signature: Signature) -> list[str]:
    needed = [column.name for column in signature.request_columns if not column.optional]
    return [*needed, *signature.keys]


def _kept(names: Sequence[Any], signature: Signature) -> list[tuple[int, str]]:
    """The columns that the model knows, with their places. Raises: UnfitRows (missing or doubled)."""
    refuse_missing((name for name in names if isinstance(name, str)), signature)
    known = known_fields(signature)
    kept = [(at, name) for at, name in enumerate(names) if isinstance(name, str) and name in known]
    columns = [name for _, name in kept]
    if len({*columns}) < len(columns):
        doubled = next(name for name in columns if columns.count(name) > 1)
        raise UnfitRows(f"column {doubled!r} comes twice; send it once")
    return kept


def _of_split(split: Split, signature: Signature) -> Rows:
    data = split.data
    if split.index is not None and len(split.index) != len(data):
        raise MalformedBody(f"index has {len(split.index)} entries for {len(data)} rows")
    names = _order_of("dataframe_split", signature) if split.columns is None else split.columns
    _refuse_ragged(data, names)
    kept = _kept(names, signature)
    return [{name: row[at] for at, name in kept} for row in data]


def _order_of(name: str, signature: Signature) -> list[str]:
    """The columns of rows without names: one reading, the model's order, where all are numbers."""
    columns = signature.request_columns
    if signature.keys or any(column.kind != "number" or column.optional for column in columns):
        mend = "send records, one object a row, or columns by name"
        raise UnfitRows(
            f"{name} has rows without names, and the model's columns are of several kinds; {mend}"
        )
    return [column.name for column in columns]


def _refuse_ragged(rows: Sequence[Sequence[Any]], names: Sequence[Any]) -> None:
    for number, row in enumerate(rows):
        if len(row) != len(names):
            raise MalformedBody(f"row {number} has {len(row)} values for {len(names)} columns")


def _of_columns(given: Mapping[str, Any], signature: Signature) -> Rows:
    """Columns by name; a bare value stands for every row, and bare values alone are one row."""
    lengths = {name: len(values) for name, values in given.items() if isinstance(values, list)}
    if len({*lengths.values()}) > 1:
        said = ", ".join(f"{name[:80]!r} {length}" for name, length in [*lengths.items()][:_QUOTED])
        raise UnfitRows(f"columns differ in length: {said}")
    rows = next(iter(lengths.values()), 1)
    refuse_many(rows)
    kept = [(name, given[name]) for _, name in _kept([*given], signature)]
    return rows_of_columns(
        {name: values if isinstance(values, list) else [values] * rows for name, values in kept}
    )


def _of_records(name: str, records: Sequence[Any], signature: Signature) -> Rows:
    if records and all(isinstance(record, list) for record in records):
        names = _order_of(name, signature)
        _refuse_ragged(records, names)
        return [dict(zip(names, record, strict=True)) for record in records]
    known, required, rows = known_fields(signature), frozenset(_required(signature)), []
    for number, record in enumerate(records):
        if not isinstance(record, dict):
            raise MalformedBody(f"row {number} of {name} must be an object, found {str(record)[:40]!r}")
        if not record.keys() >= required:
            _refuse_record(number if len(records) > 1 else None, record, signature)
        is_known = record.keys() <= known
        rows.append(record if is_known else {key: record[key] for key in record.keys() & known})
    return rows


def _refuse_record(number: int | None, record: Mapping[str, Any], signature: Signature) -> None:
    try:
        refuse_missing(record, signature)
    except UnfitRows as unfit:
        raise UnfitRows(str(unfit) if number is None else f"row {number}: {unfit}") from unfit


def _number(name: str, text: str) -> float | None:
    if text in _NOTHING:
        return None
    try:
        if "_" in text or not text.isascii():  # Python's own way to write numbers, and nobody else's
            raise ValueError(text)
        return float(text)
    except ValueError as wrong:
        raise BadInput(f"column {name!r} must be a number, found {text[:40]!r}") from wrong
