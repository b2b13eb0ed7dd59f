from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
import pytest
from tests.serving.runtimes.networks import Classifier, Reader, exported

from esteira.base.errors import BadInput
from esteira.registry.tensors import TensorSpec
from esteira.serving.runtimes.payloads import tensors_of, torch_files
from esteira.serving.runtimes.program import PROGRAM, WEIGHTS, read_program

torch = pytest.importorskip("torch", reason="no build of torch without CUDA could be installed")
pytestmark = pytest.mark.slow


@cache
def program() -> Any:
    return exported(Classifier(), torch.zeros(3, 5))


class Returning(torch.nn.Module):
    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form

    def forward(self, x: Any) -> Any:
        forms: dict[str, Any] = {
            "alone": x + 1,
            "pair": (x + 1, x * 2),
            "nested": {"a": [x + 1, x * 2], "b": x - 1},
            "itself": x,
            "number": (x + 1, 7),
            "random": x + torch.rand_like(x),
            "narrow": x.to(torch.bfloat16),
        }
        return forms[self.form]


class Counting(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("asked", torch.zeros(1))

    def forward(self, x: Any) -> Any:
        self.asked.add_(1)
        return x + self.asked


def test_equal_programs_give_equal_bytes_that_tell_nothing_of_this_machine() -> None:
    files = torch_files(program())
    assert files == torch_files(program())
    assert files == torch_files(exported(Classifier(), torch.zeros(7, 5)))
    assert set(files) == {PROGRAM, WEIGHTS}
    for word in (b"/", b".py", b"File"):
        assert word not in files[PROGRAM]


def test_what_a_program_takes_and_gives_stands_in_its_files() -> None:
    tensors = tensors_of("torch", torch_files(program()))
    assert tensors.inputs == (TensorSpec("x", "FP32", (-1, 5)),)
    assert tensors.outputs == (TensorSpec("output", "FP32", (-1,)),)


@pytest.mark.parametrize(
    ("form", "names"),
    [
        ("alone", ["output"]),
        ("pair", ["output_0", "output_1"]),
        ("nested", ["a_0", "a_1", "b"]),
        ("itself", ["output"]),
    ],
)
def test_outputs_are_named_as_the_forward_returns_them(form: str, names: list[str]) -> None:
    tensors = tensors_of("torch", torch_files(exported(Returning(form), torch.zeros(2, 3))))
    assert [spec.name for spec in tensors.outputs] == names


@pytest.mark.parametrize("form", ["number", "random", "narrow"])
def test_what_no_file_of_data_can_hold_is_refused(form: str) -> None:
    with pytest.raises(BadInput, match="export"):
        torch_files(exported(Returning(form), torch.zeros(2, 3)))


def test_a_model_that_remembers_its_requests_is_refused() -> None:
    with pytest.raises(BadInput, match="eval mode"):
        torch_files(exported(Counting(), torch.zeros(2, 3)))


def test_a_model_in_training_mode_is_refused() -> None:
    training = torch.export.export(Classifier().train(), (torch.zeros(3, 5),))
    with pytest.raises(BadInput, match="eval mode"):
        torch_files(training)


def test_the_compilers_own_checks_are_left_out() -> None:
    read = read_program(torch_files(exported(Reader(), torch.zeros(2, 1, 8, 8), torch.zeros(2, 4).long())))
    assert not [node.operator for node in read.nodes if "assert" in node.operator]
    assert msgspec.json.decode(read.to_bytes())["format"] == 1
