"""A combination as a model: one bundle that holds all files of its members, and needs nothing else.

combination.json         members, nodes and final models, in order
members.NAME.FILE        what the bundle of member NAME calls FILE
finals.NODE.FILE         the same of the final model of a stacked node

A bundle has no folders, and a member's name no dot: so the names say what belongs to whom, combinations of
combinations too.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec

from esteira.base.digest import canonical_json, digest_bytes, digest_folder
from esteira.base.errors import BadInput, CorruptArtifact
from esteira.registry.bundle import Model
from esteira.registry.encodings import Encodings
from esteira.registry.signature import Signature
from esteira.serving.combining.combination import Combination
from esteira.serving.combining.nodes import Node  # noqa: TC001 - msgspec reads it from the annotation

if TYPE_CHECKING:
    from collections.abc import Mapping

RUNTIME, PLAN = "combined", "combination.json"
_FORMAT = 1
_LONGEST_NAME = 200  # bytes of a file's name: disks take 255
_UNREADABLE = (ValueError, KeyError, TypeError, RecursionError, msgspec.ValidationError, BadInput)


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A model in a combination: what the card of its own bundle would say."""

    name: str
    runtime: str
    signature: dict[str, Any]
    files: dict[str, str]  # name in its own bundle → digest
    facts: dict[str, Any]
    encodings: list[dict[str, Any]] | None = None
    deadline_ms: float | None = None


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in combination.json."""

    members: list[Part]
    nodes: list[Node]
    finals: list[Part]
    format: int


def combined(combination: Combination) -> Model:
    """The combination as a model that can be registered and served; equal ones give equal bytes."""
    members = [
        _part(name, model, combination.deadlines_ms.get(name)) for name, model in combination.members.items()
    ]
    finals = [_part(name, model) for name, model in combination.finals.items()]
    plan = Plan(members, [*combination.nodes], finals, _FORMAT)
    files = {PLAN: canonical_json(msgspec.to_builtins(plan))}
    for kind, models in (("members", combination.members), ("finals", combination.finals)):
        for name, model in models.items():
            files |= {f"{kind}.{name}.{file}": content for file, content in model.files.items()}
    endless = [file for file in files if len(file.encode()) > _LONGEST_NAME]
    if endless:
        raise BadInput(
            f"{endless[0]!r} is too long a name for a file; combine less deeply, or rename members"
        )
    facts = {
        "combination": " ".join(f"{node.name}={_kind(node)}({','.join(node.over)})" for node in plan.nodes),
        "members": {
            name: bundle_digest(each) for name, each in {**combination.members, **combination.finals}.items()
        },
    }
    return Model(RUNTIME, combination.signature, files, facts)


def bundle_digest(model: Model) -> str:
    """The digest of a model's own bundle, by which a registry knows its versions."""
    with TemporaryDirectory() as folder:
        model.save(Path(folder))
        return digest_folder(Path(folder))


def read_combination(model: Model) -> Combination:
    """What the files of a combined model say. Raises: CorruptArtifact."""
    try:
        plan = msgspec.convert(json.loads(model.files.get(PLAN, b"")), Plan)
        if plan.format != _FORMAT:
            raise BadInput(f"format {_FORMAT} expected, found {plan.format}")
        members = {part.name: _model(f"members.{part.name}.", part, model.files) for part in plan.members}
        finals = {part.name: _model(f"finals.{part.name}.", part, model.files) for part in plan.finals}
        if (len(members), len(finals)) != (len(plan.members), len(plan.finals)):
            raise BadInput("two members of one name")
        deadlines = {part.name: part.deadline_ms for part in plan.members if part.deadline_ms is not None}
        combination = Combination(members, tuple(plan.nodes), finals, deadlines)
    except _UNREADABLE as broken:
        raise CorruptArtifact(PLAN, "the plan of a combination", str(broken)) from broken
    _check_whole(model, plan)
    if combination.signature.to_plain() != model.signature.to_plain():
        raise CorruptArtifact(
            PLAN, "the columns of the bundle's card", ", ".join(combination.signature.names)
        )
    return combination


def without_deadlines(model: Model) -> Model:
    """A model that waits for all its members, for where nobody waits for one row; others as they are.

    A deadline is for the answer to a request: a chunk of rows takes longer, and would be answered without the
    members that it is meant to be answered by.
    Raises: CorruptArtifact.
    """
    if model.runtime != RUNTIME:
        return model
    plan = read_combination(model)
    members, finals = (
        {name: without_deadlines(each) for name, each in models.items()}
        for models in (plan.members, plan.finals)
    )
    return combined(Combination(members, plan.nodes, finals))


def _part(name: str, model: Model, deadline_ms: float | None = None) -> Part:
    digests = {file: digest_bytes(content) for file, content in sorted(model.files.items())}
    encodings = model.encodings.to_plain() if model.encodings else None
    return Part(
        name, model.runtime, model.signature.to_plain(), digests, dict(model.facts), encodings, deadline_ms
    )


def _model(prefix: str, part: Part, files: Mapping[str, bytes]) -> Model:
    own = {name: files[prefix + name] for name in part.files}
    for name, content in own.items():
        if digest_bytes(content) != part.files[name]:
            raise CorruptArtifact(prefix + name, part.files[name], digest_bytes(content))
    encodings = None if part.encodings is None else Encodings.from_plain(part.encodings)
    return Model(part.runtime, Signature.from_plain(part.signature), own, part.facts, encodings)


def _check_whole(model: Model, plan: Plan) -> None:
    known = {PLAN, *(f"members.{part.name}.{file}" for part in plan.members for file in part.files)}
    known |= {f"finals.{part.name}.{file}" for part in plan.finals for file in part.files}
    strangers = sorted({*model.files} - known)
    if strangers:
        raise CorruptArtifact("a combined model", "only files of its members", ", ".join(strangers))


def _kind(node: Node) -> str:
    return str(node.__struct_config__.tag)
