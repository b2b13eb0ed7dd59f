"""The tensors of a message: raw bytes beside them or typed contents in them, never both.

Source: kserve/open-inference-protocol, grpc_predict_v2.proto, on InferTensorContents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from esteira.base.errors import BadInput
from esteira.registry.columns import WrongInput
from esteira.registry.tensors import DTYPES
from esteira.serving.tensors import (
    TEXT,
    MalformedTensor,
    as_objects,
    count_of,
    datatype_of,
    from_raw,
    shaped,
    text_of,
    to_raw,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from esteira.serving.rpc.messages import Message

# Datatype → the field of InferTensorContents that holds it; FP16 has none and must be raw.
_FIELDS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    TEXT: "bytes_contents",
}
_SHARED = "shared_memory_region"  # a parameter of tensors that Triton would read from this machine's memory


def arrays_of(request: Message) -> dict[str, NDArray[Any]]:
    """The tensors of a request by name, each in its shape.

    Raises: WrongInput (which names the tensor), BadInput.
    """
    tensors, raws = request.inputs, request.raw_input_contents
    if raws and len(raws) != len(tensors):
        expected = f"one tensor for each of the {len(tensors)} inputs"
        raise BadInput(f"raw_input_contents must hold {expected}, found {len(raws)}")
    found: dict[str, NDArray[Any]] = {}
    for number, tensor in enumerate(tensors):
        name = tensor.name[:80]
        if tensor.name in found:
            raise WrongInput(name, "one tensor", "several of that name")
        try:
            found[tensor.name] = _raw(tensor, raws[number]) if raws else _typed(tensor)
        except MalformedTensor as wrong:
            raise WrongInput(name, wrong.expected, wrong.found) from wrong
    return found


def _raw(tensor: Message, raw: bytes) -> NDArray[Any]:
    if tensor.contents.ListFields():
        raise MalformedTensor("in raw_input_contents, as the other inputs are", "contents too")
    return from_raw(tensor.datatype, tensor.shape, raw)


def _typed(tensor: Message) -> NDArray[Any]:
    count, datatype = count_of(tensor.datatype, tensor.shape), tensor.datatype
    if _SHARED in tensor.parameters:
        raise MalformedTensor("in the request, for no memory is shared here", f"the parameter {_SHARED}")
    filled = [field.name for field, _ in tensor.contents.ListFields()]
    if datatype not in _FIELDS:
        found = ", ".join(filled) or "nothing"
        raise MalformedTensor("in raw_input_contents, for FP16 has no other form", found)
    field = _FIELDS[datatype]
    if filled not in ([], [field]):
        raise MalformedTensor(f"in contents.{field}, as {datatype} is", ", ".join(filled))
    values = getattr(tensor.contents, field)
    if len(values) != count:
        raise MalformedTensor(f"{count} elements, as its shape says", str(len(values)))
    if datatype == TEXT:
        return shaped(as_objects([text_of(each) for each in values]), tensor.shape)
    return shaped(_narrowed(values, np.dtype(DTYPES[datatype])), tensor.shape)


def _narrowed(values: Sequence[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Numbers as the dtype: whole ones of 8 and 16 bits travel in fields of 32."""
    if dtype.kind not in "iu":
        return np.array([*values], dtype)
    wide = np.array([*values], "int64" if dtype.kind == "i" else "uint64")
    limits = np.iinfo(dtype)
    if wide.size and (wide.min() < limits.min or wide.max() > limits.max):
        raise MalformedTensor(f"of {dtype}, {limits.min} to {limits.max}", f"{wide.min()} to {wide.max()}")
    return wide.astype(dtype, copy=False)


def fill(response: Message, outputs: Mapping[str, NDArray[Any]], *, raw: bool) -> None:
    """Put tensors into a ModelInferResponse: all raw, or all typed; FP16 makes all of them raw."""
    datatypes: Sequence[str] = [datatype_of(array) for array in outputs.values()]
    is_raw = raw or not _FIELDS.keys() >= set(datatypes)
    for (name, array), datatype in zip(outputs.items(), datatypes, strict=True):
        tensor = response.outputs.add(name=name, datatype=datatype, shape=array.shape)
        if is_raw:
            response.raw_output_contents.append(to_raw(array))
        else:
            values: Iterable[Any] = array.ravel().tolist()
            if datatype == TEXT:
                values = (str(each).encode("utf-8", "replace") for each in values)
            getattr(tensor.contents, _FIELDS[datatype]).extend(values)
