"""What MLflow's clients send to a model of tensors, as arrays of exactly its datatypes and shapes.

MLflow takes one array for the only tensor, arrays by name, one object a row, and frames whose cells are
numbers or flat lists; so does this. It refuses what NumPy would bend to fit: fractions for whole numbers,
texts for numbers, and numbers that the datatype cannot hold.

Source: mlflow.models.utils, version 3, enforcement of tensor schemas.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from esteira.base.errors import BadInput
from esteira.serving.http.decoding import MalformedBody
from esteira.serving.http.formats import Split, UnfitRows, given

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from esteira.registry.tensors import TensorSignature, TensorSpec

    Arrays = dict[str, NDArray[Any]]

_ACCEPTED: Mapping[str, frozenset[type]] = {
    "b": frozenset({bool, int}),
    "u": frozenset({bool, int, float}),
    "i": frozenset({bool, int, float}),
    "f": frozenset({bool, int, float, type(None)}),  # null is how JSON says NaN
    "O": frozenset({str}),
}


def tensors_of_json(body: bytes, tensors: TensorSignature) -> Arrays:
    """The model's inputs, by name, from a JSON body of any of MLflow's formats.

    Raises: MalformedBody, UnfitRows (missing, of another shape), BadInput (values that do not fit).
    >>> from esteira.registry.tensors import TensorSignature, TensorSpec
    >>> pixels, score = TensorSpec("pixels", "FP32", (-1, 2)), TensorSpec("score", "FP32", (-1,))
    >>> read = tensors_of_json(b'{"inputs": [[1, 2], [3, 4]]}', TensorSignature((pixels,), (score,)))
    >>> read["pixels"].tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    name, value = given(body)
    if isinstance(value, Split):
        columns, rows = _frame_of_split(value)
        named = _of_frame(columns, rows, tensors)
    elif name == "dataframe_records" and _is_rows(value):
        columns = list(dict.fromkeys(chain.from_iterable(value)))
        named = _of_frame(columns, [[row.get(column) for column in columns] for row in value], tensors)
    elif name == "instances" and _is_rows(value):
        named = _of_instances(value, tensors)
    else:
        named = _by_name(name, value, tensors)
    return _checked(named, tensors)


def array_of(spec: TensorSpec, values: object) -> NDArray[Any]:
    """Nested lists as one contiguous array of the tensor's datatype. Raises: BadInput.

    >>> from esteira.registry.tensors import TensorSpec
    >>> array_of(TensorSpec("age", "INT64", (-1,)), [1, 2.0]).tolist()
    [1, 2]
    """
    held = np.array(values, dtype=object)  # as texts side by side, one long one would make all of them long
    dtype = np.dtype(spec.dtype)
    cells = held.ravel().tolist()
    kinds = set(map(type, cells))
    if not kinds <= _ACCEPTED[dtype.kind]:
        odd = next(each for each in cells if type(each) not in _ACCEPTED[dtype.kind])
        what = "lists of equal length" if isinstance(odd, list) else f"{spec.datatype} elements"
        raise BadInput(f"tensor {spec.name!r} must hold {what}, found {str(odd)[:40]!r}")
    if dtype.kind in "uib":
        return _whole(spec, held, cells)
    if dtype.kind == "O":
        return held
    return _real(spec, held)


def _frame_of_split(split: Split) -> tuple[list[Any], list[list[Any]]]:
    width = len(split.data[0]) if split.data else 0
    columns = [*range(width)] if split.columns is None else split.columns
    for number, row in enumerate(split.data):
        if len(row) != len(columns):
            raise MalformedBody(f"row {number} has {len(row)} values for {len(columns)} columns")
    return columns, split.data


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _of_frame(columns: Sequence[Any], rows: Sequence[Sequence[Any]], tensors: TensorSignature) -> Arrays:
    """A frame: a column for each tensor, or all columns side by side as the only one."""
    specs = tensors.inputs
    if all(spec.name in columns for spec in specs):
        places = {spec.name: columns.index(spec.name) for spec in specs}
        return {spec.name: _stacked(spec, [row[places[spec.name]] for row in rows]) for spec in specs}
    if len(specs) == 1 and len(specs[0].shape) == 2:
        return {specs[0].name: array_of(specs[0], rows)}
    raise _missing(columns, tensors)


def _stacked(spec: TensorSpec, cells: list[Any]) -> NDArray[Any]:
    """Cells, each a number or a flat list, in the tensor's shape where they fill it."""
    found = array_of(spec, cells)
    rest = spec.shape[1:]
    if found.ndim == 2 and -1 not in rest and found.shape[1] == np.prod(rest, dtype=int):
        return found.reshape(len(cells), *rest)
    return found.reshape(-1, 1) if found.ndim == 1 and rest == (1,) else found


def _of_instances(rows: Sequence[Mapping[str, Any]], tensors: TensorSignature) -> Arrays:
    for spec in tensors.inputs:
        lacking = next((number for number, row in enumerate(rows) if spec.name not in row), None)
        if lacking is not None:
            raise UnfitRows(f"row {lacking}: tensor {spec.name!r} must be given, found nothing")
    return {spec.name: array_of(spec, [row[spec.name] for row in rows]) for spec in tensors.inputs}


def _by_name(name: str, value: object, tensors: TensorSignature) -> Arrays:
    specs = tensors.inputs
    if isinstance(value, dict):
        if not all(spec.name in value for spec in specs):
            raise _missing(value, tensors)
        return {spec.name: array_of(spec, value[spec.name]) for spec in specs}
    if isinstance(value, list) and len(specs) == 1 and name != "dataframe_records":
        return {specs[0].name: array_of(specs[0], value)}
    mend = ", ".join(repr(spec.name) for spec in specs)
    raise UnfitRows(f"{name} must be an object with the tensors {mend}, found {str(value)[:40]!r}")


def _missing(found: Sequence[Any] | Mapping[str, Any], tensors: TensorSignature) -> UnfitRows:
    absent = next(spec.name for spec in tensors.inputs if spec.name not in found)
    said = ", ".join(repr(each)[:40] for each in [*found][:20]) or "nothing"
    return UnfitRows(f"tensor {absent!r} must be given, found {said}")


def _checked(named: Arrays, tensors: TensorSignature) -> Arrays:
    for spec in tensors.inputs:
        shape = named[spec.name].shape
        if not spec.fits(shape):
            raise UnfitRows(f"tensor {spec.name!r} must have shape {[*spec.shape]}, found {[*shape]}")
    if tensors.is_batched and len({len(array) for array in named.values()}) > 1:
        said = ", ".join(f"{name!r} {len(array)}" for name, array in named.items())
        raise UnfitRows(f"tensors differ in rows: {said}")
    return named


def _whole(spec: TensorSpec, held: NDArray[Any], cells: list[Any]) -> NDArray[Any]:
    dtype = np.dtype(spec.dtype)
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    odd = next((each for each in cells if isinstance(each, float) and not each.is_integer()), None)
    if odd is None:
        odd = next((each for each in cells if not low <= each <= high), None)
    if odd is not None:
        said = "true and false" if dtype.kind == "b" else f"whole numbers from {low} to {high}"
        raise BadInput(f"tensor {spec.name!r} must hold {said}, found {str(odd)[:40]!r}")
    whole: NDArray[Any] = np.array([int(each) for each in cells], dtype=dtype).reshape(held.shape)
    return whole


def _real(spec: TensorSpec, held: NDArray[Any]) -> NDArray[Any]:
    try:
        wide = held.astype(np.float64)
    except OverflowError as huge:
        raise BadInput(f"tensor {spec.name!r} holds a number that is too large: {huge}") from huge
    with np.errstate(over="ignore"):
        real: NDArray[Any] = wide.astype(spec.dtype)
    if (np.isinf(real) & np.isfinite(wide)).any():
        raise BadInput(f"tensor {spec.name!r} holds a number that is too large for {spec.datatype}")
    return real
