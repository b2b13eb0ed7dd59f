"""A graph of steps, wired by parameter names."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from esteira.base.errors import BadInput, UnknownName
from esteira.pipelines.content import Unhashable, content, plain_odd
from esteira.pipelines.step import NotAStep, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from esteira.pipelines.inputs import Input


class Cycle(BadInput):
    """Steps that wait for each other."""

    def __init__(self, path: Sequence[str]) -> None:
        super().__init__(
            f"steps wait for each other: {' needs '.join(path)}; rename or drop one of the parameters"
        )
        self.path = tuple(path)


class MissingParameter(BadInput):
    """A parameter of a step that nothing supplies."""

    def __init__(self, step: str, parameter: str, known: Iterable[str]) -> None:
        near = get_close_matches(parameter, list(known), n=1, cutoff=0.6)
        mend = f"did you mean {near[0]!r}?" if near else "give it a default or set it for the run"
        super().__init__(
            f"step {step!r} needs {parameter!r}: no step, input or given parameter has that name; {mend}"
        )
        self.step, self.parameter = step, parameter


class DoubledName(BadInput):
    """One name for two things."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"the name {name!r} is used twice: {what}; rename one")
        self.name = name


class UnknownStep(UnknownName):
    """A step that the graph does not have."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__("step", name, known)


class Graph:
    """Steps and inputs, wired: a parameter named like a step is its output, one named like an input that.

    `steps` holds them so that each stands after what it needs, otherwise in the order given;
    `parameters` maps each parameter of the run to the steps that take it.
    Raises: Cycle, DoubledName, NotAStep.
    >>> from esteira.pipelines.step import step
    >>> @step
    ... def one() -> int: return 1
    >>> @step
    ... def two(one: int, more: int = 1) -> int: return one + more
    >>> graph = Graph([two, one])
    >>> [*graph.steps], dict(graph.parameters)
    (['one', 'two'], {'more': ('two',)})
    """

    def __init__(self, steps: Sequence[Step[..., Any]], inputs: Mapping[str, Input] | None = None) -> None:
        self.inputs: Mapping[str, Input] = dict(inputs or {})
        given = _by_name(steps, self.inputs)
        self._needs = {
            name: tuple(each for each in step.parameters if each in given) for name, step in given.items()
        }
        self.steps: Mapping[str, Step[..., Any]] = {name: given[name] for name in self._ordered()}
        self.parameters = self._parameters()

    def needs(self, step: str) -> tuple[str, ...]:
        """The steps whose output a step takes."""
        return self._needs[step]

    def takes(self, step: str) -> tuple[str, ...]:
        """The inputs that a step takes."""
        return tuple(
            each for each in self.steps[step].parameters if each in self.inputs and each not in self.steps
        )

    def plan(self, targets: Sequence[str] | None = None) -> tuple[str, ...]:
        """The targets and all they need, in order; every step when none is named. Raises: UnknownStep."""
        if targets is None:
            return tuple(self.steps)
        wanted: set[str] = set()
        waiting = list(targets)
        while waiting:
            name = waiting.pop()
            if name not in self.steps:
                raise UnknownStep(name, self.steps)
            if name not in wanted:
                wanted.add(name)
                waiting.extend(self._needs[name])
        return tuple(name for name in self.steps if name in wanted)

    def arguments(self, step: str, given: Mapping[str, object]) -> dict[str, object]:
        """The run parameters of a step: given, or by default. Raises: MissingParameter."""
        found: dict[str, object] = {}
        for name in self.steps[step].parameters:
            if name in self.steps or name in self.inputs:
                continue
            if name in given:
                found[name] = given[name]
            elif name in self.steps[step].defaults:
                found[name] = self.steps[step].defaults[name]
            else:
                raise MissingParameter(step, name, [*self.steps, *self.inputs, *given])
        return found

    def check_given(self, given: Iterable[str]) -> None:
        """Refuse parameters that no step takes. Raises: UnknownName, DoubledName."""
        for name in given:
            if name in self.steps or name in self.inputs:
                raise DoubledName(name, "a parameter of the run, and a step or input that supplies it")
            if name not in self.parameters:
                raise UnknownName("parameter", name, self.parameters)

    def _parameters(self) -> Mapping[str, tuple[str, ...]]:
        takers: dict[str, tuple[str, ...]] = {}
        for step in self.steps.values():
            for name in step.parameters:
                if name not in self.steps and name not in self.inputs:
                    takers[name] = (*takers.get(name, ()), step.name)
        for name, users in takers.items():
            _refuse_two_defaults(name, [self.steps[user] for user in users])
        return takers

    def _ordered(self) -> list[str]:
        order: dict[str, None] = {}
        for name in self._needs:
            self._visit(name, order)
        return list(order)

    def _visit(self, start: str, order: dict[str, None]) -> None:
        """Depth first without recursion: a chain of 10,000 steps is a graph like any other."""
        path = {start: iter(self._needs[start])}
        while path:
            name = next(reversed(path))
            below = next((each for each in path[name] if each not in order), None)
            if below is None:
                path.pop(name)
                order[name] = None
            elif below in path:
                names = list(path)
                raise Cycle([*names[names.index(below) :], below])
            else:
                path[below] = iter(self._needs[below])


def _by_name(steps: Sequence[Step[..., Any]], inputs: Mapping[str, Input]) -> dict[str, Step[..., Any]]:
    found: dict[str, Step[..., Any]] = {}
    for each in steps:
        if not isinstance(each, Step):
            raise NotAStep(getattr(each, "__name__", repr(each)), "decorate it with @step")
        if each.name in found:
            raise DoubledName(each.name, "two steps")
        if each.name in inputs:
            raise DoubledName(each.name, "a step and an input")
        found[each.name] = each
    return found


def _refuse_two_defaults(name: str, users: Sequence[Step[..., Any]]) -> None:
    """A parameter has one value in a run, so the manifest can hold it under one name."""
    first: Step[..., Any] | None = None
    for user in users:
        if name not in user.defaults:
            continue
        first = first or user
        if not _equal(user.defaults[name], first.defaults[name]):
            raise DoubledName(
                name,
                f"a parameter with default {first.defaults[name]!r} in {first.name} "
                f"and {user.defaults[name]!r} in {user.name}",
            )


def _equal(one: object, other: object) -> bool:
    try:
        return one is other or content(one, plain_odd) == content(other, plain_odd)
    except Unhashable:
        return False
