"""What a model of tensors asks for and gives: images, sequences, anything that is no table of columns."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

# Datatype of the Open Inference Protocol → NumPy's name; BYTES are texts, as objects.
DTYPES: Mapping[str, str] = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
    "BYTES": "object",
}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor: its name, its datatype, and its shape with -1 for a dimension of any length.

    Raises: BadInput. Source: Open Inference Protocol v2, tensor data types.
    >>> TensorSpec("pixels", "FP32", (-1, 28, 28)).dtype
    'float32'
    """

    name: str
    datatype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.datatype not in DTYPES:
            known = ", ".join(DTYPES)
            raise BadInput(f"tensor {self.name!r} has datatype {self.datatype!r}; use one of {known}")
        if any(size < -1 for size in self.shape):
            mend = "a size is -1, for any, or at least 0"
            raise BadInput(f"tensor {self.name!r} has shape {self.shape}; {mend}")

    @property
    def dtype(self) -> str:
        """NumPy's name of the datatype."""
        return DTYPES[self.datatype]

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor of a shape may stand here.

        >>> TensorSpec("pixels", "FP32", (-1, 28)).fits((3, 28))
        True
        """
        return len(shape) == len(self.shape) and all(
            size in (-1, found) for size, found in zip(self.shape, shape, strict=True)
        )


@dataclass(frozen=True, slots=True)
class TensorSignature:
    """The tensors that a model takes and those that it gives, in their order. Raises: BadInput."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def __post_init__(self) -> None:
        for specs in (self.inputs, self.outputs):
            names = [spec.name for spec in specs]
            if not names or len(set(names)) != len(names):
                raise BadInput(f"tensors need at least one name and no doubled one, found {names}")

    @property
    def is_batched(self) -> bool:
        """Whether the first dimension of every tensor is that of rows, so that requests can be joined."""
        return all(spec.shape[:1] == (-1,) for spec in (*self.inputs, *self.outputs))

    def to_plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "inputs": [asdict(spec) for spec in self.inputs],
            "outputs": [asdict(spec) for spec in self.outputs],
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> TensorSignature:
        """The inverse of `to_plain`. Raises: msgspec.ValidationError, BadInput."""
        return msgspec.convert(plain, cls)
