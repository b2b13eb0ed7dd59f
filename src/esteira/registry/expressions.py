"""A transform as data: steps that each use earlier ones, kept as JSON, run on one row or on whole columns.

Nothing of it is code. A step is an operation of ours on places; places count the inputs first, then the
steps. Because every operation has an answer for everything, all steps simply run one after the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import numpy as np
import pyarrow as pa

from esteira.base.errors import CorruptArtifact, UnknownName
from esteira.registry.operations import NULL, OPERATIONS, Cell, Cells, Kind, WrongOperands

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

_KINDS: Mapping[str, Kind] = {kind: kind for kind in get_args(Kind)}
_BATCH = 65_536  # rows at a time, so that what lies between input and output stays small


@dataclass(frozen=True, slots=True)
class Step:
    """An operation on earlier places, or a constant, whose `op` is its kind."""

    op: str
    places: tuple[int, ...] = ()
    value: Cell = None

    def to_plain(self) -> list[Any]:
        """The step as a JSON list."""
        return [self.op, self.value] if self.op in _KINDS else [self.op, *self.places]

    @classmethod
    def from_plain(cls, plain: Sequence[Any]) -> Step:
        """The inverse of `to_plain`."""
        op, *rest = plain
        if op not in _KINDS:
            return cls(op, msgspec.convert(rest, tuple[int, ...]))
        (value,) = msgspec.convert(rest, tuple[str | None] if op == "text" else tuple[float | None])
        return cls(op, value=value)

    @property
    def cell(self) -> Cell:
        """The constant as a value to compute with."""
        return NULL if self.value is None and self.op != "text" else self.value


class Draft:
    """An expression in the making: equal steps are one, and what is already known is computed now."""

    def __init__(self, inputs: Mapping[str, Kind]) -> None:
        self.inputs = inputs
        self.kinds: list[Kind] = list(inputs.values())  # by place
        self._steps: list[Step] = []
        self._places: dict[tuple[str, tuple[int, ...], str], int] = {}
        self._known: dict[int, Cell] = {}

    def constant(self, kind: Kind, value: Cell) -> int:
        """The place of a constant; a number that is not finite is null."""
        is_null = isinstance(value, float) and not math.isfinite(value)
        step = Step(kind, value=None if is_null else value)
        place = self._place(step, kind)
        self._known[place] = step.cell
        return place

    def add(self, op: str, *places: int) -> int:
        """The place of an operation on places. Raises: UnknownName, WrongOperands."""
        kinds = [self.kinds[place] for place in places]
        op = f"text {op}" if "text" in kinds and f"text {op}" in OPERATIONS else op
        if op not in OPERATIONS:
            raise UnknownName("operation", op, OPERATIONS)
        kind = OPERATIONS[op].kind(op, kinds)
        if OPERATIONS[op].is_open and not self._known.keys() >= set(places[1:]):
            raise WrongOperands(op, (kinds[0], "constant"), kinds)
        if self._known.keys() >= set(places):
            return self.constant(kind, OPERATIONS[op].row(*(self._known[place] for place in places)))
        if op in ("if", "text if") and places[0] in self._known:
            return places[1] if self._known[places[0]] == 1.0 else places[2]
        return self._place(Step(op, places), kind)

    def is_known(self, place: int) -> bool:
        """Whether a place holds the same value in every row."""
        return place in self._known

    def finish(self, outputs: Mapping[str, int]) -> Expression:
        """The expression whose outputs stand at these places. Raises: WrongOperands (an output is a text)."""
        for name, place in outputs.items():
            if self.kinds[place] == "text":
                raise WrongOperands(f"output {name}", ("number",), ("text",))
        return Expression(tuple(self.inputs.items()), tuple(self._steps), tuple(outputs.items()))

    def _place(self, step: Step, kind: Kind) -> int:
        key = (step.op, step.places, repr(step.value))  # 0.0 and -0.0 are equal, but not the same
        if key not in self._places:
            self._places[key] = len(self.kinds)
            self.kinds.append(kind)
            self._steps.append(step)
        return self._places[key]


@dataclass(frozen=True)
class Expression:
    """Inputs with their kinds, steps, and the places of the outputs.

    >>> draft = Draft({"miles": "number", "hours": "number"})
    >>> speed = draft.finish({"speed": draft.add("/", 0, 1)})
    >>> speed.row([1000.0, 2.0]), speed.row([1000.0, 0.0])
    ([500.0], [nan])
    >>> speed.columns([np.array([1000.0, 900.0]), np.array([2.0, 3.0])], rows=2)
    [array([500., 300.])]
    """

    inputs: tuple[tuple[str, Kind], ...]
    steps: tuple[Step, ...]
    outputs: tuple[tuple[str, int], ...]

    @cached_property
    def _are_texts(self) -> tuple[bool, ...]:
        return tuple(kind == "text" for _, kind in self.inputs)

    @cached_property
    def _constants(self) -> tuple[Cell, ...]:
        """What the places after the inputs hold before the first step."""
        return tuple(step.cell for step in self.steps)

    @cached_property
    def _row_steps(self) -> tuple[tuple[int, Callable[[list[Any]], Cell]], ...]:
        numbered = enumerate(self.steps, start=len(self.inputs))
        return tuple(
            (place, _on_places(OPERATIONS[step.op].row, step.places))
            for place, step in numbered
            if step.op in OPERATIONS
        )

    def row(self, values: Sequence[Any]) -> list[float]:
        """The outputs for one row of inputs in their order; NaN is null.

        A number is a float, null when not finite; a text is a `str` or None.
        """
        cells: list[Any] = [
            value if is_text or value - value == 0.0 else NULL
            for value, is_text in zip(values, self._are_texts, strict=True)
        ]
        cells += self._constants
        for place, run in self._row_steps:
            cells[place] = run(cells)
        return [cells[place] for _, place in self.outputs]

    def columns(self, values: Sequence[Cells], rows: int) -> list[NDArray[np.float64]]:
        """The outputs for columns of inputs in their order, each of shape (rows,); NaN is null.

        Numbers are float64 arrays, null where not finite; texts are large_string arrays of Arrow.
        """
        outputs = [np.empty(rows, dtype=np.float64) for _ in self.outputs]
        for start in range(0, rows, _BATCH):
            batch = slice(start, start + _BATCH)
            cells = self._batch([each[batch] for each in values])
            for output, (_, place) in zip(outputs, self.outputs, strict=True):
                output[batch] = cells[place]
        return outputs

    def _batch(self, values: Sequence[Cells]) -> list[Cells]:
        with np.errstate(all="ignore"):
            cells = [
                value if is_text else np.where(np.isfinite(value), value, NULL)
                for value, is_text in zip(values, self._are_texts, strict=True)
            ]
            for step in self.steps:
                if step.op == "text":
                    cells.append(pa.scalar(step.cell, pa.large_string()))
                elif step.op in OPERATIONS:
                    cells.append(OPERATIONS[step.op].column(*(cells[place] for place in step.places)))
                else:
                    cells.append(np.float64(step.cell))
        return cells

    def only(self, wanted: Collection[str]) -> Expression:
        """The expression without the outputs, steps and inputs that the wanted outputs do not need."""
        outputs = {name: place for name, place in self.outputs if name in wanted}
        first, needed = len(self.inputs), set(outputs.values())
        for place in reversed(range(first, first + len(self.steps))):
            if place in needed:
                needed.update(self.steps[place - first].places)
        kept = [at for at in range(first) if at in needed]
        steps = {place: step for place, step in enumerate(self.steps, start=first) if place in needed}
        moved = {old: new for new, old in enumerate(kept)}
        return _repeated(dict(self.inputs[at] for at in kept), moved, steps, outputs)

    def to_plain(self) -> dict[str, Any]:
        """The expression as JSON values."""
        return {
            "inputs": [[*each] for each in self.inputs],
            "steps": [step.to_plain() for step in self.steps],
            "outputs": [[*each] for each in self.outputs],
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Expression:
        """The inverse of `to_plain`; every step is checked.

        Raises: UnknownName (an operation of a later version), CorruptArtifact.
        """
        try:
            inputs = dict(msgspec.convert(plain["inputs"], list[tuple[str, Kind]]))
            places = {at: at for at in range(len(inputs))}
            steps = dict(enumerate(map(Step.from_plain, plain["steps"]), start=len(inputs)))
            outputs = dict(msgspec.convert(plain["outputs"], list[tuple[str, int]]))
            return _repeated(inputs, places, steps, outputs)
        except (KeyError, TypeError, ValueError, msgspec.ValidationError, WrongOperands) as wrong:
            raise CorruptArtifact(
                "a transform", "steps on the places of earlier ones", repr(wrong)
            ) from wrong


def _repeated(
    inputs: Mapping[str, Kind], moved: dict[int, int], steps: Mapping[int, Step], outputs: Mapping[str, int]
) -> Expression:
    """Draft the steps anew; `moved` says where the inputs stand now, and learns it of the steps."""
    draft = Draft(inputs)
    for place, step in steps.items():
        if step.op in _KINDS:
            moved[place] = draft.constant(_KINDS[step.op], step.value)
        else:
            moved[place] = draft.add(step.op, *(moved[each] for each in step.places))
    return draft.finish({name: moved[place] for name, place in outputs.items()})


def _on_places(operation: Callable[..., Cell], places: tuple[int, ...]) -> Callable[[list[Any]], Cell]:
    match places:
        case (a,):
            return lambda cells: operation(cells[a])
        case (a, b):
            return lambda cells: operation(cells[a], cells[b])
        case (a, b, c):
            return lambda cells: operation(cells[a], cells[b], cells[c])
    return lambda cells: operation(*[cells[place] for place in places])
