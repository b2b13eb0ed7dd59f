"""A version in a faster form, as a version of its own: what the gateway has answered is the judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.errors import BadInput
from esteira.monitoring.prediction_log import PREDICTIONS, vectors_of
from esteira.project.registering import Papers, register_alone
from esteira.project.release import deployable, load_model
from esteira.project.rescoring import Rescorer
from esteira.serving.conversions import convert

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from esteira.base.records import ModelVersion
    from esteira.project.station import Station
    from esteira.serving.conversions.parity import Limits, Parity

MOST_ROWS = 1000  # newest recorded rows that judge a conversion if nobody says otherwise


@dataclass(frozen=True, slots=True)
class ConvertedVersion:
    """What a conversion gave."""

    version: ModelVersion
    source: int  # the version that it was made from
    parity: Parity
    changed: dict[str, tuple[str, str]]  # what → how it was, how it is


def convert_version(
    station: Station, number: int, to: str, limits: Limits, *, rows: int = MOST_ROWS
) -> ConvertedVersion:
    """Convert a version, judged on the newest recorded rows, and register what comes of it. Deploys nothing.

    The same version, rows and form give the same version again.
    Raises: NotFound, BadInput (a version of other makers), CorruptArtifact, and as `convert`.
    """
    if rows < 1:
        raise BadInput(f"a conversion is judged on a number of rows, found {rows}")
    source = deployable(station, number)
    model = load_model(station, source)
    made = convert(model, to, recorded_rows(station, number, rows), limits)
    tags = {name: value for name, value in source.tags.items() if name.startswith("esteira.")}
    tags |= {"esteira.converted_from": str(number), "esteira.conversion": to}
    reason = f"version {number} converted to {to}, {made.parity.greatest:g} apart on {made.parity.rows} rows"
    papers = Papers(reason, tags, made.model.facts, source.metrics)
    version = register_alone(station, "convert", made.model, papers)
    changed = {
        "runtime": (model.runtime, made.model.runtime),
        "files": (_listed(model.files), _listed(made.model.files)),
    }
    return ConvertedVersion(version, number, made.parity, changed)


def recorded_rows(station: Station, number: int, most: int) -> NDArray[np.float64]:
    """The newest rows that any version was asked for, as version `number` asks for them.

    Rows that lack a column of it are passed over. Shape: (at most `most`, columns).
    Raises: NotFound, CorruptArtifact.
    """
    rescorer = Rescorer(station)
    signature = rescorer.model(number).signature
    parts = []
    for logged, rows in _newest(station, rescorer, number, most):
        own = rescorer.model(logged).signature
        parts.append(own.recode(vectors_of(rows, len(own.columns)), signature))
    return np.concatenate(parts) if parts else np.empty((0, len(signature.columns)))


def _newest(station: Station, rescorer: Rescorer, number: int, most: int) -> list[tuple[int, pa.Table]]:
    """The newest rows by the version that answered them."""
    if PREDICTIONS not in station.tables.names():
        return []
    mine = ("model", "==", station.project.name)
    times = station.tables.read(PREDICTIONS, columns=["at", "version"], where=[mine])
    versions = [each for each in pc.unique(times["version"]).to_pylist() if rescorer.can_score(each, number)]
    usable = times.filter(pc.is_in(times["version"], pa.array(versions, times["version"].type)))
    if not usable.num_rows:
        return []
    newest = pc.array_sort_indices(usable["at"], order="descending")[:most]
    since = usable["at"].take(newest)[-1].as_py()
    where = [mine, ("at", ">=", since), ("version", "in", versions)]
    rows = station.tables.read(PREDICTIONS, columns=["id", "at", "version", "vector"], where=where)
    rows = rows.sort_by([("at", "descending"), ("id", "ascending")]).slice(0, most)
    return [(each, rows.filter(pc.equal(rows["version"], each))) for each in sorted(versions)]


def _listed(files: Mapping[str, bytes]) -> str:
    return ", ".join(f"{name} {len(content):,} bytes" for name, content in sorted(files.items()))
