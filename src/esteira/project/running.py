"""Run the project's pipeline on pinned inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from esteira.base.digest import digest_json
from esteira.base.errors import NotFound, UnknownName
from esteira.features.views import BoundView
from esteira.features.windows.sliding import window_rows
from esteira.pipelines.graph import Graph
from esteira.pipelines.run import run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa

    from esteira.base.records import Run
    from esteira.data.tables.port import TableStore
    from esteira.features.views import FeatureView
    from esteira.pipelines.artifacts import ArtifactStore
    from esteira.pipelines.inputs import Input
    from esteira.pipelines.journal import Journal, StepRecord
    from esteira.pipelines.run import Outcome, StepEvent
    from esteira.project.station import Station


@dataclass(frozen=True, slots=True)
class TableInput:
    """One pinned version of a table."""

    tables: TableStore
    name: str
    version: int

    @property
    def identity(self) -> str:
        return f"{self.name}@{self.version}"

    def resolve(self) -> pa.Table:
        return self.tables.read(self.name, version=self.version)


@dataclass(frozen=True, slots=True)
class ViewInput:
    """A feature view over one pinned version of its source."""

    view: FeatureView
    source: TableInput

    @property
    def identity(self) -> str:
        return f"{self.view.name}:{digest_json(self.view.definition())[:16]}:{self.source.identity}"

    def resolve(self) -> BoundView:
        return bind(self.view, self.source.resolve())


def bind(view: FeatureView, rows: pa.Table) -> BoundView:
    """A view with its rows; a windowed view's rows are the aggregates of its source."""
    return BoundView(view, rows if view.window is None else window_rows(rows, view.window))


def bound_views(station: Station, *names: str) -> list[BoundView]:
    """The project's views by name, all of them if none is said, over the newest versions of their sources.

    Raises: UnknownName, NotFound (a source that was never filled).
    """
    known = {view.qualified: view for view in station.project.views}
    for name in names:
        if name not in known:
            raise UnknownName("view", name, known)
    return [
        bind(known[name], _pin(station.tables, known[name].source, {}).resolve()) for name in names or known
    ]


def graph_of(station: Station, pinned: Mapping[str, str] | None = None) -> Graph:
    """The project's graph with every table and view pinned: to now, or to the versions of an earlier run.

    A view that stands there in several versions is by its name the newest of them.
    """
    names = [table.name for table in station.project.tables]
    versions = pinned_versions(pinned or {})
    tables = {name: _pin(station.tables, name, versions) for name in names}
    inputs: dict[str, Input] = dict(tables)
    steps = {each.name for each in station.project.steps}
    for view in sorted(station.project.views, key=lambda each: each.version):
        for name in {view.name, view.qualified} - steps:
            inputs[name] = ViewInput(view, tables[view.source])
    return Graph(station.project.steps, inputs)


def pinned_versions(pinned: Mapping[str, str]) -> dict[str, int]:
    """Table → version, out of the identities of tables (`flights@3`) and views (`weather:1a2b:flights@3`)."""
    refs = (identity.rpartition(":")[2].rpartition("@") for identity in pinned.values())
    return {table: int(version) for table, _, version in refs}


def _pin(tables: TableStore, name: str, versions: Mapping[str, int]) -> TableInput:
    if name in versions:
        return TableInput(tables, name, versions[name])
    try:
        return TableInput(tables, name, tables.version(name).version)
    except NotFound as missing:
        raise NotFound("table", name, "fill it first with: esteira run") from missing


def run_pipeline(
    station: Station,
    parameters: Mapping[str, object],
    *,
    targets: Sequence[str] | None = None,
    on_event: Callable[[StepEvent], None] | None = None,
) -> Outcome:
    """Run the pipeline on the newest tables; cached, resumable. Raises: as `pipelines.run.run`."""
    return run(
        graph_of(station),
        project=station.project.name,
        parameters=parameters,
        journal=station.journal,
        artifacts=station.artifacts,
        clock=station.clock,
        targets=targets,
        on_event=on_event,
    )


def run_again(
    station: Station, earlier: Run, *, targets: Sequence[str], journal: Journal, artifacts: ArtifactStore
) -> Outcome:
    """Execute an earlier run once more from its pinned inputs and parameters, trusting no cache."""
    return run(
        graph_of(station, earlier.inputs),
        project=station.project.name,
        parameters=earlier.parameters,
        journal=journal,
        artifacts=artifacts,
        clock=station.clock,
        targets=targets,
        use_cache=False,
    )


def last_reason(station: Station, step: str) -> StepRecord:
    """Why a step ran, or did not, in the newest run that reached it. Raises: UnknownName, NotFound."""
    known = [each.name for each in station.project.steps]
    if step not in known:
        raise UnknownName("step", step, known)
    for earlier in reversed(station.journal.runs()):
        for record in station.journal.steps(earlier.id):
            if record.step == step:
                return record
    raise NotFound("a run with step", step, "make one with: esteira run")
