"""PyTorch's exported programs, run operator by operator: nothing of what a bundle brings is code.

`torch.export.load` is not used: it unpickles example inputs and some weights, looks operators up anywhere in
`torch`, and evaluates the text of symbolic sizes (`sympy.sympify`). So a program is kept as a list of ATen
operators in JSON with its weights in safetensors, and only operators that compute are called.
Source: torch/_export/serde/serialize.py and torch/export/pt2_archive of PyTorch 2.13.
"""

from __future__ import annotations

import operator
import struct
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.torch
import torch

from esteira.base.errors import BadInput, CorruptArtifact
from esteira.serving.runtimes.lone_rows import has_equal_bits, trial_rows
from esteira.serving.runtimes.program import PROGRAM, WEIGHTS, read_program
from esteira.serving.runtimes.tensor_checks import (
    RefusedTensors,
    check_column_count,
    check_inputs,
    check_signature,
)
from esteira.serving.runtimes.torch_checks import CHECKS, check_size, checked
from esteira.serving.runtimes.torch_operators import (
    MAKERS,
    REFUSED_OVERLOADS,
    SERVED,
    UnknownOperator,
    of_sizes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from esteira.registry.bundle import Model
    from esteira.serving.runtimes.program import Node, Program


# What sizes are computed with, as a program has it.
SIZES: Mapping[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (
        *(operator.getitem, operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod),
        *(operator.neg, operator.pow, torch.sym_int, torch.sym_max, torch.sym_min),
    )
}


class NotOneScore(BadInput):
    """A program that does not turn one matrix into one score a row."""

    def __init__(self, found: str) -> None:
        super().__init__(
            "a model of columns turns one float tensor [-1, columns] into one float tensor [-1], [-1, 1] or "
            f"[-1, 2], found {found}; change its forward, or serve it as a model of tensors"
        )


def operator_of(name: str) -> Callable[..., Any]:
    """The function that a node names. Raises: UnknownOperator."""
    if name in SIZES:
        return SIZES[name] if name == "getitem" else of_sizes(SIZES[name])
    space, _, rest = name.partition(".")
    base, _, overload = rest.partition(".")
    if space != "aten" or base not in SERVED or rest in REFUSED_OVERLOADS:
        raise UnknownOperator(name)
    found = getattr(getattr(torch.ops.aten, base, None), overload, None)
    if not isinstance(found, torch._ops.OpOverload) or found._schema.is_mutable:
        raise UnknownOperator(name)
    if base in CHECKS:
        return checked(found, CHECKS[base])
    return checked(found, partial(check_size, found)) if base in MAKERS else found


def weights_file(tensors: Mapping[str, Any]) -> bytes:
    """Tensors by name as safetensors; equal tensors give equal bytes."""
    plain = {name: each.detach().cpu().contiguous().clone() for name, each in tensors.items()}
    return bytes(safetensors.torch.save(plain))


class _Graph:
    """A program ready to run: every name is a place in a list, and every constant stands in it already."""

    def __init__(self, program: Program, weights: Mapping[str, Any], device: str) -> None:
        self._device = device
        self._places: dict[str, int] = {}
        self._start: list[Any] = []
        for name, stored in program.weights.items():
            self._places[name] = self._constant(weights[stored])
        self._inputs = [self._place(spec.name) for spec in program.inputs]
        self._steps: list[tuple[Callable[..., Any], list[int], dict[str, int], int]] = []
        for node in program.nodes:
            self._add(node)
        self._outputs = [self._places[name] for name in program.results]
        self._free = self._last_uses()

    def __call__(self, inputs: list[Any]) -> list[Any]:
        values = self._start.copy()
        for place, given in zip(self._inputs, inputs, strict=True):
            values[place] = given
        with torch.inference_mode():
            for (function, args, kwargs, result), done in zip(self._steps, self._free, strict=True):
                named = {name: values[at] for name, at in kwargs.items()}
                values[result] = function(*[values[at] for at in args], **named)
                for place in done:
                    values[place] = None
        return [values[place] for place in self._outputs]

    def _place(self, name: str) -> int:
        self._places[name] = self._constant(None)
        return self._places[name]

    def _constant(self, value: object) -> int:
        self._start.append(value)
        return len(self._start) - 1

    def _add(self, node: Node) -> None:
        args = [self._value(each) for each in node.args]
        kwargs = {name: self._value(each) for name, each in node.kwargs.items()}
        self._steps.append((operator_of(node.operator), args, kwargs, self._place(node.name)))

    def _value(self, value: object) -> int:
        """The place of an argument; a list that holds results is put together by a step of its own."""
        if isinstance(value, dict):
            return self._places[str(value["of"])] if "of" in value else self._constant(self._marked(value))
        if isinstance(value, list):
            places = [self._value(each) for each in value]
            made = self._constant(None)
            self._steps.append((_listed, places, {}, made))
            return made
        return self._constant(value)

    def _marked(self, mark: Mapping[str, Any]) -> object:
        ((kind, name),) = mark.items()
        if kind == "float":
            return float(name)
        if kind == "device":
            return torch.device(self._device)
        value = getattr(torch, str(name), None)
        if kind not in _KINDS or not isinstance(value, _KINDS[kind]) or name in _REFUSED_VALUES:
            raise CorruptArtifact(PROGRAM, f"a {', '.join(_KINDS)}, device or float", f"{kind} {name}")
        return value

    def _last_uses(self) -> list[list[int]]:
        """For each step the places that nobody needs after it: their memory goes back at once."""
        made = {*self._inputs, *(result for *_, result in self._steps)} - {*self._outputs}
        free: list[list[int]] = []
        for _, args, kwargs, result in reversed(self._steps):
            used = {*args, *kwargs.values(), result} & made
            made -= used
            free.append([*used])
        return free[::-1]


def _listed(*values: object) -> list[object]:
    return [*values]


_KINDS: Mapping[str, type] = {
    "dtype": torch.dtype,
    "layout": torch.layout,
    "memory_format": torch.memory_format,
}
# Sparse and quantised tensors, whose indices and scales kernels take on trust.
_REFUSED_VALUES = frozenset(
    name
    for name in dir(torch)
    if (isinstance(getattr(torch, name), torch.layout) and name != "strided")
    or (isinstance(getattr(torch, name), torch.dtype) and name.startswith(("q", "bits")))
)


# What an operator raises of arguments that do not fit it, and a check of those that are no tensors.
_REFUSALS = (RuntimeError, ArithmeticError, LookupError, ValueError, TypeError, AttributeError, MemoryError)


class TorchTensors:
    """An exported program of any tensors; on a GPU if the model's facts say `device: cuda` and there is one.

    Raises: CorruptArtifact, UnknownOperator, UnlikeModel.
    """

    is_exact = False  # its kernels may sum in another order for one row than for many

    def __init__(self, model: Model) -> None:
        program = read_program(model.files)
        if model.tensors is not None:
            check_signature(model.tensors, program.tensors)
        wants = str(model.facts.get("device", "cpu"))
        self.device = wants if wants.startswith("cuda") and torch.cuda.is_available() else "cpu"
        torch.set_num_threads(1)  # of the process: requests share its cores already
        self._graph = _graph(program, model.files, self.device)
        self._inputs, self._outputs = program.inputs, program.outputs
        self._asked = [spec.name for spec in (model.tensors or program.tensors).outputs]

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        check_inputs(self._inputs, inputs)
        given = [self._tensor(inputs[spec.name]) for spec in self._inputs]
        try:
            found = self._graph(given)
            named = {spec.name: each for spec, each in zip(self._outputs, found, strict=True)}
            return {name: np.ascontiguousarray(named[name].cpu().numpy()) for name in self._asked}
        except _REFUSALS as refused:
            raise RefusedTensors((str(refused).splitlines() or [repr(refused)])[0][:200]) from refused

    def _tensor(self, given: NDArray[Any]) -> Any:  # noqa: ANN401 - vendor object
        own = given if given.flags.writeable and given.flags.c_contiguous else given.copy(order="C")
        return torch.from_numpy(own).to(self.device)


def _graph(program: Program, files: Mapping[str, bytes], device: str) -> _Graph:
    try:
        stored = safetensors.torch.load(files.get(WEIGHTS, b""))
        weights = {name: each.to(device) for name, each in stored.items()}
        return _Graph(program, weights, device)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as broken:
        raise CorruptArtifact(WEIGHTS, "the weights of its program", repr(broken)) from broken


class TorchRuntime:
    """An exported program of columns: one float matrix in, one score a row out.

    Of two columns of probabilities the second is the score. A lone row is sent twice, so that it takes the
    kernels of a batch. Raises: CorruptArtifact, UnknownOperator, NotOneScore, BadInput.
    """

    def __init__(self, model: Model) -> None:
        self._tensors = TorchTensors(model)
        self.device = self._tensors.device
        program = read_program(model.files)
        if len(program.inputs) != 1 or len(program.outputs) != 1:
            raise NotOneScore(f"{len(program.inputs)} inputs and {len(program.outputs)} outputs")
        self._input, self._output = program.inputs[0], program.outputs[0]
        columns = model.signature.columns
        check_column_count(PROGRAM, len(columns), self._input)
        if self._output.datatype not in {"FP32", "FP64"}:
            raise NotOneScore(f"an output of {self._output.datatype}")
        self._dtype, self._local = np.dtype(self._input.dtype), threading.local()
        shape = self._run(np.zeros((2, len(columns)), self._dtype)).shape
        if shape not in {(2,), (2, 1), (2, 2)}:
            raise NotOneScore(f"shape {[*shape]} for two rows")
        self.is_exact = has_equal_bits(self._scores, trial_rows(columns, missing=True), copies=2)

    def predict_row(self, row: list[float]) -> float:
        twice: NDArray[Any] | None = getattr(self._local, "twice", None)
        if twice is None:
            twice = self._local.twice = np.empty((2, len(row)), dtype=self._dtype)
            self._local.pack = struct.Struct(f"{twice.size}{self._dtype.char}").pack_into
        try:
            self._local.pack(twice, 0, *row, *row)
        except OverflowError:  # a number beyond float32 is infinite there
            with np.errstate(over="ignore"):
                twice[:] = row
        return float(self._run(twice).reshape(2, -1).item(0, -1))

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        if not len(matrix):
            return np.empty(0, dtype=np.float64)
        return self._scores(matrix if len(matrix) > 1 else np.repeat(matrix, 2, axis=0))[: len(matrix)]

    def _scores(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(over="ignore"):  # a number beyond float32 is infinite there
            found = self._run(matrix.astype(self._dtype, order="C"))
        return found.reshape(len(matrix), -1)[:, -1].astype(np.float64)

    def _run(self, rows: NDArray[Any]) -> NDArray[Any]:
        return self._tensors.run({self._input.name: rows})[self._output.name]
