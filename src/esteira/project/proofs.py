"""Proofs of a project's features: nothing leaks into its training set, and online equals offline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.clock import to_micros
from esteira.base.errors import BadInput
from esteira.features.proofs.differences import unequal
from esteira.features.proofs.leaks import Example, Leak, Searched, search_leaks
from esteira.features.proofs.verify import ViewVerified, verify_view
from esteira.monitoring.prediction_log import PREDICTIONS, vectors_of
from esteira.project.assembling import Assembly, assemble
from esteira.project.parity import Parity, compare_logged
from esteira.project.release import load_model
from esteira.project.running import TableInput, bind
from esteira.registry.columns import WrongInput, numbers_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from esteira.features.proofs.futures import World
    from esteira.project.station import Station

    Told = Callable[[str, float], None]  # what is being done, and how much of all is done, from 0 to 1


class NoSteps(BadInput):
    """A project of features alone makes no training set that could be searched for leaks."""

    def __init__(self, project: str) -> None:
        super().__init__(
            f"project {project!r} has no steps, so no training set to look for leaks in; "
            "give it the steps that make one"
        )
        self.project = project


@dataclass(frozen=True, slots=True)
class FeaturesVerified:
    """Online against offline: each view on sampled keys, and the vectors that models were really given."""

    at: datetime
    views: tuple[ViewVerified, ...]
    logged: Parity | None  # None when nothing was ever logged

    @property
    def passed(self) -> bool:
        return all(view.passed for view in self.views) and (self.logged is None or self.logged.passed)


def verify_features(
    station: Station,
    *,
    sample: int = 1000,
    seed: int = 7,
    at: datetime | None = None,
    on_progress: Told | None = None,
) -> FeaturesVerified:
    """Compare the online store with the tables at a moment, now if not said, and the log with both.

    The store keeps only the latest rows, so a moment that lies before the newest of them finds differences.
    Raises: NotFound (a table that was never filled), NaiveTime, and what the stores raise.
    """
    moment = at or station.clock.now()
    views, total = station.project.views, len(station.project.views) + 1
    verified = []
    for done, view in enumerate(views):
        if on_progress is not None:
            on_progress(f"view {view.qualified}", done / total)
        bound = bind(view, station.tables.read(view.source))
        verified.append(verify_view(bound, station.online, to_micros(moment, "at"), sample=sample, seed=seed))
    if on_progress is not None:
        on_progress("logged vectors", (total - 1) / total)
    is_logged = PREDICTIONS in station.tables.names()
    logged = compare_logged(station, sample=sample, seed=seed) if is_logged else None
    return FeaturesVerified(moment, tuple(verified), logged)


@dataclass(frozen=True, slots=True)
class Risk:
    """What may leak though this training set shows no leak of it, or could not be looked at."""

    what: str
    rows: int
    mend: str


@dataclass(frozen=True, slots=True)
class LeaksSearched:
    """What was looked at for leaks and what was found."""

    training_set: str  # the step
    spine: str  # the step or table that its questions come from, which is held fixed
    leaks: tuple[Leak, ...]
    risks: tuple[Risk, ...]
    searched: Searched

    @property
    def passed(self) -> bool:
        """Whether something was compared and nothing leaks; a risk is no leak."""
        return self.searched.cells > 0 and not self.leaks


def find_leaks(
    station: Station, *, cutoffs: int = 5, seed: int = 7, on_progress: Told | None = None
) -> LeaksSearched:
    """Make the project's training set again in other futures, and see whether its past changes.

    The pipeline runs in a scratch place, about three times for each cutoff; nothing of it is kept.
    Raises: NoSteps, NoQuestions, and as `pipelines.run.run`.
    """
    if not station.project.steps:
        raise NoSteps(station.project.name)
    if on_progress is not None:
        on_progress("the training set as it is", 0.0)
    assembly = assemble(station)
    world = assembly.world()
    searched = search_leaks(assembly.build, world, cutoffs=cutoffs, seed=seed, on_progress=on_progress)
    name = world.questions.id
    requests = _differing_requests(assembly, name) if name else None
    leaks = searched.leaks if requests is None else (*searched.leaks, requests)
    step = station.project.training_set
    return LeaksSearched(step, assembly.spine, leaks, tuple(_risks(assembly, world)), searched)


# ── what requests carried ───────────────────────────────────────────────────────────────────────────────


def _differing_requests(assembly: Assembly, name: str) -> Leak | None:
    """Columns in which the training set says other than the requests of the same questions did."""
    station, rows = assembly.station, assembly.rows
    if PREDICTIONS not in station.tables.names():
        return None
    logged = station.tables.read(PREDICTIONS, columns=["id", "at", "version", "vector"])
    place = pc.index_in(logged["id"], value_set=rows[name].cast(logged["id"].type).combine_chunks())
    logged, rows = logged.filter(pc.is_valid(place)), rows.take(place.drop_null())
    found = [
        cell
        for number in pc.unique(logged["version"]).to_pylist()
        for cell in _of_version(assembly.station, number, logged, rows)
    ]
    if not found:
        return None
    return Leak(
        "request",
        tuple(sorted({example.column for example in found})),
        len(found),
        len({example.question for example in found}),
        min(found, key=lambda example: example.asked_at),
        "the request did not carry what the training set says: it was filled in or corrected later",
        "keep what requests carry, e.g. from the prediction log, or make a view with a created time of it",
    )


def _of_version(station: Station, number: int, logged: pa.Table, rows: pa.Table) -> Iterator[Example]:
    """The cells in which the requests to one version differ from the training set; `without` is logged."""
    mine = pa.array(np.flatnonzero(pc.equal(logged["version"], number)))
    logged, rows = logged.take(mine), rows.take(mine)
    signature = load_model(station, station.version(number)).signature
    matrix = vectors_of(logged, len(signature.columns))
    for at, column in enumerate(signature.columns):
        if column.is_requested and column.name in rows.column_names:
            carried = pa.chunked_array([pa.array(matrix[:, at])])
            try:
                trained = pa.chunked_array([pa.array(numbers_in(rows, column))])
            except WrongInput:  # to that version the column was of another kind
                continue
            for place in np.flatnonzero(unequal(carried, trained)).tolist():
                value = rows[column.name][place].as_py()
                was = signature.decode_row(matrix[place].tolist())[column.name]
                row = logged.slice(place, 1)
                yield Example(row["id"][0].as_py(), row["at"][0].as_py(), column.name, value, was)


# ── what may become a leak ──────────────────────────────────────────────────────────────────────────────


def _risks(assembly: Assembly, world: World) -> Iterator[Risk]:
    for name, given in assembly.given.items():
        if name in world.sources:
            late = int(np.count_nonzero(world.sources[name].known_us > world.sources[name].since_us))
            if late:
                what = f"view {name!r} shows rows before they were published"
                yield Risk(what, late, "give the view a created_time, or its window the time of publishing")
        elif isinstance(given, TableInput):
            published = assembly.published(given.name)
            what = f"nobody says when rows of table {name!r} were known: it has no column {published!r}"
            yield Risk(what, given.resolve().num_rows, "name the column with TableSource(published=…)")
