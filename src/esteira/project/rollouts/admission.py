"""Whether a version may challenge the champion: everything that can be known before a request goes to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.errors import BadInput, EsteiraError, NotFound
from esteira.project.known_answers import wrong_answers
from esteira.project.release import champion_of, deployable, load_model
from esteira.serving.combining.files import without_deadlines
from esteira.serving.decoders import RowDecoder
from esteira.serving.live.probes import check_rows, check_tensors
from esteira.serving.runtimes import open_runtime, open_tensor_runtime

if TYPE_CHECKING:
    from esteira.base.records import ModelVersion
    from esteira.project.station import Station
    from esteira.registry.bundle import Model

ARCHIVED = "esteira.archived"  # the tag of a version that is kept and must not serve; its value says why


class Archived(BadInput):
    """A version that was put away."""

    def __init__(self, version: ModelVersion) -> None:
        why = version.tags[ARCHIVED] or "no reason was given"
        super().__init__(
            f"version {version.version} of {version.name} is archived ({why}); roll out another version"
        )
        self.version = version


class OtherSignature(BadInput):
    """A challenger that could not answer what the champion's callers ask."""

    def __init__(self, champion: int, challenger: int, reason: str) -> None:
        super().__init__(
            f"version {challenger} cannot answer what callers of version {champion} ask: {reason}; train it "
            "on the same request columns, or change the callers and put it in force with: esteira deploy"
        )
        self.champion, self.challenger, self.reason = champion, challenger, reason


class DoesNotLoad(BadInput):
    """A version that cannot be brought into memory here, or is not fit to serve."""

    def __init__(self, version: int, reason: str) -> None:
        super().__init__(f"version {version} does not load: {reason}; nothing was changed")
        self.version, self.reason = version, reason


def admit(station: Station, number: int) -> tuple[ModelVersion, ModelVersion]:
    """The champion and the challenger of a rollout that may begin.

    Raises: NotFound (no such version, or no champion yet), BadInput (it is the champion, or not registered
    by esteira), Archived, OtherSignature, DoesNotLoad, CorruptArtifact.
    """
    challenger, champion = deployable(station, number), champion_of(station)
    if champion is None:
        raise NotFound(
            "a champion of", challenger.name, f"put one into production with: esteira deploy {number}"
        )
    if champion.version == number:
        raise BadInput(f"version {number} of {challenger.name} is the champion already")
    if ARCHIVED in challenger.tags:
        raise Archived(challenger)
    before, after = load_model(station, champion), load_model(station, challenger)
    reason = missing_for_callers(before, after)
    if reason:
        raise OtherSignature(champion.version, number, reason)
    for broken in checks(station, challenger):
        raise DoesNotLoad(number, broken)
    return champion, challenger


def missing_for_callers(champion: Model, challenger: Model) -> str:
    """Why requests that the champion answers would fail at the challenger, in words; empty if none would."""
    if (champion.tensors is None) != (challenger.tensors is None):
        kinds = ["columns" if each.tensors is None else "tensors" for each in (champion, challenger)]
        return f"it takes {kinds[1]}, not {kinds[0]}"
    if champion.tensors is not None and challenger.tensors is not None:
        same = champion.tensors.inputs == challenger.tensors.inputs
        return "" if same else "its input tensors have other names, types or shapes"
    sent, taken = RowDecoder(champion.signature).fields, RowDecoder(challenger.signature).fields
    unknown = [name for name in sent if name not in taken]
    if unknown:
        return f"it does not know {', '.join(map(repr, unknown))}"
    return _lacking(champion, challenger, sent)


def _lacking(champion: Model, challenger: Model, sent: tuple[str, ...]) -> str:
    optional = {each.name for each in challenger.signature.request_columns if each.optional}
    taken = RowDecoder(challenger.signature).fields
    lacking = [name for name in taken if name not in sent and name not in optional]
    if lacking:
        return f"it needs {', '.join(map(repr, lacking))} besides"
    kinds = {each.name: each.kind for each in champion.signature.request_columns}
    for column in challenger.signature.request_columns:
        if kinds.get(column.name, column.kind) != column.kind:
            return f"its {column.name!r} is a {column.kind}, not a {kinds[column.name]}"
    return ""


def checks(station: Station, version: ModelVersion) -> list[str]:
    """What is wrong with a version in memory, one sentence each.

    It must load, answer alike alone and in company, with finite scores, and give its known answers.
    """
    try:
        model = load_model(station, version)
        if model.tensors is not None:
            check_tensors(model.tensors, open_tensor_runtime(model))
            return []
        runtime = open_runtime(without_deadlines(model))
        check_rows(model, runtime)
        wrong = wrong_answers(station, version, runtime)
    except EsteiraError as refused:
        return [str(refused)]
    return [f"it does not give its known answers: {wrong}"] if wrong else []
