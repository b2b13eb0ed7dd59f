"""A trainer's options: a frozen record of defaults, and what a caller gives instead."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from esteira.base.errors import BadInput, UnknownName

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Record(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


_R = TypeVar("_R", bound=_Record)


def with_options(defaults: _R, given: Mapping[str, object], trainer: str) -> _R:
    """`defaults` with what was given; a whole number serves as a fraction.

    Raises: UnknownName, BadInput (of another kind than its default, or not more than zero).
    """
    known = {each.name: getattr(defaults, each.name) for each in fields(defaults)}
    for name, value in given.items():
        if name not in known:
            raise UnknownName(f"option of {trainer}", name, known)
        kinds = (int, float) if isinstance(known[name], float) else int
        if not isinstance(value, kinds) or isinstance(value, bool) or not value > 0:
            kind = type(known[name]).__name__
            raise BadInput(f"option {name} of {trainer} must be {kind} greater than zero, found {value!r}")
    return replace(defaults, **{n: type(known[n])(v) for n, v in given.items()})
