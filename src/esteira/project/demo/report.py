"""What the demo measured, read back from the stores when the replay is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from esteira.monitoring.labels import join_labels
from esteira.project.parity import compare_logged
from esteira.project.release import CHAMPION
from esteira.project.rescoring import Rescorer
from esteira.training.evaluation import evaluate

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from esteira.project.definition import Rehearsal
    from esteira.project.parity import Parity
    from esteira.project.station import Station
    from esteira.training.evaluation import Measured


@dataclass(frozen=True, slots=True)
class Compared:
    """The ring against the first model left alone, on the same labelled predictions."""

    rows: int
    ring: tuple[Measured, ...]
    frozen: tuple[Measured, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """The measurements of one demo."""

    predictions: int
    labelled: int
    versions: int
    promoted: int  # versions that became champion after the first
    latency_p50: float  # seconds in the gateway
    latency_p99: float
    everything: Compared
    since_promotion: Compared | None  # from the day a retrained model took over
    parity: Parity


def report(station: Station, rehearsal: Rehearsal) -> Report:
    """Read the demo's stores back and compare the ring with not retraining at all."""
    name = station.project.name
    rows = join_labels(station.tables.read("predictions"), station.tables.read("labels"))
    promotions = [p for p in station.promotions.history(name) if p.alias == CHAMPION]
    labelled = rows.filter(pc.is_valid(rows["label"]))
    frozen = Rescorer(station).scores(labelled, promotions[0].version)
    later = None
    if len(promotions) > 1:
        since = pc.greater_equal(labelled["at"], promotions[1].at).to_numpy()
        later = _compared(labelled.filter(since), frozen[since]) if since.any() else None
    latency = rows["latency"].to_numpy()
    asked = rehearsal.questions()
    keys = dict.fromkeys(key for view in station.project.views for key in view.keys)
    return Report(
        predictions=rows.num_rows,
        labelled=labelled.num_rows,
        versions=len(station.registry.versions(name)),
        promoted=len(promotions) - 1,
        latency_p50=float(np.quantile(latency, 0.5)),
        latency_p99=float(np.quantile(latency, 0.99)),
        everything=_compared(labelled, frozen),
        since_promotion=later,
        parity=compare_logged(station, asked.select([rehearsal.id, *keys]), id_column=rehearsal.id),
    )


def _compared(rows: pa.Table, frozen: NDArray[np.float64]) -> Compared:
    labels = rows["label"].to_numpy()
    return Compared(rows.num_rows, evaluate(labels, rows["score"].to_numpy()), evaluate(labels, frozen))
