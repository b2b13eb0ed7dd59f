"""Performance: how good the answers of a window were, once their labels have come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.clock import to_micros
from esteira.base.errors import BadInput
from esteira.monitoring.metrics import Estimate, OneClass, metric_named

if TYPE_CHECKING:
    from datetime import datetime

Verdict = Literal["ok", "worse", "not enough data"]


@dataclass(frozen=True, slots=True)
class WindowPerformance:
    """A metric on the labelled predictions of a window, beside what was expected of it."""

    start: datetime
    end: datetime  # exclusive
    metric: str
    value: float | None  # None, as low and high, when there is not enough data
    low: float | None
    high: float | None
    rows: int
    labelled: int
    maturity: float  # labelled share of the rows, 0 to 1
    baseline: float
    limit: float  # the baseline less the tolerance, on the side that is worse
    excess: (
        float  # how far the whole interval lies beyond the limit: positive is worse; 0 without enough data
    )
    verdict: Verdict

    @property
    def higher_is_better(self) -> bool:
        """Which way the metric is better."""
        return metric_named(self.metric).higher_is_better


def measure(  # noqa: PLR0913 - a question with its expectation, all by name
    joined: pa.Table,
    *,
    metric: str,
    start: datetime,
    end: datetime,
    baseline: float,
    tolerance: float = 0.0,
    minimum: int = 100,
    maturity: float = 0.0,
) -> WindowPerformance:
    """Measure the predictions of [start, end) in event time; `joined` is what `join_labels` gives.

    The verdict is "worse" only when the whole interval is worse than the baseline by more than the
    tolerance; "not enough data" with fewer than `minimum` labels, with labels of one class, or with a
    smaller share of labels than `maturity`. Labels that come fast are not like those that come late: end
    the window long enough ago that most have come, and compare windows of equal maturity.

    Raises: BadInput (an empty window, labels or scores out of range), UnknownName (metric), NaiveTime.
    """
    first, last = to_micros(start, "start"), to_micros(end, "end")
    if first >= last:
        raise BadInput(f"a window must end after it starts, found {start} to {end}")
    at = joined["at"].cast(pa.int64())
    window = joined.filter(pc.and_(pc.greater_equal(at, first), pc.less(at, last)))
    labels = window["label"].to_numpy().astype(np.float64)
    known = ~np.isnan(labels)
    share = float(known.mean()) if len(known) else 0.0
    found = None
    if known.sum() >= minimum and share >= maturity:
        found = _estimate(metric, labels[known], window["score"].to_numpy()[known])
    higher = metric_named(metric).higher_is_better
    limit = baseline - tolerance if higher else baseline + tolerance
    excess = 0.0 if found is None else limit - found.high if higher else found.low - limit
    value, low, high = (None, None, None) if found is None else (found.value, found.low, found.high)
    verdict: Verdict = "not enough data" if found is None else "worse" if excess > 0 else "ok"
    counts = window.num_rows, int(known.sum()), share
    return WindowPerformance(start, end, metric, value, low, high, *counts, baseline, limit, excess, verdict)


def _estimate(metric: str, labels: np.ndarray, scores: np.ndarray) -> Estimate | None:
    try:
        return metric_named(metric).estimate(labels, scores)
    except OneClass:
        return None
