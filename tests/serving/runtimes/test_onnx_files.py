from __future__ import annotations

from contextlib import suppress

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from esteira.base.errors import CorruptArtifact
from esteira.serving.runtimes.onnx_files import contents_of


def outside(location: str) -> TensorProto:
    tensor = numpy_helper.from_array(np.ones(3, dtype=np.float32), "weights")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    return tensor


def graph(*nodes: onnx.NodeProto, initializers: tuple[TensorProto, ...] = ()) -> onnx.GraphProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])
    return helper.make_graph(
        [*nodes, helper.make_node("Add", ["x", "x"], ["y"])], "g", [x], [y], initializers
    )


def content(of: onnx.GraphProto) -> bytes:
    return bytes(helper.make_model(of).SerializeToString())


PLAIN = content(graph(initializers=(numpy_helper.from_array(np.ones((40, 3)), "big"),)))


def test_a_model_with_its_weights_inside_names_no_file() -> None:
    found = contents_of(PLAIN)
    assert found.outside == ()
    assert found.operators == {"Add"}


def test_a_file_is_found_wherever_a_tensor_names_it() -> None:
    weights = outside("../../etc/passwd")
    constant = helper.make_node("Constant", [], ["c"], value=weights)
    inner = helper.make_graph([constant], "inner", [], [])
    branch = helper.make_node("If", ["flag"], ["d"], then_branch=inner, else_branch=graph())
    for each in (graph(initializers=(weights,)), graph(constant), graph(branch)):
        assert contents_of(content(each)).outside == ("location ../../etc/passwd",)
    assert contents_of(content(graph(branch))).operators == {"If", "Constant", "Add"}


@given(st.integers(0, len(PLAIN) - 1))
def test_a_model_cut_anywhere_is_read_or_corrupt(keep: int) -> None:
    with suppress(CorruptArtifact):
        contents_of(PLAIN[:keep])


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_corrupt(found: bytes) -> None:
    with suppress(CorruptArtifact):
        contents_of(found)


def test_graphs_inside_graphs_without_end_are_corrupt() -> None:
    nested = b""
    for _ in range(200):  # an attribute of a node of a graph of an attribute…
        for field in (6, 5, 1):
            length = bytes([len(nested) & 0x7F | 0x80, len(nested) >> 7 & 0x7F | 0x80, len(nested) >> 14])
            nested = bytes([field << 3 | 2]) + length + nested
    with pytest.raises(CorruptArtifact, match="deeper"):
        contents_of(bytes([7 << 3 | 2, len(nested) & 0x7F | 0x80, len(nested) >> 7 & 0x7F]) + nested)
