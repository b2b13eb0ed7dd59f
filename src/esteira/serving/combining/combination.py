"""Which models are combined, and how: the whole plan, checked."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput, UnknownName
from esteira.serving.combining.nodes import Stacked
from esteira.serving.combining.signatures import joint_signature

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from esteira.registry.bundle import Model
    from esteira.registry.signature import Signature
    from esteira.serving.combining.nodes import Node

MOST_MEMBERS = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")  # it becomes part of file names
_LONGEST_MS = 3_600_000.0


class UnfitMember(BadInput):
    """A model that cannot be part of a combination."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"model {name!r} cannot be part of a combination: {reason}")
        self.name, self.reason = name, reason


class AsksLater(BadInput):
    """A node that asks itself or one after it: there could be a circle."""

    def __init__(self, node: str, asked: str) -> None:
        super().__init__(
            f"node {node!r} asks {asked!r}, which does not come before it; put what is asked first, and ask "
            "in no circle"
        )
        self.node, self.asked = node, asked


@dataclass(frozen=True)
class Combination:
    """Members, and nodes over them and over nodes before; the last node answers.

    `finals` are the final models of stacked nodes, under the nodes' names; `deadlines_ms` the milliseconds
    that a call of a member may take, of one row or of many; without one it takes what it takes.
    Raises: BadInput (no member, an unfit name, a name that two have), UnfitMember, UnknownName, AsksLater,
    NotJoinable.
    """

    members: Mapping[str, Model]
    nodes: tuple[Node, ...]
    finals: Mapping[str, Model] = field(default_factory=dict)
    deadlines_ms: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (0 < len(self.members) <= MOST_MEMBERS and self.nodes):
            raise BadInput(
                f"a combination needs 1 to {MOST_MEMBERS} members and a node, found {len(self.members)} "
                f"members and {len(self.nodes)} nodes"
            )
        _check_names([*self.members, *(node.name for node in self.nodes)])
        self._check_order()
        for name, model in self.members.items():
            if model.tensors is not None:
                raise UnfitMember(name, "it takes tensors; only models of columns can be combined")
        self._check_finals()
        self._check_deadlines()
        _ = self.signature

    @cached_property
    def signature(self) -> Signature:
        """What the combination asks for; its target is what the last node answers.

        Raises: NotJoinable, BadInput (members that answer several questions).
        """
        signatures = {name: model.signature for name, model in self.members.items()}
        return joint_signature(signatures, self._targets()[self.nodes[-1].name])

    def _targets(self) -> dict[str, str]:
        targets = {name: model.signature.target for name, model in self.members.items()}
        for node in self.nodes:
            asked = {targets[name] for name in node.over}
            if isinstance(node, Stacked):
                targets[node.name] = self.finals[node.name].signature.target
            elif len(asked) > 1:
                found = ", ".join(f"{name} {targets[name]!r}" for name in node.over)
                raise BadInput(
                    f"node {node.name!r} combines answers to several questions: {found}; combine models of "
                    "one target, or stack them"
                )
            else:
                targets[node.name] = asked.pop()
        return targets

    def _check_order(self) -> None:
        known, nodes = [*self.members], [node.name for node in self.nodes]
        asked: set[str] = set()
        for node in self.nodes:
            for name in node.over:
                if name in nodes and name not in known:
                    raise AsksLater(node.name, name)
                if name not in known:
                    raise UnknownName("member", name, known)
            known.append(node.name)
            asked.update(node.over)
        idle = [name for name in known[:-1] if name not in asked]
        if idle:
            raise BadInput(f"nobody asks {', '.join(idle)}; leave it out, or name it in a node")

    def _check_finals(self) -> None:
        stacked = {node.name: node for node in self.nodes if isinstance(node, Stacked)}
        if set(stacked) != set(self.finals):
            found = ", ".join(self.finals) or "none"
            raise BadInput(
                f"final models are for stacked nodes ({', '.join(stacked) or 'none'}), found {found}"
            )
        for name, model in self.finals.items():
            check_final(model, stacked[name])

    def _check_deadlines(self) -> None:
        for name, deadline_ms in self.deadlines_ms.items():
            if name not in self.members:
                raise UnknownName("member", name, self.members)
            if not (math.isfinite(deadline_ms) and 0 < deadline_ms <= _LONGEST_MS):
                raise BadInput(
                    f"the deadline of {name!r} must be above 0 and at most {_LONGEST_MS:.0f} ms, found "
                    f"{deadline_ms:g}"
                )


def check_final(model: Model, node: Stacked) -> None:
    """Refuse a final model that does not take exactly the scores of a node. Raises: UnfitMember."""
    signature = model.signature
    if model.tensors is not None or signature.views or signature.derived:
        raise UnfitMember(node.name, "a final model takes scores: no tensors, views or transforms")
    if sorted(signature.names) != sorted(node.over):
        wanted, found = ", ".join(node.over), ", ".join(signature.names)
        raise UnfitMember(node.name, f"the final model must take the scores of {wanted}, it takes {found}")
    texts = [column.name for column in signature.columns if column.kind != "number"]
    if texts:
        raise UnfitMember(node.name, f"scores are numbers, the final model takes texts: {', '.join(texts)}")
    strict = [column.name for column in signature.columns if not column.optional]
    if node.may_lack and strict:
        reason = f"it was trained where {', '.join(strict)} never lacked a score, so none may be missing"
        raise UnfitMember(node.name, f"{reason}; leave out may_lack")


def _check_names(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if not _NAME.fullmatch(name):
            raise BadInput(
                f"a member or node is named by up to 40 letters, digits, - and _, found {name!r}; rename it"
            )
        if name.casefold() in seen:  # some disks would make one file of two
            raise BadInput(f"two members or nodes are named {name!r}; rename one")
        seen.add(name.casefold())
