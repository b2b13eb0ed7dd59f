"""The truth meets the prediction: late, repeated and corrected labels joined by prediction id."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.clock import to_micros
from esteira.monitoring.prediction_log import LABELS_SCHEMA

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

# A label of a greater revision holds; then the one we learnt last. The other keys only make ties repeatable.
_PRECEDENCE = ("revision", "ingested_at", "observed_at", "value")


def join_labels(
    predictions: pa.Table, labels: pa.Table | None, *, known_at: datetime | None = None
) -> pa.Table:
    """Predictions with their columns `label` (float64) and `label_at` (when it became true), null if none.

    One row per prediction id, in the order of `predictions`; of a repeated id the first row. A label without
    prediction is left out, and so is one ingested after `known_at`, if given. A null value withdraws a label.
    `labels` is None while the table does not exist.

    Raises: NaiveTime.
    >>> predictions = pa.table({"id": ["a", "b"]})
    >>> labels = pa.table({"prediction_id": ["b", "b"], "value": [0.0, 1.0], "revision": [0, 1],
    ...                    "observed_at": [5, 5], "ingested_at": [6, 9]})
    >>> join_labels(predictions, labels)["label"].to_pylist()
    [None, 1.0]
    """
    if labels is None:
        labels = LABELS_SCHEMA.empty_table()
    if known_at is not None:
        moment = pa.scalar(to_micros(known_at, "known_at"), pa.timestamp("us", tz="UTC"))
        labels = labels.filter(pc.less_equal(labels["ingested_at"], moment))
    predictions = _first_of_each(predictions, predictions["id"])
    labels = labels.sort_by([(name, "descending") for name in _PRECEDENCE])
    labels = _first_of_each(labels, labels["prediction_id"])
    place = pc.index_in(predictions["id"], value_set=labels["prediction_id"].combine_chunks())
    joined = predictions.append_column("label", labels["value"].take(place))
    return joined.append_column("label_at", labels["observed_at"].take(place))


def _first_of_each(table: pa.Table, keys: pa.ChunkedArray) -> pa.Table:
    codes: NDArray[np.int32] = keys.combine_chunks().dictionary_encode().indices.to_numpy()
    first = np.unique(codes, return_index=True)[1]
    return table if len(first) == table.num_rows else table.take(np.sort(first))
