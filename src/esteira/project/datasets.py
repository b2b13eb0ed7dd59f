"""Training sets by name: a manifest for each, in the project's home."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from esteira.base.errors import BadInput, NotFound
from esteira.base.files import write_atomic
from esteira.features.contents import content_of
from esteira.features.manifest import Manifest, PinnedTable, PinnedView, Spine, WrongManifest, read_manifest
from esteira.project.running import TableInput, ViewInput, graph_of, pinned_versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from esteira.base.records import Artifact
    from esteira.pipelines.graph import Graph
    from esteira.pipelines.journal import Journal
    from esteira.pipelines.run import Outcome
    from esteira.project.station import Station

log = logging.getLogger(__name__)

TAG = "esteira.dataset"  # of a model version: the name of what it was fitted on
_LONGEST_NUMBER = 5  # digits of a version's number; more of them begin the name of a training set


def keep_manifest(station: Station, outcome: Outcome) -> Manifest:
    """The manifest of a run's training set, written if there is none of that content yet.

    Raises: NoContent, StorageUnwritable.
    """
    known = _of_artifact(station, outcome.artifact(station.project.training_set))
    if known is not None:
        return known
    manifest = describe(station, outcome, station.project.training_set, station.journal)
    path = _folder(station) / f"{manifest.digest}.json"
    # The same content in other bytes is the same set, as when another version of pyarrow wrote it.
    if path.exists() and (kept := _kept(path)) is not None:
        return kept
    write_atomic(path, manifest.to_json())
    return manifest


def manifests(station: Station) -> list[Manifest]:
    """All training sets that this project has made, newest last; damaged ones are passed over."""
    found = ((path.stat().st_mtime_ns, _kept(path)) for path in _paths(station))
    whole = [(each.created_at, at, each) for at, each in found if each is not None]
    # By the project's clock, and where that stood still by the disk's.
    return [each for *_, each in sorted(whole, key=lambda known: known[:2])]


def check_manifests(station: Station) -> tuple[int, list[str]]:
    """How many manifests there are, and which of them are not what was written, one sentence each."""
    problems = []
    for path in _paths(station):
        try:
            read_manifest(path.read_bytes(), str(path))
        except WrongManifest as damaged:
            problems.append(str(damaged))
    return len(_paths(station)), problems


def find_manifest(station: Station, ref: str = "") -> Manifest:
    """A training set by what a person has at hand; without a ref the newest.

    `ref`: the beginning of its name, the id of a run, the number of a model version, or a manifest file.
    Raises: NotFound, BadInput (several begin so), WrongManifest.
    """
    if (handed_over := _file(ref)) is not None:
        return read_manifest(handed_over, ref)
    known = manifests(station)
    if not ref and known:
        return known[-1]
    name = _name_of(station, ref)
    found = [each for each in known if name and each.digest.startswith(name)]
    if not found:
        mend = "see: esteira dataset list; make one with: esteira run"
        raise NotFound("training set", ref or "newest", mend)
    if len(found) > 1:
        raise BadInput(f"{len(found)} training sets begin with {ref!r}; give more of the name")
    return found[0]


def _file(ref: str) -> bytes | None:
    """What a file holds; None when the ref is a name and not a file that can be read."""
    try:
        return Path(ref).read_bytes()
    except (OSError, ValueError):
        return None


def _name_of(station: Station, ref: str) -> str:
    """The name that a version's number or a run's id stands for; any other ref is taken for a name."""
    if ref.isdecimal() and len(ref) <= _LONGEST_NUMBER:
        version = station.version(int(ref))
        return version.tags.get(TAG) or _name_of(station, version.run_id or "-")
    if "-" not in ref:
        return ref
    step = station.project.training_set
    made = [each.artifact for each in station.journal.steps(ref) if each.step == step]
    found = _of_artifact(station, made[0]) if made and made[0] else None
    return found.digest if found else ref


def _of_artifact(station: Station, artifact: Artifact) -> Manifest | None:
    return next((each for each in manifests(station) if each.artifact == artifact), None)


def _folder(station: Station) -> Path:
    return station.settings.home / "datasets"


def _paths(station: Station) -> list[Path]:
    return sorted(_folder(station).glob("*.json"))


def _kept(path: Path) -> Manifest | None:
    try:
        return read_manifest(path.read_bytes(), str(path))
    except WrongManifest as damaged:  # which must not keep a new model from being trained
        log.warning("a damaged manifest is passed over", extra={"path": str(path), "error": str(damaged)})
        return None


def describe(station: Station, outcome: Outcome, step: str, journal: Journal) -> Manifest:
    """What a step of a run returned, and what it was made of, as its journal knows. Raises: NoContent."""
    run = outcome.run
    graph = graph_of(station, run.inputs)
    plan = graph.plan([step])
    taken = {name for each in plan for name in graph.takes(each)}
    inputs = {name: run.inputs[name] for name in graph.inputs if name in taken}
    content = content_of(outcome.value(step))
    parts = [found.parts for each in plan if (found := journal.result_of(outcome.steps[each].key))]
    return Manifest(
        digest=content.digest,
        project=station.project.name,
        step=step,
        content=content,
        artifact=outcome.artifact(step),
        run_id=run.id,
        created_at=run.finished_at or run.started_at,
        spine=_spine(graph, plan, outcome),
        inputs=inputs,
        tables={
            name: PinnedTable(number, station.tables.version(name, number).rows)
            for name, number in sorted(pinned_versions(inputs).items())
        },
        views=_views(graph, inputs),
        parameters={
            name: run.parameters[name]
            for name, takers in graph.parameters.items()
            if name in run.parameters and {*takers} & {*plan}
        },
        keys={each: outcome.steps[each].key for each in plan},
        code={piece: digest for each in parts for piece, digest in each["code"].items()},
        libraries={
            name: version
            for each in parts
            for name, version in {**each["versions"], "python": each["python"]}.items()
        },
    )


def _views(graph: Graph, inputs: Mapping[str, str]) -> dict[str, PinnedView]:
    found = (each for name in inputs if isinstance(each := graph.inputs[name], ViewInput))
    return {
        each.view.qualified: PinnedView(
            each.source.identity, each.view.known_by is not None, each.view.definition()
        )
        for each in found
    }


def _spine(graph: Graph, plan: Sequence[str], outcome: Outcome) -> Spine | None:
    """What the first step that takes views takes beside them: the rows of a step, or of a table."""
    joining = [
        name for name in plan if any(isinstance(graph.inputs[each], ViewInput) for each in graph.takes(name))
    ]
    for name in graph.steps[joining[0]].parameters if joining else ():
        rows: Any = None
        if name in graph.steps:
            rows = outcome.value(name)
        elif isinstance(table := graph.inputs.get(name), TableInput):
            rows = table.resolve()
        if isinstance(rows, pa.Table):
            return Spine(name, content_of(rows))
    return None
