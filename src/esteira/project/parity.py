"""Do serving and training agree? Recompute logged vectors from the tables and compare them to the bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.features.point_in_time import point_in_time_join
from esteira.monitoring.prediction_log import vectors_of
from esteira.project.release import load_model
from esteira.project.running import bind

if TYPE_CHECKING:
    from esteira.base.records import ModelVersion
    from esteira.project.station import Station

_AT = "asked"


@dataclass(frozen=True, slots=True)
class Parity:
    """How many logged feature values were recomputed, and how many were not the same bits."""

    predictions: int
    cells: int
    differing: int
    columns: tuple[str, ...]  # those with a difference


def compare_logged(
    station: Station, keys: pa.Table, *, id_column: str, sample: int = 2_000, seed: int = 7
) -> Parity:
    """Recompute the view features of a sample of logged predictions, as they were known then.

    `keys` maps `id_column` (the prediction id) to the key columns of the views.
    """
    logged = station.tables.read("predictions", columns=["id", "at", "version", "vector"])
    if logged.num_rows > sample:
        chosen = np.random.default_rng(seed).choice(logged.num_rows, sample, replace=False)
        logged = logged.take(pa.array(np.sort(chosen)))
    place = pc.index_in(logged["id"], value_set=keys[id_column].combine_chunks())
    found = logged.filter(pc.is_valid(place))
    for name in keys.column_names:
        if name != id_column:
            found = found.append_column(name, keys[name].take(place.drop_null()))
    views = [bind(view, station.tables.read(view.source)) for view in station.project.views]
    spine = found.append_column(_AT, found["at"]).drop_columns(["vector", "at"])
    joined = point_in_time_join(spine, views, at=_AT)
    cells = differing = 0
    columns: set[str] = set()
    for number in pc.unique(found["version"]).to_pylist():
        mine = pc.equal(found["version"], number)
        version = station.version(number)
        compared = _compare(station, version, found.filter(mine), joined.filter(mine))
        cells, differing = cells + compared[0], differing + compared[1]
        columns |= compared[2]
    return Parity(found.num_rows, cells, differing, tuple(sorted(columns)))


def _compare(
    station: Station, version: ModelVersion, logged: pa.Table, joined: pa.Table
) -> tuple[int, int, set[str]]:
    signature = load_model(station, version).signature
    matrix = vectors_of(logged, len(signature.columns))
    differing, cells, columns = 0, 0, set()
    for at, column in enumerate(signature.columns):
        if not column.view:
            continue
        offline = joined[column.name].cast(pa.float64()).to_numpy()
        online = matrix[:, at]
        unequal = int(np.count_nonzero(~((offline == online) | (np.isnan(offline) & np.isnan(online)))))
        cells, differing = cells + len(online), differing + unequal
        if unequal:
            columns.add(column.name)
    return cells, differing, columns
