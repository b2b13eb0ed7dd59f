"""A few rows with the scores that a version gave them when it was judged: what it must say ever after."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from esteira.base.records import Artifact
from esteira.serving.combining.files import without_deadlines
from esteira.serving.live.probes import ABSOLUTE, RELATIVE
from esteira.serving.runtimes import open_runtime

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from esteira.base.records import ModelVersion
    from esteira.project.station import Station
    from esteira.registry.bundle import Model
    from esteira.serving.runtimes.port import Runtime

KNOWN_ANSWERS = "esteira.known_answers"  # the tag of a version that names the artifact
_ROWS = 20


def known_answers(model: Model, rows: pa.Table) -> dict[str, Any]:
    """The first rows as the model sees them, spread over the table, and what it says of them: JSON values."""
    places = np.unique(np.linspace(0, max(rows.num_rows - 1, 0), _ROWS).astype(np.int64))
    matrix = model.signature.encode_table(rows.take(places) if rows.num_rows else rows)
    scores = open_runtime(without_deadlines(model)).predict(matrix)
    given = [[None if math.isnan(cell) else cell for cell in row] for row in matrix.tolist()]
    return {"rows": given, "scores": scores.tolist()}


def wrong_answers(station: Station, version: ModelVersion, runtime: Runtime) -> str:
    """How a version's answers differ from the known ones, in words; empty if they do not, or none is known.

    Equal means to the bit where the runtime is exact. Raises: CorruptArtifact.
    """
    digest = version.tags.get(KNOWN_ANSWERS)
    if digest is None:
        return ""
    known: Any = station.artifacts.get(Artifact(digest, "json", 0))
    rows = np.array(
        [[math.nan if cell is None else cell for cell in row] for row in known["rows"]], dtype=np.float64
    )
    expected = np.array(known["scores"], dtype=np.float64)
    if not len(expected):
        return ""
    return differing(expected, runtime.predict(rows), is_exact=runtime.is_exact)


def differing(expected: NDArray[np.float64], found: NDArray[np.float64], *, is_exact: bool) -> str:
    """How scores differ from expected ones, in words; empty when they do not. Shapes: both (n,).

    >>> differing(np.array([0.25, 0.5]), np.array([0.25, 0.75]), is_exact=True)
    '1 of 2 scores, by at most 0.25'
    """
    same = (expected == found) | (np.isnan(expected) & np.isnan(found))
    if not is_exact:
        same |= np.isclose(expected, found, RELATIVE, ABSOLUTE)
    if same.all():
        return ""
    apart = np.nan_to_num(np.abs(expected - found)[~same], nan=np.inf)  # a score that is no number is far off
    return f"{len(apart)} of {len(same)} scores, by at most {apart.max():.3g}"
