"""The project's training set as a function: of its questions, and of the rows that its features come from.

The pipeline runs as it is, but in a scratch place and without any cache; what it takes can be replaced.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.errors import BadInput
from esteira.features.proofs.futures import NEVER_KNOWN, Questions, Source, World
from esteira.features.times import micros, nullable_micros
from esteira.pipelines.artifacts import ArtifactStore
from esteira.pipelines.graph import Graph
from esteira.pipelines.inputs import Pinned
from esteira.pipelines.journal import Journal
from esteira.pipelines.run import run
from esteira.project.ingesting import newest_published
from esteira.project.running import TableInput, ViewInput, bind, graph_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from esteira.features.views import FeatureView
    from esteira.pipelines.inputs import Input
    from esteira.pipelines.run import Outcome
    from esteira.project.station import Station
    from esteira.registry.signature import Signature


class NoQuestions(BadInput):
    """A training set that is not made of questions with a time, as far as can be seen."""

    def __init__(self, step: str, time: str) -> None:
        super().__init__(
            f"no table that step {step!r} is made of has the time column {time!r}; "
            "name the column that says when each question was asked with Project(time=…)"
        )
        self.step, self.time = step, time


@dataclass(frozen=True)
class Assembly:
    """How the project makes its training set of questions.

    `fixed` holds the tables that the questions come from: on each way to the training set the first that
    has the time column and needs no view. They are the outputs of steps, or without such steps a table.
    """

    station: Station
    pipeline: Graph
    rows: pa.Table  # the training set as it is
    signature: Signature
    fixed: Mapping[str, pa.Table]
    spine: str  # the one of them that holds the questions

    @cached_property
    def given(self) -> dict[str, Input]:
        """The views and tables that features are made of."""
        graph = _graph_with(self.pipeline, self.fixed)
        plan = graph.plan([self.station.project.training_set])
        return {name: graph.inputs[name] for name in _taken(graph, plan) if name not in self.fixed}

    def build(self, questions: pa.Table, tables: Mapping[str, pa.Table]) -> pa.Table:
        """The training set of other questions, or from other source rows. Raises: as `pipelines.run.run`."""
        project = self.station.project
        replaced = {name: partial(_resolved, self.given[name], rows) for name, rows in tables.items()}
        pins = {name: Pinned(name, load) for name, load in replaced.items()}
        graph = _graph_with(self.pipeline, {**self.fixed, self.spine: questions}, pins)
        with _executed(self.station, graph, [project.training_set]) as outcome:
            rows: pa.Table = outcome.value(project.training_set)
            return rows

    def world(self) -> World:
        """The questions and the rows as they are."""
        project, spine = self.station.project, self.fixed[self.spine]
        known = {name: self._source(name) for name in self.given}
        sources = {name: source for name, source in known.items() if source is not None}
        name = _id_of(spine, self.rows, project.rehearsal.id if project.rehearsal else "")
        asked_for = (*self.signature.columns, *self.signature.inputs)
        features = tuple(c.name for c in asked_for if c.name in self.rows.column_names)
        asked = micros(spine, project.time, f"table {self.spine!r}")
        questions = Questions(spine, project.time, self.signature.target, features, asked, name)
        known_us = _outcomes_known(questions, [*sources.values()])
        return World(replace(questions, known_us=known_us), sources)

    def _source(self, name: str) -> Source | None:
        """The rows behind a view or a table; None for a table of which nobody says when it was known."""
        given = self.given[name]
        table = given.source if isinstance(given, ViewInput) else given
        assert isinstance(table, TableInput)
        rows, published = table.resolve(), self.published(table.name)
        if isinstance(given, ViewInput):
            times = [published, given.view.known_by or ""]
            since = _revealed(given.view, rows)
            return Source(rows, _known(rows, times, _happened(given.view, rows)), since, given.view.keys)
        if published not in rows.column_names:
            return None
        known = _known(rows, [published], np.full(rows.num_rows, np.iinfo(np.int64).min))
        keys = dict.fromkeys(key for view in self.station.project.views for key in view.keys)
        return Source(rows, known, known, tuple(key for key in keys if key in rows.column_names))

    def published(self, table: str) -> str:
        """The column that says when rows of a table were published."""
        return next(each.published for each in self.station.project.tables if each.name == table)


def _happened(view: FeatureView, rows: pa.Table) -> NDArray[np.int64]:
    return micros(rows, view.window.time if view.window else view.event_time, f"view {view.name!r}")


def _revealed(view: FeatureView, rows: pa.Table) -> NDArray[np.int64]:
    """From when on each source row shows in the answers of a view."""
    if view.window is not None:
        return view.window.enters(rows)
    created = [view.created_time] if view.created_time else []
    return _known(rows, created, _happened(view, rows))


def _known(rows: pa.Table, columns: Sequence[str], at_least: NDArray[np.int64]) -> NDArray[np.int64]:
    for name in columns:
        if name in rows.column_names:
            times = pc.fill_null(nullable_micros(rows, name, "a source"), NEVER_KNOWN)
            at_least = np.maximum(at_least, times.to_numpy())
    return at_least


def _outcomes_known(questions: Questions, sources: Sequence[Source]) -> NDArray[np.int64]:
    """When each outcome was first published, where a source says so; else just after the question."""
    known = np.full(questions.rows.num_rows, NEVER_KNOWN)
    for source in sources:
        if questions.are_named_in(source) and questions.target in source.rows.column_names:
            place = pc.index_in(questions.rows[questions.id], source.rows[questions.id].combine_chunks())
            has = np.flatnonzero(place.is_valid())
            published = source.known_us[np.asarray(place.drop_null(), dtype=np.int64)]
            known[has] = np.minimum(known[has], published)
    asked = questions.asked_us
    return np.where((known == NEVER_KNOWN) | (known <= asked), asked + 1, known)


def _id_of(spine: pa.Table, rows: pa.Table, preferred: str) -> str:
    """A column that tells the questions apart, there and in the training set; empty when there is none."""
    candidates: list[str] = [preferred, *spine.column_names]
    for name in candidates:
        if name in spine.column_names and name in rows.column_names and _is_name(spine[name].type):
            values = spine[name]
            if not values.null_count and pc.count_distinct(values).as_py() == len(values):
                return name
    return ""


def _is_name(kind: pa.DataType) -> bool:
    kinds = pa.types
    return bool(kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_integer(kind))


# ── running the pipeline with something else in it ──────────────────────────────────────────────────────


def assemble(station: Station) -> Assembly:
    """Make the training set once, as the next run would, to see what it is made of.

    Raises: NoQuestions, and as `pipelines.run.run`.
    """
    project, graph = station.project, graph_of(station)
    with _executed(station, graph, [project.training_set, project.model]) as outcome:
        fixed = _first_dated(graph, outcome, project.training_set, project.time)
        signature: Signature = outcome.value(project.model).signature
        rows = outcome.value(project.training_set)
    if not fixed:
        raise NoQuestions(project.training_set, project.time)
    holding = [name for name, table in fixed.items() if signature.target in table.column_names]
    return Assembly(station, graph, rows, signature, fixed, (holding or [*fixed])[-1])


@contextmanager
def _executed(station: Station, graph: Graph, targets: Sequence[str]) -> Iterator[Outcome]:
    """A run of which nothing is left but what is read while it is held."""
    given: dict[str, object] = {}
    until = newest_published(station)
    if until is not None and "until" in graph.parameters:
        given["until"] = until
    with tempfile.TemporaryDirectory(prefix="esteira-proof-") as scratch:
        yield run(
            graph,
            project=station.project.name,
            parameters=given,
            journal=Journal(f"sqlite:{scratch}/journal.db"),
            artifacts=ArtifactStore(f"file:{Path(scratch) / 'artifacts'}"),
            clock=station.clock,
            targets=targets,
            use_cache=False,
        )


def _graph_with(
    graph: Graph, fixed: Mapping[str, pa.Table], pins: Mapping[str, Input] | None = None
) -> Graph:
    steps = [step for name, step in graph.steps.items() if name not in fixed]
    held = {name: Pinned(name, partial(_itself, table)) for name, table in fixed.items()}
    return Graph(steps, {**graph.inputs, **held, **(pins or {})})


def _itself(table: pa.Table) -> pa.Table:
    return table


def _resolved(given: Input, rows: pa.Table) -> object:
    return bind(given.view, rows) if isinstance(given, ViewInput) else rows


def _taken(graph: Graph, plan: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for step in plan for name in graph.takes(step)))


def _first_dated(graph: Graph, outcome: Outcome, step: str, time: str) -> dict[str, pa.Table]:
    """The first tables with the time column; those of steps, unless no feature is made after them."""
    plan = graph.plan([step])
    steps = _first_dated_steps(graph, outcome, [each for each in plan if each != step], time)
    if steps:
        after = _graph_with(graph, steps)
        if _taken(after, after.plan([step])) != tuple(steps):
            return steps
    inputs = {name: graph.inputs[name] for name in _taken(graph, plan)}
    tables = {name: each.resolve() for name, each in inputs.items() if isinstance(each, TableInput)}
    return {name: rows for name, rows in tables.items() if time in rows.column_names} or steps


def _first_dated_steps(graph: Graph, outcome: Outcome, plan: Sequence[str], time: str) -> dict[str, pa.Table]:
    found: dict[str, pa.Table] = {}
    settled: set[str] = set()  # steps that come after one of them, or need a view
    for name in plan:
        views = [each for each in graph.takes(name) if isinstance(graph.inputs[each], ViewInput)]
        if views or settled & {*graph.needs(name)}:
            settled.add(name)
            continue
        rows = outcome.value(name)
        if isinstance(rows, pa.Table) and time in rows.column_names:
            found[name] = rows
            settled.add(name)
    return found
