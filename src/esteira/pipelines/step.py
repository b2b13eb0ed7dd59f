"""A step: a plain function with a name, known to the graph and still callable."""

from __future__ import annotations

import functools
import inspect
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from esteira.base.errors import BadInput
from esteira.pipelines.annotations import parameter_types, return_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

P = ParamSpec("P")
R = TypeVar("R")
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class NotAStep(BadInput):
    """Something that cannot be a step of a pipeline."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name!r} cannot be a step: {reason}")
        self.name, self.reason = name, reason


class Step(Generic[P, R]):
    """A function as a part of a pipeline; calling it calls the function.

    `parameters` are its parameter names in order, `defaults` the values of those that have one,
    `retries` how often a call that raises is repeated. Raises: NotAStep.
    """

    def __init__(self, name: str, function: Callable[P, R], *, retries: int = 0) -> None:
        _refuse(name, function, retries)
        found = _parameters(name, function)
        functools.update_wrapper(self, function)
        self.name, self.function, self.retries = name, function, retries
        self.parameters: tuple[str, ...] = tuple(each.name for each in found)
        self.defaults: Mapping[str, object] = {
            each.name: each.default for each in found if each.default is not inspect.Parameter.empty
        }

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"Step({self.name!r})"

    @cached_property
    def returns(self) -> Any:  # noqa: ANN401 - any annotation
        """The return annotation; `object` when there is none. Raises: UnresolvedAnnotation."""
        return return_type(self.name, self.function)

    @cached_property
    def types(self) -> Mapping[str, Any]:
        """The parameter annotations that can be resolved."""
        return parameter_types(self.function)


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(*, name: str = "", retries: int = 0) -> Callable[[Callable[P, R]], Step[P, R]]: ...
def step(
    function: Callable[P, R] | None = None, /, *, name: str = "", retries: int = 0
) -> Step[P, R] | Callable[[Callable[P, R]], Step[P, R]]:
    """Make a function a step: `@step`, or `@step(retries=2)`. Raises: NotAStep.

    A parameter named like another step of the graph is that step's output, one named like an input is that
    input; every other parameter is a parameter of the run.
    >>> @step
    ... def doubled(number: int = 2) -> int:
    ...     return number * 2
    >>> doubled.name, doubled.parameters, doubled(4)
    ('doubled', ('number',), 8)
    """
    if function is not None:
        return Step(name or getattr(function, "__name__", ""), function, retries=retries)
    return lambda decorated: Step(name or decorated.__name__, decorated, retries=retries)


def _parameters(name: str, function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        found = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as wrong:
        raise NotAStep(name, f"its parameters cannot be known ({wrong}); write a Python function") from wrong
    unnamed = [each for each in found if each.kind not in _NAMED]
    if unnamed:
        raise NotAStep(name, f"parameter {unnamed[0]} cannot be given by name; write it as a plain parameter")
    return found


def _refuse(name: str, function: Callable[..., Any], retries: int) -> None:
    if not name.isidentifier():
        raise NotAStep(name, "its name must be usable as a parameter name; give one with @step(name=…)")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise NotAStep(name, "it is asynchronous or a generator; write a function that returns its value")
    if retries < 0:
        raise NotAStep(name, f"retries must be 0 or more, found {retries}")
