"""Do serving and training agree? Recompute logged vectors from the tables and compare them to the bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.features.point_in_time import point_in_time_join
from esteira.features.proofs.verify import sampled
from esteira.monitoring.prediction_log import PREDICTIONS, vectors_of
from esteira.project.release import load_model
from esteira.project.running import bind
from esteira.registry.columns import numbers_in
from esteira.registry.signature import derive

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from esteira.features.views import BoundView
    from esteira.project.station import Station
    from esteira.registry.columns import Column
    from esteira.registry.signature import Signature

_AT, _ID = "__asked", "__id"  # beside whatever a question calls its columns
_SHOWN = 5
_INT64 = 2.0**63  # beyond all of them

TOO_LATE = "the store had no row yet that the tables know: materialize before the row is asked for"
OTHERWISE = (
    "the store held another row than the tables: it was stale (run esteira features materialize more often), "
    "rows came late without a created time, or the definition changed since"
)


@dataclass(frozen=True, slots=True)
class LoggedDifference:
    """One logged value that the tables do not give; missing is None."""

    prediction: str
    asked_at: datetime
    column: str
    logged: float | None
    offline: float | None
    cause: str


@dataclass(frozen=True, slots=True)
class Parity:
    """How many logged feature values were recomputed, and how many were not the same bits."""

    predictions: int
    cells: int
    differing: int
    columns: tuple[str, ...]  # those with a difference
    examples: tuple[LoggedDifference, ...] = ()  # the earliest few
    unchecked: tuple[str, ...] = ()  # columns for which the log and the rehearsal lack a key or an input

    @property
    def passed(self) -> bool:
        return not self.differing


def compare_logged(
    station: Station,
    keys: pa.Table | None = None,
    *,
    id_column: str = "",
    sample: int = 2_000,
    seed: int = 7,
) -> Parity:
    """Recompute the view features of a sample of logged predictions, as they were known then.

    What transforms computed is computed again too. `keys` maps `id_column` (the prediction id) to the key
    columns of the views; without it the rehearsal's questions do, and where there is no rehearsal the logged
    requests themselves, as far as the model's inputs hold the keys.
    A sample holds the predictions whose ids have the smallest seeded hash.
    Raises: NotFound (nothing was ever logged).
    """
    logged = station.tables.read(PREDICTIONS, columns=["id", "at", "version", "vector"])
    logged = logged.take(sampled(logged["id"].to_pylist(), sample, seed))
    rehearsal = station.project.rehearsal
    if keys is None and rehearsal is not None:
        keys, id_column = rehearsal.questions(), rehearsal.id
    if keys is None:
        asked = pa.table({_ID: logged["id"]})
    else:
        place = pc.index_in(logged["id"], value_set=keys[id_column].combine_chunks())
        logged, asked = logged.filter(pc.is_valid(place)), keys.take(place.drop_null())
    views = [bind(view, station.tables.read(view.source)) for view in station.project.views]
    parts = []
    for number in pc.unique(logged["version"]).to_pylist():
        mine = np.flatnonzero(pc.equal(logged["version"], number))
        signature = load_model(station, station.version(number)).signature
        parts.append(_Part(logged.take(pa.array(mine)), asked.take(pa.array(mine)), signature))
    compared = [column for part in parts for column in part.columns(views)]
    unchecked = {name for part in parts for name in part.served} - {column.name for column in compared}
    examples = sorted((each for column in compared for each in column.examples()), key=lambda e: e.asked_at)
    return Parity(
        logged.num_rows,
        sum(len(column.logged) for column in compared),
        sum(int(column.differs.sum()) for column in compared),
        tuple(sorted({column.name for column in compared if column.differs.any()})),
        tuple(examples[:_SHOWN]),
        tuple(sorted(unchecked)),
    )


@dataclass(frozen=True, slots=True)
class _Column:
    """One column of some predictions; shapes (predictions,)."""

    name: str
    logged: NDArray[np.float64]
    offline: NDArray[np.float64]
    rows: pa.Table

    @property
    def differs(self) -> NDArray[np.bool_]:
        same = (self.logged == self.offline) | (np.isnan(self.logged) & np.isnan(self.offline))
        return np.asarray(~same)

    def examples(self) -> Iterator[LoggedDifference]:
        for place in np.flatnonzero(self.differs)[:_SHOWN].tolist():
            row = self.rows.slice(place, 1)
            logged, offline = _plain(self.logged[place]), _plain(self.offline[place])
            cause = TOO_LATE if logged is None else OTHERWISE
            yield LoggedDifference(
                row["id"][0].as_py(), row["at"][0].as_py(), self.name, logged, offline, cause
            )


def _plain(number: float) -> float | None:
    return None if np.isnan(number) else float(number)


@dataclass(frozen=True, slots=True)
class _Part:
    """The logged predictions of one version, and what else is known of their questions."""

    logged: pa.Table
    asked: pa.Table
    signature: Signature

    @property
    def served(self) -> tuple[str, ...]:
        """The columns that the request did not carry."""
        return tuple(column.name for column in self.signature.columns if not column.is_requested)

    def columns(self, views: Sequence[BoundView]) -> Iterator[_Column]:
        """Every served column that can be computed again, for the predictions for which it can."""
        matrix = vectors_of(self.logged, len(self.signature.columns))
        spine, lost = self._questions(matrix)
        spine = spine.append_column(_AT, self.logged["at"])
        known = [bound for bound in views if {*bound.view.keys} <= {*spine.column_names}]
        joined = point_in_time_join(spine, known, at=_AT)
        for bound in known:
            lost |= dict.fromkeys(bound.view.columns, self._any_lost(lost, bound.view.keys))
        computed: dict[str, NDArray[np.float64]] = {}
        for each in self.signature.derived:
            inputs = {name for name, _ in each.expression.inputs}
            if inputs <= {*joined.column_names}:
                computed |= derive(joined, each)
                lost |= dict.fromkeys(each.columns, self._any_lost(lost, inputs))
        for place, column in enumerate(self.signature.columns):
            if column.view and column.name in joined.column_names:
                computed[column.name] = numbers_in(joined, column)
            if column.name in computed and (sure := ~self._any_lost(lost, [column.name])).any():
                rows = self.logged.filter(pa.array(sure))
                yield _Column(column.name, matrix[sure, place], computed[column.name][sure], rows)

    def _questions(self, matrix: NDArray[np.float64]) -> tuple[pa.Table, dict[str, NDArray[np.bool_]]]:
        """What is known of the questions and what their requests carried, and where the log has lost that.

        A category that a version did not know is missing in its log, though views and transforms got it.
        """
        found, lost = self.asked, {}
        for place, column in enumerate(self.signature.columns):
            if column.is_requested and column.name not in found.column_names:
                found = found.append_column(column.name, _decoded(column, matrix[:, place]))
                if column.kind == "category":
                    lost[column.name] = np.isnan(matrix[:, place])
        return found, lost

    def _any_lost(self, lost: Mapping[str, NDArray[np.bool_]], names: Collection[str]) -> NDArray[np.bool_]:
        """The predictions of which the log has lost one of these columns."""
        none = np.zeros(self.logged.num_rows, np.bool_)
        found: NDArray[np.bool_] = np.any([none, *(lost[name] for name in names if name in lost)], axis=0)
        return found


def _decoded(column: Column, numbers: NDArray[np.float64]) -> pa.Array:
    """A request column out of logged vectors: texts, whole numbers where all are, else numbers."""
    missing = np.isnan(numbers)
    if column.kind == "category":
        codes = pa.array(np.where(missing, 0, numbers).astype(np.int64), mask=missing)
        return pa.array(column.categories, pa.string()).take(codes)
    fits = (numbers == np.floor(numbers)) & (np.abs(numbers) < _INT64)
    is_whole = bool((missing | fits).all())
    values = pa.array(np.where(missing, 0, numbers), mask=missing)
    return values.cast(pa.int64(), safe=False) if is_whole else values
