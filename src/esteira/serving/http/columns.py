"""The tensors of a request as rows of a model's columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from esteira.base.errors import BadInput
from esteira.registry.columns import WrongInput
from esteira.serving.work import refuse_many

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from esteira.registry.signature import Signature

_ONE = [1]  # the shape of one row
_WHOLE, _REAL = frozenset({int, type(None)}), frozenset({float, int, type(None)})
_ELEMENTS = {
    "BOOL": frozenset({bool, type(None)}),
    "BYTES": frozenset({str, type(None)}),
    **dict.fromkeys(("FP16", "FP32", "FP64"), _REAL),
    **dict.fromkeys((f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)), _WHOLE),
}


class Tensor(msgspec.Struct, gc=False):
    """A tensor of a request; its data stands in the JSON, or in bytes after it."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | None = None
    parameters: dict[str, Any] = {}


def rows_of(tensors: Sequence[Tensor], arrays: Mapping[str, NDArray[Any]]) -> list[dict[str, Any]]:
    """One tensor for each column as rows of named values; `arrays` are those that came as bytes.

    Raises: WrongInput, which names the tensor, and BadInput.
    """
    row: dict[str, Any] = {}
    for tensor in tensors:  # the common request, checked as below, but without its lists
        data = tensor.data
        if (
            data is None
            or tensor.shape != _ONE
            or len(data) != 1
            or type(data[0]) not in _ELEMENTS.get(tensor.datatype, ())
        ):
            return _rows_of_columns(tensors, arrays)
        row[tensor.name] = data[0]
    return [row] if row and len(row) == len(tensors) else _rows_of_columns(tensors, arrays)


def matrix_of(tensor: Tensor, array: NDArray[Any] | None, signature: Signature) -> list[list[float]] | None:
    """The only tensor as rows of all columns; None when it is no matrix of numbers as wide as the model.

    Raises: WrongInput (an element that is no finite number, a shape that is not that of the data).
    """
    columns = signature.columns
    rows, width = tensor.shape
    refuse_many(rows)
    if width != len(columns) or width < 2 or any(column.kind != "number" for column in columns):
        return None
    if array is not None and array.dtype.kind in "biuf":
        vectors: list[list[float]] = array.astype("float64").tolist()
    else:
        vectors = _nested(tensor, rows, width)
    is_plain = not any(column.optional for column in columns) and all(
        type(each) is float and each - each == 0.0 for row in vectors for each in row
    )
    return vectors if is_plain else [_encoded(row, signature) for row in vectors]


def _encoded(row: Sequence[Any], signature: Signature) -> list[float]:
    """A row that needs the rules, and the words, of its columns. Raises: WrongInput, BadInput."""
    try:
        return signature.encode_row(dict(zip(signature.names, row, strict=True)))
    except OverflowError as huge:
        raise BadInput(f"a number is too large: {huge}; the limit is about 1.8e308") from huge


def _nested(tensor: Tensor, rows: int, width: int) -> list[list[Any]]:
    data = tensor.data or []
    if data and isinstance(data[0], list):
        nested = data
    else:
        nested = [data[start : start + width] for start in range(0, len(data), width)]
    name = tensor.name[:80]
    if len(nested) != rows or any(not isinstance(row, list) or len(row) != width for row in nested):
        raise WrongInput(name, f"{rows} rows of {width} elements, as its shape says", "others")
    for row in nested:
        _refuse_elements(name, tensor.datatype, row)
    return nested


def _refuse_elements(name: str, datatype: str, data: Sequence[Any]) -> None:
    accepted = _ELEMENTS.get(datatype)
    if accepted is None:
        raise WrongInput(name, f"of datatype {', '.join(_ELEMENTS)}", repr(datatype)[:40])
    if not accepted.issuperset(map(type, data)):
        stranger = next(each for each in data if type(each) not in accepted)
        raise WrongInput(name, f"{datatype} elements", repr(stranger)[:40])


def _rows_of_columns(tensors: Sequence[Tensor], arrays: Mapping[str, NDArray[Any]]) -> list[dict[str, Any]]:
    columns = {tensor.name: _column(tensor, arrays.get(tensor.name)) for tensor in tensors}
    if len(columns) != len(tensors):
        names = [tensor.name for tensor in tensors]
        doubled = next(name for name in names if names.count(name) > 1)
        raise WrongInput(doubled[:80], "one tensor", "several of that name")
    if not columns:
        raise BadInput("inputs is empty; send one tensor for each column")
    refuse_many(tensors[0].shape[0])
    if len({len(values) for values in columns.values()}) > 1:
        first = tensors[0]
        odd = next(tensor for tensor in tensors if tensor.shape[0] != first.shape[0])
        raise WrongInput(
            odd.name[:80], f"as long as {first.name[:80]!r}, {first.shape[0]}", f"{odd.shape[0]}"
        )
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _column(tensor: Tensor, array: NDArray[Any] | None) -> list[Any]:
    name, shape = tensor.name[:80], tensor.shape
    if len(shape) not in {1, 2} or shape[1:] not in ([], _ONE):
        raise WrongInput(name, "of shape [n] or [n, 1], one tensor for each column", str(shape[:8]))
    if array is not None:
        values: list[Any] = array.ravel().tolist()
        return values
    data = tensor.data
    if data is None:
        raise WrongInput(name, "a tensor with data", "none")
    if len(shape) == 2 and all(isinstance(each, list) and len(each) == 1 for each in data):
        data = [each[0] for each in data]
    if len(data) != shape[0]:
        raise WrongInput(name, f"{shape[0]} elements, as its shape says", str(len(data)))
    _refuse_elements(name, tensor.datatype, data)
    return data
