"""The binary tensor data extension: JSON first, then the tensors' bytes, in the order of the JSON.

Source: Triton Inference Server, protocol extension "binary tensor data".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from esteira.base.errors import BadInput
from esteira.registry.columns import WrongInput
from esteira.serving.tensors import MalformedTensor, from_raw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from esteira.serving.http.columns import Tensor

EXTENSION = "binary_tensor_data"
LENGTH_HEADER = "inference-header-content-length"
SIZE = "binary_data_size"
BYTES_TYPE = "application/octet-stream"


def split_body(header: str, body: bytes) -> tuple[bytes, bytes]:
    """The JSON and the tensors' bytes of a body. Raises: BadInput (a length that is none, or beyond it)."""
    length = int(header) if header.isascii() and header.isdecimal() and len(header) < 12 else -1
    if not 0 <= length <= len(body):
        raise BadInput(
            f"{LENGTH_HEADER} must be the length of the JSON, 0 to {len(body)}, found {header[:40]!r}"
        )
    return body[:length], body[length:]


def arrays_of(tensors: Sequence[Tensor], raw: bytes) -> dict[str, NDArray[Any]]:
    """The tensors that came as bytes, by name. Raises: WrongInput (which names the tensor), BadInput."""
    found: dict[str, NDArray[Any]] = {}
    at = 0
    for tensor in tensors:
        if SIZE not in tensor.parameters:
            continue
        name, size = tensor.name[:80], tensor.parameters[SIZE]
        if type(size) is not int or not 0 <= size <= len(raw) - at:
            raise WrongInput(
                name, f"a {SIZE} from 0 to the {len(raw) - at} bytes that are left", str(size)[:40]
            )
        if tensor.data is not None or tensor.name in found:
            raise WrongInput(name, "given once, as data or as bytes", "twice")
        try:
            found[tensor.name] = from_raw(tensor.datatype, tensor.shape, raw[at : at + size])
        except MalformedTensor as wrong:
            raise WrongInput(name, wrong.expected, wrong.found) from wrong
        at += size
    if at != len(raw):
        raise BadInput(f"{len(raw) - at} bytes after the last tensor; say each tensor's {SIZE}")
    return found
