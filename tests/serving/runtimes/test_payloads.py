from __future__ import annotations

import subprocess
import sys

import pytest

from esteira.base.errors import CorruptArtifact, UnknownName
from esteira.registry.tensors import TensorSpec
from esteira.serving.runtimes.payloads import sklearn_files, tensors_of
from esteira.serving.runtimes.program import PROGRAM, Node, Program

SPEC = TensorSpec("x", "FP32", (-1,))
FILES = {
    PROGRAM: Program(
        [SPEC], [SPEC], ["double"], {}, [Node("double", "aten.mul.Tensor", [{"of": "x"}, 2.0])]
    ).to_bytes()
}


def test_the_tensors_of_a_program_are_read_from_its_files() -> None:
    assert tensors_of("torch", FILES).inputs == (SPEC,)
    with pytest.raises(CorruptArtifact):
        tensors_of("torch", {})


def test_a_runtime_whose_files_do_not_say_is_refused_by_name() -> None:
    with pytest.raises(UnknownName, match="'onx'; did you mean 'onnx'"):
        tensors_of("onx", {})


def test_bytes_that_are_no_skops_make_no_bundle() -> None:
    with pytest.raises(CorruptArtifact, match=r"model\.skops"):
        sklearn_files(b"no zip")


def test_asking_for_the_tensors_of_a_program_loads_no_torch() -> None:
    program = (
        "import sys; from esteira.serving import tensors_of, torch_files; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
