"""What a combination does with scores: each kind is a node over members, or over nodes before it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

_NEAR = 1e-9  # what a sum of weights may be away from 1: seven tenths and three tenths are not quite 1


class UnfitNode(BadInput):
    """A node that cannot be evaluated."""

    def __init__(self, node: str, reason: str) -> None:
        super().__init__(f"node {node!r} cannot combine: {reason}")
        self.node, self.reason = node, reason


class Average(msgspec.Struct, frozen=True, tag_field="kind", tag="average", forbid_unknown_fields=True):
    """The mean of scores; with `may_lack` that of those that are there. Raises: UnfitNode."""

    name: str
    over: tuple[str, ...]
    may_lack: bool = False

    def __post_init__(self) -> None:
        _check_over(self.name, self.over)


class Weighted(msgspec.Struct, frozen=True, tag_field="kind", tag="weighted", forbid_unknown_fields=True):
    """The weighted mean of scores; weights are above 0 and sum to 1. Raises: UnfitNode.

    With `may_lack` those that are there share the weight of those that are not.
    """

    name: str
    over: tuple[str, ...]
    weights: tuple[float, ...]
    may_lack: bool = False

    def __post_init__(self) -> None:
        _check_over(self.name, self.over)
        _check_one_each(self.name, self.over, self.weights, "weight")
        if min(self.weights) <= 0:
            raise UnfitNode(self.name, f"weights must be above 0, found {min(self.weights):g}")
        total = math.fsum(self.weights)
        if abs(total - 1) > _NEAR:
            raise UnfitNode(self.name, f"weights must sum to 1, found {total:.12g}; divide each by that")


class Vote(msgspec.Struct, frozen=True, tag_field="kind", tag="vote", forbid_unknown_fields=True):
    """The share of scores that are above their thresholds; with `majority` 1.0 if it is above half, else 0.0.

    With `may_lack` only those that are there vote. Raises: UnfitNode.
    """

    name: str
    over: tuple[str, ...]
    thresholds: tuple[float, ...]
    majority: bool = False
    may_lack: bool = False

    def __post_init__(self) -> None:
        _check_over(self.name, self.over)
        _check_one_each(self.name, self.over, self.thresholds, "threshold")


class Stacked(msgspec.Struct, frozen=True, tag_field="kind", tag="stacked", forbid_unknown_fields=True):
    """What a final model of the node's name says of the scores, which are its columns.

    With `may_lack` a score that is not there is a missing value to it. Raises: UnfitNode.
    """

    name: str
    over: tuple[str, ...]
    may_lack: bool = False

    def __post_init__(self) -> None:
        _check_over(self.name, self.over)


class Cascade(msgspec.Struct, frozen=True, tag_field="kind", tag="cascade", forbid_unknown_fields=True):
    """The first score that is sure: the next is asked only where one lies between the bounds of its band.

    There is a band (low, high) for each but the last, which is always sure; a score that is low or high
    itself is sure. With `may_lack` one that is not there is unsure, and if all after it are not there either,
    the last unsure score counts. Raises: UnfitNode.
    """

    name: str
    over: tuple[str, ...]
    unsure: tuple[tuple[float, float], ...]
    may_lack: bool = False

    def __post_init__(self) -> None:
        _check_over(self.name, self.over, least=2)
        _check_one_each(self.name, self.over[:-1], [low for low, _ in self.unsure], "unsure band")
        for name, (low, high) in zip(self.over, self.unsure, strict=False):
            if not (low < high < math.inf):
                found = f"({low:g}, {high:g}) of {name!r}"
                raise UnfitNode(self.name, f"an unsure band goes from a low score to a higher, found {found}")


class Fallback(msgspec.Struct, frozen=True, tag_field="kind", tag="fallback", forbid_unknown_fields=True):
    """The first score that is there: whose member did not fail and was not late. Raises: UnfitNode."""

    name: str
    over: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_over(self.name, self.over, least=2)


Node: TypeAlias = Average | Weighted | Vote | Stacked | Cascade | Fallback


def _check_over(node: str, over: Sequence[str], least: int = 1) -> None:
    if len(over) < least:
        raise UnfitNode(node, f"it needs {least} or more members, found {len(over)}; name them in order")
    doubled = [name for name in over if over.count(name) > 1]
    if doubled:
        raise UnfitNode(node, f"{doubled[0]!r} stands in it twice; name each once")


def _check_one_each(node: str, over: Sequence[str], numbers: Sequence[float], what: str) -> None:
    if len(numbers) != len(over) or not all(map(math.isfinite, numbers)):
        names = ", ".join(over)
        raise UnfitNode(node, f"it needs one finite {what} for each of {names}, found {[*numbers]}")
