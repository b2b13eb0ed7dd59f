"""What a model made elsewhere asks for: told by the user, by an MLmodel, or by the native files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from esteira.base.errors import BadInput, NotFound
from esteira.base.optional import load
from esteira.project.foreign import names_in
from esteira.registry.columns import Column
from esteira.registry.signature import Signature
from esteira.registry.tensors import DTYPES, TensorSignature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from esteira.project.foreign import Foreign

TARGET = "label"  # the name of what is predicted, when nobody says
_NUMBERS = {"double": "FP64", "float": "FP32", "long": "INT64", "integer": "INT32", "boolean": "BOOL"}
_DATATYPES = {name: datatype for datatype, name in DTYPES.items()} | {"str": "BYTES", "bytes": "BYTES"}
_MEND = "name them with --like VERSION, a version with the same columns, or with --columns FILE"


class NoColumns(BadInput):
    """A model that does not say what its columns are."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; {_MEND}")
        self.reason = reason


class _Form(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    kind: Literal["number", "category"] = "number"
    categories: tuple[str, ...] = ()
    optional: bool = False


def read_columns(path: Path) -> tuple[Column, ...]:
    """The columns that a JSON file lists: names, or objects with name, kind, categories and optional.

    Raises: NotFound, BadInput.
    """
    if not path.is_file():
        raise NotFound("file of columns", str(path))
    try:
        forms = msgspec.json.decode(path.read_bytes(), type=list[str | _Form])
    except msgspec.MsgspecError as wrong:
        example = '["miles", {"name": "carrier", "kind": "category", "categories": ["AA", "UA"]}]'
        raise BadInput(f"{path} must be a JSON list such as {example}: {wrong}") from wrong
    return _distinct(
        [
            Column(each)
            if isinstance(each, str)
            else Column(each.name, each.kind, each.categories, "", each.optional)
            for each in forms
        ]
    )


def inputs_of(foreign: Foreign, target: str = TARGET) -> tuple[Signature, TensorSignature | None]:
    """The columns or the tensors that a model says itself. Raises: NoColumns, BadInput, CorruptArtifact."""
    if foreign.runtime == "onnx":
        tensors = load("esteira.serving.runtimes.onnx:tensors_of_onnx")(foreign.files)
        return Signature((), target), tensors
    inputs, own = foreign.described.inputs, names_in(foreign)
    if inputs and all(each.get("type") == "tensor" for each in inputs):
        if foreign.runtime == "pyfunc":
            return Signature((), target), _tensors(inputs, foreign.described.outputs)
    elif inputs and all(each.get("name") and isinstance(each["name"], str) for each in inputs):
        columns = {column.name: column for column in map(_column, inputs)}
        order = own if sorted(own) == sorted(columns) else columns  # the native file reads by place
        return Signature(tuple(columns[name] for name in order), target), None
    if own:
        return Signature(_distinct([Column(name, optional=True) for name in own]), target), None
    raise NoColumns(f"the model ({foreign.runtime}) does not say what its columns are")


def _distinct(columns: Sequence[Column]) -> tuple[Column, ...]:
    names = [column.name for column in columns]
    if not names or len(set(names)) != len(names):
        raise BadInput(f"columns need at least one name and no doubled one, found {names[:20]}")
    return tuple(columns)


def _column(said: Mapping[str, Any]) -> Column:
    name, kind = said["name"], str(said.get("type"))
    if kind not in _NUMBERS:
        reason = (
            "its categories are not in the MLmodel"
            if kind == "string"
            else "esteira has numbers and categories"
        )
        raise NoColumns(f"column {name!r} is a {kind}, and {reason}")
    return Column(name, optional=not said.get("required", True))


def _tensors(
    inputs: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]] | None
) -> TensorSignature:
    if not outputs:
        raise BadInput("the MLmodel says nothing of the outputs; log the model again with a whole signature")
    return TensorSignature(
        tuple(_tensor(each, "input") for each in inputs), tuple(_tensor(each, "output") for each in outputs)
    )


def _tensor(said: Mapping[str, Any], name: str) -> TensorSpec:
    name, spec = str(said.get("name") or name), said.get("tensor-spec")
    if spec is None:  # a column among the outputs
        return TensorSpec(name, _NUMBERS.get(str(said.get("type")), "BYTES"), (-1,))
    try:
        return TensorSpec(name, _DATATYPES[spec["dtype"]], tuple(msgspec.convert(spec["shape"], list[int])))
    except (KeyError, TypeError, msgspec.ValidationError) as wrong:
        raise BadInput(f"tensor {name!r} of the MLmodel cannot be served: {spec}") from wrong
