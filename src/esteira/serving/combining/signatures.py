"""What a combination asks for: all that its members ask for, each column once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from esteira.base.errors import BadInput
from esteira.registry.signature import Signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from esteira.registry.columns import Column
    from esteira.registry.derived import Derived
    from esteira.registry.signature import ViewRef

T = TypeVar("T")


class NotJoinable(BadInput):
    """Something that two members ask for under one name, and that is not the same."""

    def __init__(self, what: str, one: str, other: str, reason: str) -> None:
        super().__init__(
            f"{what} is not the same to members {one!r} and {other!r}: {reason}; rename it in one of them, "
            "or train both on the same"
        )
        self.what, self.one, self.other, self.reason = what, one, other, reason


def joint_signature(signatures: Mapping[str, Signature], target: str) -> Signature:
    """The columns of all, in the order in which they are first asked for.

    Categories are those of all: one that a member does not know is unknown to it, as if it were asked alone.
    A column may be left out of a request only if every member that asks for it allows that. Views give the
    features of all.
    Raises: NotJoinable (a column, view or transform that is not the same in two members).
    >>> from esteira.registry.signature import Column
    >>> fast = Signature((Column("carrier", "category", ("AA",)),), "late")
    >>> deep = Signature((Column("miles"), Column("carrier", "category", ("UA", "AA"))), "late")
    >>> joint = joint_signature({"fast": fast, "deep": deep}, "late")
    >>> joint.names, joint.columns[0].categories
    (('carrier', 'miles'), ('AA', 'UA'))
    """
    columns = _joined(signatures, lambda s: s.columns, _column)
    inputs = _joined(signatures, lambda s: s.inputs, _column)
    for name, (column, member) in inputs.items():
        if name in columns:  # one member reads as a column what another's transform reads
            columns[name] = (_asked_alike(*columns[name], column, member), columns[name][1])
    return Signature(
        tuple(column for column, _ in columns.values()),
        target,
        tuple(view for view, _ in _joined(signatures, lambda s: s.views, _view).values()),
        tuple(each for each, _ in _joined(signatures, lambda s: s.derived, _transform).values()),
        tuple(column for name, (column, _) in inputs.items() if name not in columns),
    )


def _joined(
    signatures: Mapping[str, Signature],
    parts: Callable[[Signature], Iterable[T]],
    join: Callable[[T, str, T, str], T],
) -> dict[str, tuple[T, str]]:
    """By name what all ask for, each with the member that asked first."""
    found: dict[str, tuple[T, str]] = {}
    for member, signature in signatures.items():
        for part in parts(signature):
            name: str = part.name  # type: ignore[attr-defined] # columns, views and transforms all have one
            known = found.get(name)
            found[name] = (part, member) if known is None else (join(*known, part, member), known[1])
    return found


def _column(one: Column, of_one: str, other: Column, of_other: str) -> Column:
    joint = _asked_alike(one, of_one, other, of_other)
    more = (name for name in other.categories if name not in one.categories)
    return replace(joint, categories=(*one.categories, *more))


def _asked_alike(one: Column, of_one: str, other: Column, of_other: str) -> Column:
    for said, mine, theirs in (
        ("a {}", one.kind, other.kind),
        ("from {}", one.view or "no view", other.view or "no view"),
        ("from {}", one.transform or "no transform", other.transform or "no transform"),
    ):
        if mine != theirs:
            reason = f"{said.format(mine)} in one, {said.format(theirs)} in the other"
            raise NotJoinable(f"column {one.name!r}", of_one, of_other, reason)
    return replace(one, optional=one.optional and other.optional)


def _view(one: ViewRef, of_one: str, other: ViewRef, of_other: str) -> ViewRef:
    if (one.keys, one.ttl_us) != (other.keys, other.ttl_us):
        reason = f"keys {one.keys} and TTL {one.ttl_us} in one, {other.keys} and {other.ttl_us} in the other"
        raise NotJoinable(f"feature view {one.name!r}", of_one, of_other, reason)
    more = (name for name in other.features if name not in one.features)
    return replace(one, features=(*one.features, *more))


def _transform(one: Derived, of_one: str, other: Derived, of_other: str) -> Derived:
    if one.to_plain() != other.to_plain():
        reason = "it computes other outputs, or by other steps"
        raise NotJoinable(f"transform {one.name!r}", of_one, of_other, reason)
    return one
