"""Combinations in one line each: members by name go in, a model that can be registered and served comes out.

Members are trained models of columns, of any runtime, combinations too. `deadlines_ms` gives a member the
milliseconds that a call may take, of one row or of many; with `may_lack` the answer is made without those
that are late or broken, else it fails with them. What each does is shown by the face of this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.errors import UnknownName
from esteira.serving.combining.combination import Combination
from esteira.serving.combining.files import combined
from esteira.serving.combining.nodes import Average, Cascade, Fallback, Stacked, UnfitNode, Vote, Weighted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from esteira.registry.bundle import Model
    from esteira.serving.combining.nodes import Node

ANSWER = "answer"  # the node of a combination that has one only


def average(
    members: Mapping[str, Model], *, may_lack: bool = False, deadlines_ms: Mapping[str, float] | None = None
) -> Model:
    """The mean of the members' scores. Raises: BadInput."""
    return graph(members, [Average(ANSWER, (*members,), may_lack)], deadlines_ms=deadlines_ms)


def weighted(
    members: Mapping[str, Model],
    weights: Mapping[str, float],
    *,
    may_lack: bool = False,
    deadlines_ms: Mapping[str, float] | None = None,
) -> Model:
    """The weighted mean; weights are above 0 and sum to 1. Raises: BadInput."""
    _check_named(members, weights)
    node = Weighted(
        ANSWER, (*members,), tuple(weights[name] for name in members if name in weights), may_lack
    )
    return graph(members, [node], deadlines_ms=deadlines_ms)


def vote(
    members: Mapping[str, Model],
    thresholds: Mapping[str, float] | float = 0.5,
    *,
    majority: bool = False,
    may_lack: bool = False,
    deadlines_ms: Mapping[str, float] | None = None,
) -> Model:
    """The share of members whose scores are above their thresholds, or 1.0 and 0.0 by the majority.

    Half of them are no majority. Raises: BadInput.
    """
    if isinstance(thresholds, int | float):
        thresholds = dict.fromkeys(members, float(thresholds))
    _check_named(members, thresholds)
    over = tuple(thresholds[name] for name in members if name in thresholds)
    return graph(members, [Vote(ANSWER, (*members,), over, majority, may_lack)], deadlines_ms=deadlines_ms)


def stacked(
    members: Mapping[str, Model],
    final: Model,
    *,
    may_lack: bool = False,
    deadlines_ms: Mapping[str, float] | None = None,
) -> Model:
    """What a final model says of the members' scores, which are its columns, named for the members.

    Train it on `final_inputs`, on rows that the members did not learn from. With `may_lack` a score that is
    not there is a missing value to it. Raises: BadInput.
    """
    node = Stacked(ANSWER, (*members,), may_lack)
    return graph(members, [node], finals={ANSWER: final}, deadlines_ms=deadlines_ms)


def cascade(
    members: Mapping[str, Model],
    unsure: Mapping[str, tuple[float, float]],
    *,
    may_lack: bool = False,
    deadlines_ms: Mapping[str, float] | None = None,
) -> Model:
    """The first score that is sure: the next member is asked only where one lies between its two bounds.

    There are bounds for each member but the last. With `may_lack` a score that is not there is unsure.
    Raises: BadInput.
    """
    _check_named(members, unsure)
    if [*unsure] != [*members][:-1]:
        wanted, found = ", ".join([*members][:-1]), ", ".join(unsure) or "none"
        raise UnfitNode(
            ANSWER, f"it needs an unsure band for each of {wanted}, in their order, found {found}"
        )
    node = Cascade(ANSWER, (*members,), tuple(unsure.values()), may_lack)
    return graph(members, [node], deadlines_ms=deadlines_ms)


def fallback(members: Mapping[str, Model], *, deadlines_ms: Mapping[str, float] | None = None) -> Model:
    """The score of the first member that gives one: that is neither broken nor late. Raises: BadInput."""
    return graph(members, [Fallback(ANSWER, (*members,))], deadlines_ms=deadlines_ms)


def graph(
    members: Mapping[str, Model],
    nodes: Sequence[Node],
    *,
    finals: Mapping[str, Model] | None = None,
    deadlines_ms: Mapping[str, float] | None = None,
) -> Model:
    """Nodes over members and over nodes before them; the last one answers, and nobody is asked twice.

    `finals` are the final models of stacked nodes, by node. Raises: BadInput.
    """
    return combined(Combination(dict(members), tuple(nodes), dict(finals or {}), dict(deadlines_ms or {})))


def _check_named(members: Mapping[str, Model], said: Mapping[str, object]) -> None:
    for name in said:
        if name not in members:
            raise UnknownName("member", name, members)
