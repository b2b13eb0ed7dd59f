"""Tensors held against what a model says that it takes and gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from esteira.base.errors import BadInput, CorruptArtifact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from esteira.registry.tensors import TensorSignature, TensorSpec


class UnlikeModel(BadInput):
    """Tensors in a bundle that are not those of its files."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(
            f"the files have {expected}, the model's tensors say {found}; take them from the files"
        )
        self.expected, self.found = expected, found


class RefusedTensors(BadInput):
    """Tensors that a model cannot work with, though their names, datatypes and shapes fit."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the model refuses the tensors: {reason}")
        self.reason = reason


def check_signature(told: TensorSignature, files: TensorSignature) -> None:
    """Hold a bundle's tensors against those of its files: all inputs, and any of the outputs.

    A size that the files leave open may be told. Raises: UnlikeModel.
    """
    if {each.name for each in told.inputs} != {each.name for each in files.inputs}:
        raise UnlikeModel(f"inputs {_names(files.inputs)}", _names(told.inputs))
    for kind, said, there in (("input", told.inputs, files.inputs), ("output", told.outputs, files.outputs)):
        known = {each.name: each for each in there}
        for spec in said:
            if spec.name not in known:
                raise UnlikeModel(f"{kind}s {_names(there)}", repr(spec.name))
            if not _is_of(spec, known[spec.name]):
                raise UnlikeModel(_shown(known[spec.name]), _shown(spec))


def check_inputs(specs: Iterable[TensorSpec], inputs: Mapping[str, NDArray[Any]]) -> None:
    """Hold the tensors of a request against those that a model takes. Raises: RefusedTensors."""
    for spec in specs:
        found = inputs.get(spec.name)
        if found is None:
            raise RefusedTensors(f"{spec.name!r} is missing; send {_shown(spec)}")
        if found.dtype != np.dtype(spec.dtype) or not spec.fits(found.shape):
            raise RefusedTensors(f"{spec.name!r} is {found.dtype} {[*found.shape]}; send {_shown(spec)}")


def check_column_count(payload: str, expected: int, spec: TensorSpec) -> None:
    """Hold the one input of a model of columns against its signature. Raises: CorruptArtifact, BadInput."""
    if spec.datatype not in {"FP32", "FP64"} or len(spec.shape) != 2 or spec.shape[0] != -1:
        raise BadInput(
            f"a model of columns takes one tensor FP32 or FP64 [-1, {expected}], found {_shown(spec)}; "
            "export it with a first dimension of any length, or serve it as a model of tensors"
        )
    if spec.shape[1] not in {-1, expected}:
        raise CorruptArtifact(payload, f"{expected} columns", f"{spec.shape[1]}")


def _is_of(told: TensorSpec, file: TensorSpec) -> bool:
    return (
        told.datatype == file.datatype
        and len(told.shape) == len(file.shape)
        and all(size in (-1, said) for size, said in zip(file.shape, told.shape, strict=True))
    )


def _names(specs: Iterable[TensorSpec]) -> str:
    return ", ".join(repr(spec.name) for spec in specs)


def _shown(spec: TensorSpec) -> str:
    return f"{spec.name!r} {spec.datatype} {[*spec.shape]}"
