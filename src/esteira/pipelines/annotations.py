"""What a step says of its types: resolve it, check a value against it, spell it for a message."""

from __future__ import annotations

import collections.abc
import inspect
import typing
from contextlib import suppress
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Union, get_args, get_origin

from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Annotation: TypeAlias = Any  # what may stand after a colon or an arrow
Value: TypeAlias = Any  # whatever a function may return

UNSAID: Annotation = object  # no annotation: anything goes


class UnresolvedAnnotation(BadInput):
    """A return annotation whose names cannot be found when the step runs."""

    def __init__(self, step: str, annotation: str, reason: str) -> None:
        super().__init__(
            f"step {step!r}: its return annotation {annotation!r} cannot be resolved ({reason}); "
            "import that name at run time, not under TYPE_CHECKING"
        )
        self.step, self.annotation = step, annotation


def return_type(step: str, function: Callable[..., Any]) -> Annotation:
    """The resolved return annotation; `object` when there is none. Raises: UnresolvedAnnotation.

    >>> def late(minutes: int) -> "bool": ...
    >>> return_type("late", late)
    <class 'bool'>
    """
    plain = inspect.unwrap(function)
    said = inspect.get_annotations(plain).get("return", UNSAID)
    try:
        return _resolve(plain, said)
    except Exception as wrong:  # an annotation in quotes is code, which may raise anything
        raise UnresolvedAnnotation(step, str(said), str(wrong)) from wrong


def parameter_types(function: Callable[..., Any]) -> Mapping[str, Annotation]:
    """The parameter annotations that can be resolved; the others say nothing.

    >>> def late(minutes: "int", rows: "Missing") -> None: ...
    >>> parameter_types(late)
    {'minutes': <class 'int'>}
    """
    plain, found = inspect.unwrap(function), {}
    for name, said in inspect.get_annotations(plain).items():
        try:
            found[name] = _resolve(plain, said)
        except Exception:  # noqa: BLE001 - a foreign type may raise anything; the parameter goes unchecked
            continue
    found.pop("return", None)
    return found


def _resolve(function: Callable[..., Any], said: Annotation) -> Annotation:
    def holder() -> None: ...

    holder.__annotations__ = {"said": said}
    return typing.get_type_hints(holder, getattr(function, "__globals__", {}), _closed(function))["said"]


def _closed(function: Callable[..., Any]) -> dict[str, Any]:
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None) or ()
    found = {}
    for name, cell in zip(code.co_freevars if code else (), cells, strict=False):
        with suppress(ValueError):  # a cell that is not yet filled
            found[name] = cell.cell_contents
    return found


def spelled(annotation: Annotation) -> str:
    """An annotation as one writes it.

    >>> spelled(int | None), spelled(dict[str, float])
    ('int | None', 'dict[str, float]')
    """
    is_bare = isinstance(annotation, type) and not get_args(annotation)
    return annotation.__qualname__ if is_bare else str(annotation)


def matches(value: object, expected: Annotation) -> bool:
    """Whether a value is what an annotation says; a form that is not understood lets it pass.

    A whole number is a `float`; a `bool` is no number.
    >>> matches({"auc": 1}, dict[str, float]), matches([1, "2"], list[int])
    (True, False)
    """
    if expected in (UNSAID, Any, inspect.Parameter.empty):
        return True
    origin: Annotation = get_origin(expected)
    if origin in (Union, UnionType):
        return any(matches(value, each) for each in get_args(expected))
    if origin is Literal:
        return any(value == each and type(value) is type(each) for each in get_args(expected))
    if origin is not None:
        return _generic(value, origin, get_args(expected))
    return _plain(value, expected)


def _plain(value: object, expected: Annotation) -> bool:
    if expected in (None, NoneType):
        return value is None
    if expected in (int, float):
        return isinstance(value, (int, expected)) and not isinstance(value, bool)
    if hasattr(expected, "__supertype__"):  # a NewType
        return matches(value, expected.__supertype__)
    if typing.is_typeddict(expected):
        return isinstance(value, dict)
    try:
        return isinstance(value, expected)
    except TypeError:  # a TypeVar, a protocol that cannot be checked…
        return True


def _generic(value: object, origin: Annotation, inside: tuple[Annotation, ...]) -> bool:
    if not isinstance(origin, type):
        return True
    if not isinstance(value, origin):
        return False
    return _contents(value, origin, inside)


def _contents(value: Value, origin: type, inside: tuple[Annotation, ...]) -> bool:
    if issubclass(origin, tuple):
        if len(inside) == 2 and inside[1] is Ellipsis:
            return all(matches(each, inside[0]) for each in value)
        return len(value) == len(inside) and all(map(matches, value, inside))
    if issubclass(origin, collections.abc.Mapping):
        return all(matches(k, inside[0]) and matches(v, inside[1]) for k, v in value.items())
    if issubclass(origin, collections.abc.Collection):
        return all(matches(each, inside[0]) for each in value)
    return True
