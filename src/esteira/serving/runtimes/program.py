"""An exported program as JSON: which operators work on which tensors, in order. Weights stand beside it.

program.json           inputs, outputs, nodes; a value is JSON, or one of the marks below
weights.safetensors    the tensors that the nodes name

    {"of": "linear"}   what the node, input or weight of that name made
    {"float": "inf"}   a number that JSON has no word for
    {"dtype": "int64"}, {"layout": "strided"}, {"memory_format": "contiguous_format"}
    {"device": ""}     wherever the model runs
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from esteira.base.digest import canonical_json
from esteira.base.errors import BadInput, CorruptArtifact
from esteira.registry.tensors import TensorSignature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PROGRAM, WEIGHTS = "program.json", "weights.safetensors"

_FORMAT = 1


class Node(msgspec.Struct, frozen=True):
    """One operator and what it works on; its result is known by its name."""

    name: str
    operator: str
    args: list[Any]
    kwargs: dict[str, Any] = {}


class Program(msgspec.Struct, frozen=True):
    """A graph whose nodes stand in the order of their work."""

    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    results: list[str]  # what each output is: the name of a node, an input or a weight
    weights: dict[str, str]  # name in the nodes → name in the file of weights
    nodes: list[Node]
    format: int = _FORMAT

    @property
    def tensors(self) -> TensorSignature:
        """What the program takes and gives. Raises: BadInput."""
        return TensorSignature(tuple(self.inputs), tuple(self.outputs))

    def to_bytes(self) -> bytes:
        """As JSON; equal programs give equal bytes."""
        return canonical_json(msgspec.to_builtins(self))


def read_program(files: Mapping[str, bytes]) -> Program:
    """The program of a bundle, of which every value is used after it was made. Raises: CorruptArtifact."""
    if PROGRAM not in files and any(name.endswith((".pt2", ".pt", ".pth")) for name in files):
        raise CorruptArtifact(
            PROGRAM, "what torch_files(program) makes; .pt and .pt2 run code when read", ", ".join(files)
        )
    try:
        program = msgspec.json.decode(files.get(PROGRAM, b""), type=Program)
    except (msgspec.DecodeError, msgspec.ValidationError, BadInput, RecursionError) as broken:
        raise CorruptArtifact(PROGRAM, "an exported program", str(broken)) from broken
    if program.format != _FORMAT:
        raise CorruptArtifact(PROGRAM, f"format {_FORMAT}", f"{program.format}")
    _check_order(program)
    return program


def tensors_of_torch(files: Mapping[str, bytes]) -> TensorSignature:
    """The tensors that a program takes and gives. Raises: CorruptArtifact."""
    return read_program(files).tensors


def _check_order(program: Program) -> None:
    made = {*program.weights, *(spec.name for spec in program.inputs)}
    for node in program.nodes:
        for name in names_in([node.args, node.kwargs]):
            if name not in made:
                raise CorruptArtifact(PROGRAM, f"{name!r} before {node.name!r} uses it", "it later, or never")
        made.add(node.name)
    missing = [name for name in program.results if name not in made]
    if missing or len(program.results) != len(program.outputs):
        raise CorruptArtifact(PROGRAM, "a result for each output", f"{program.results}")


def names_in(value: object) -> Iterator[str]:
    """The names of results that a value stands for, itself or inside."""
    if isinstance(value, dict):
        if "of" in value and len(value) == 1:
            yield str(value["of"])
        else:
            yield from _names_in_each(value.values())
    elif isinstance(value, list):
        yield from _names_in_each(value)


def _names_in_each(values: Iterable[object]) -> Iterator[str]:
    for each in values:
        yield from names_in(each)
