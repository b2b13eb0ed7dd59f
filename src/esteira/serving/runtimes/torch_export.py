"""From PyTorch's exported program to the files that the runtime reads: JSON and safetensors.

The graph is made functional first (`run_decompositions({})`), so that no operator changes a tensor in place.
Source: PyTorch 2.13, torch.export: the graph of an ExportedProgram and its signature.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from esteira.base.errors import BadInput
from esteira.registry.tensors import DTYPES, TensorSpec
from esteira.serving.runtimes.program import PROGRAM, WEIGHTS, Node, Program, names_in
from esteira.serving.runtimes.torch import SIZES, operator_of, weights_file

if TYPE_CHECKING:
    Torch = Any  # an object of torch, whose types are not read here: that takes seconds

    from collections.abc import Iterable

_DATATYPES = {f"torch.{dtype}": datatype for datatype, dtype in DTYPES.items() if datatype != "BYTES"}
_CHECKS = ("aten._assert", "aten.sym_constrain_range", "aten._functional_assert")  # for the compiler
_STORED = frozenset({"PARAMETER", "BUFFER", "CONSTANT_TENSOR"})
_MARKS = frozenset({"dtype", "layout", "memory_format"})


class NotServable(BadInput):
    """An exported program with something that no file of data can hold."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"the exported program has {found}; export a model in eval mode whose forward takes and gives "
            "tensors only, with torch.export.export(model, (example,), dynamic_shapes=...)"
        )
        self.found = found


def torch_files(program: Torch) -> dict[str, bytes]:
    """The files of a bundle for runtime "torch" from a `torch.export.ExportedProgram`.

    Equal programs give equal bytes: names of files and lines of the model's code are left out.
    Raises: NotServable, UnknownOperator.
    """
    made = program.run_decompositions({})
    placeholders = {node.name: node for node in made.graph.nodes if node.op == "placeholder"}
    stored, inputs = _sorted_inputs(made)
    nodes = _needed([_node(each) for each in made.graph.nodes if each.op == "call_function"], _results(made))
    for node in nodes:
        operator_of(node.operator)
    used = {name for node in nodes for name in names_in([node.args, node.kwargs])} | {*_results(made)}
    tensors = {**made.constants, **made.state_dict}
    kept = {name: target for name, target in stored.items() if name in used}
    described = Program(
        [_spec(name, placeholders[name].meta["val"]) for name in inputs],
        _outputs(made),
        _results(made),
        kept,
        nodes,
    )
    return {
        PROGRAM: described.to_bytes(),
        WEIGHTS: weights_file({target: tensors[target] for target in sorted({*kept.values()})}),
    }


def _sorted_inputs(program: Torch) -> tuple[dict[str, str], list[str]]:
    """The placeholders that are weights, with their names there, and those that are inputs."""
    stored: dict[str, str] = {}
    inputs: list[str] = []
    for each in program.graph_signature.input_specs:
        kind = each.kind.name
        if type(each.arg).__name__ != "TensorArgument" or kind not in {*_STORED, "USER_INPUT"}:
            raise NotServable(f"the input {getattr(each.arg, 'name', each.arg)!r} that is no tensor")
        if kind in _STORED:
            stored[each.arg.name] = each.target
        else:
            inputs.append(each.arg.name)
    return stored, inputs


def _results(program: Torch) -> list[str]:
    for each in program.graph_signature.output_specs:
        if each.kind.name != "USER_OUTPUT" or type(each.arg).__name__ != "TensorArgument":
            raise NotServable(f"an output that is no tensor of its own ({each.kind.name.lower()})")
    return [each.arg.name for each in program.graph_signature.output_specs]


def _outputs(program: Torch) -> list[TensorSpec]:
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    results = _results(program)
    names = _named(program.call_spec.out_spec.unflatten([*range(len(results))]), "")
    by_place = {place: name for name, place in names}
    return [_spec(by_place[place], values[name]) for place, name in enumerate(results)]


def _named(structure: Torch, name: str) -> list[tuple[str, int]]:
    """A name for each leaf: keys of dicts, `output_0` in a sequence, `output` alone."""
    if isinstance(structure, int):
        return [(name or "output", structure)]
    if isinstance(structure, dict):
        parts = [(f"{name}.{key}" if name else str(key), each) for key, each in structure.items()]
    elif isinstance(structure, list | tuple):
        parts = [(f"{name or 'output'}_{at}", each) for at, each in enumerate(structure)]
    else:
        raise NotServable(f"an output of {type(structure).__name__}")
    return [found for part, each in parts for found in _named(each, part)]


def _spec(name: str, value: Torch) -> TensorSpec:
    if str(value.dtype) not in _DATATYPES:
        raise NotServable(f"{name!r} of {value.dtype}, which no client can send")
    return TensorSpec(
        name, _DATATYPES[str(value.dtype)], tuple(size if type(size) is int else -1 for size in value.shape)
    )


def _node(node: Torch) -> Node:
    kwargs = {name: _plain(each) for name, each in node.kwargs.items()}
    return Node(node.name, _operator(node.target), [_plain(each) for each in node.args], kwargs)


def _operator(target: Torch) -> str:
    name = getattr(target, "__name__", "")
    return name if SIZES.get(name) is target else str(target)


def _plain(value: Torch) -> Any:  # noqa: ANN401 - a JSON value
    kind = type(value).__name__
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if kind == "Node":
        return {"of": value.name}
    if kind in _MARKS:
        return {kind: str(value).removeprefix("torch.")}
    if kind == "device":
        return {"device": ""}
    raise NotServable(f"a {kind} among the arguments of an operator")


def _needed(nodes: list[Node], results: Iterable[str]) -> list[Node]:
    """The nodes that lead to a result; the compiler's own checks and what only they use are left out."""
    used, kept = {*results}, []
    for node in reversed(nodes):
        if node.name in used and not node.operator.startswith(_CHECKS):
            used |= {*names_in([node.args, node.kwargs])}
            kept.append(node)
    return kept[::-1]
