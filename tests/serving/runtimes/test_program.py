from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import CorruptArtifact
from esteira.registry.tensors import TensorSpec
from esteira.serving.runtimes.program import PROGRAM, Node, Program, names_in, read_program, tensors_of_torch

X, Y = TensorSpec("x", "FP32", (-1, 3)), TensorSpec("output", "FP32", (-1,))
PROGRAM_OF_TWO = Program(
    [X],
    [Y],
    ["sum"],
    {"w": "layer.weight"},
    [
        Node("product", "aten.mul.Tensor", [{"of": "x"}, {"of": "w"}]),
        Node("sum", "aten.sum.dim_IntList", [{"of": "product"}, [1]], {"dtype": {"dtype": "float32"}}),
    ],
)


def files(program: Program) -> dict[str, bytes]:
    return {PROGRAM: program.to_bytes()}


def test_a_program_is_read_as_it_was_written() -> None:
    assert read_program(files(PROGRAM_OF_TWO)) == PROGRAM_OF_TWO
    tensors = tensors_of_torch(files(PROGRAM_OF_TWO))
    assert (tensors.inputs, tensors.outputs) == ((X,), (Y,))


@pytest.mark.parametrize(
    "change",
    [
        {"nodes": PROGRAM_OF_TWO.nodes[::-1]},
        {"nodes": PROGRAM_OF_TWO.nodes[1:]},
        {"weights": {}},
        {"results": ["stranger"]},
        {"results": []},
        {"format": 2},
    ],
)
def test_a_value_that_is_used_before_it_is_made_is_corrupt(change: dict[str, object]) -> None:
    with pytest.raises(CorruptArtifact, match=PROGRAM):
        read_program(files(msgspec.structs.replace(PROGRAM_OF_TWO, **change)))


@pytest.mark.parametrize("content", [b"", b"{}", b"[1", b'{"inputs": 7}', b"[" * 100_000])
def test_what_is_no_program_is_corrupt(content: bytes) -> None:
    with pytest.raises(CorruptArtifact, match=PROGRAM):
        read_program({PROGRAM: content})


def test_an_archive_that_runs_code_when_read_is_refused_with_the_mend() -> None:
    with pytest.raises(CorruptArtifact, match="torch_files"):
        read_program({"model.pt2": b"PK"})


@given(st.lists(st.text(), max_size=5))
def test_names_are_found_at_any_depth(names: list[str]) -> None:
    value: object = 1.5
    for name in names:
        value = [value, {"key": {"of": name}}]
    assert sorted(names_in(value)) == sorted(names)
