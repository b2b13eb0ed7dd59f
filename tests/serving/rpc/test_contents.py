from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from esteira.base.errors import BadInput
from esteira.registry.tensors import DTYPES
from esteira.serving.rpc.contents import arrays_of, fill
from esteira.serving.rpc.messages import MESSAGES
from esteira.serving.tensors import as_objects, datatype_of, to_raw

Request, Response = MESSAGES["ModelInferRequest"], MESSAGES["ModelInferResponse"]
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


@st.composite
def tensors(draw: st.DrawFn) -> Any:
    datatype, shape = draw(st.sampled_from([*DTYPES])), draw(SHAPES)
    if datatype != "BYTES":
        return draw(arrays.arrays(DTYPES[datatype], shape))
    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    count = int(np.prod(shape))
    return as_objects(draw(st.lists(texts, min_size=count, max_size=count))).reshape(shape)


def asked(response: Any) -> Any:
    """A response's tensors as those of a request: both have the same form."""
    request = Request(raw_input_contents=response.raw_output_contents)
    for output in response.outputs:
        request.inputs.add().ParseFromString(output.SerializeToString())
    return request


def one(name: str = "miles", datatype: str = "FP64", shape: tuple[int, ...] = (1,), **contents: Any) -> Any:
    request = Request()
    tensor = request.inputs.add(name=name, datatype=datatype, shape=shape)
    for field, values in contents.items():
        getattr(tensor.contents, field).extend(values)
    return request


@given(st.dictionaries(st.text(max_size=3), tensors(), max_size=3), st.booleans())
def test_tensors_travel_raw_and_typed_to_the_bit(
    outputs: dict[str, Any],
    raw: bool,
) -> None:
    response = Response()
    fill(response, outputs, raw=raw)
    read = arrays_of(asked(response))
    assert list(read) == list(outputs)
    for name, array in outputs.items():
        assert (read[name].shape, datatype_of(read[name])) == (array.shape, datatype_of(array))
        assert to_raw(read[name]) == to_raw(array)
    is_half = any(array.dtype == np.float16 for array in outputs.values())
    assert bool(response.raw_output_contents) == (bool(outputs) and (raw or is_half))


@given(
    st.sampled_from([*DTYPES, "FP8"]),
    st.lists(st.integers(0, 4) | st.integers(-(2**63), 2**63 - 1), max_size=3),
    st.lists(st.binary(max_size=40), max_size=2),
    st.dictionaries(
        st.sampled_from(["int_contents", "bool_contents", "fp64_contents"]), st.lists(st.just(1), max_size=3)
    ),
)
def test_whatever_a_tensor_holds_it_is_read_or_bad_input(
    datatype: str, shape: list[int], raws: list[bytes], contents: dict[str, list[int]]
) -> None:
    request = one("miles", datatype, tuple(shape), **contents)
    request.raw_input_contents.extend(raws)
    with suppress(BadInput):
        arrays_of(request)


@pytest.mark.parametrize(
    ("request_", "raws", "said"),
    [
        (
            one(fp64_contents=[1.0]),
            [b"\0" * 8],
            "'miles' must be in raw_input_contents.* found contents too",
        ),
        (one(), [b"\0" * 8] * 2, "one tensor for each of the 1 inputs, found 2"),
        (one(), [b"\0" * 7], "'miles' must be 8 bytes, 1 elements of FP64, found 7"),
        (one(), [], "'miles' must be 1 elements, as its shape says, found 0"),
        (one(shape=(3,), fp64_contents=[1.0]), [], "must be 3 elements, as its shape says, found 1"),
        (one(fp32_contents=[1.0]), [], "in contents.fp64_contents, as FP64 is, found fp32_contents"),
        (one(fp64_contents=[1.0], bool_contents=[True]), [], "found bool_contents, fp64_contents"),
        (one(datatype="FP16", fp32_contents=[1.0]), [], "FP16 has no other form, found fp32_contents"),
        (one(datatype="INT8", int_contents=[128]), [], "of int8, -128 to 127, found 128 to 128"),
        (one(datatype="BYTES", bytes_contents=[b"\xff"]), [], "UTF-8"),
        (one(datatype="float"), [], "of datatype BOOL"),
    ],
)
def test_a_wrong_tensor_is_refused_by_name_with_what_was_expected(
    request_: Any, raws: list[bytes], said: str
) -> None:
    request = Request()
    request.CopyFrom(request_)
    request.raw_input_contents.extend(raws)
    with pytest.raises(BadInput, match=said):
        arrays_of(request)


def test_a_tensor_in_shared_memory_or_twice_is_refused() -> None:
    request = one()
    request.inputs[0].parameters["shared_memory_region"].string_param = "here"
    with pytest.raises(BadInput, match="no memory is shared"):
        arrays_of(request)
    request = one(fp64_contents=[1.0])
    request.inputs.append(request.inputs[0])
    with pytest.raises(BadInput, match="'miles' must be one tensor, found several"):
        arrays_of(request)
