"""The latest row of every key in a batch, as an online store keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.errors import BadInput
from esteira.features.keys import KeyIndex, key_texts
from esteira.features.moments import read_moments
from esteira.features.times import column_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from esteira.features.views import BoundView


class WrongFeature(BadInput):
    """A feature that cannot be kept online as a float64 without changing it."""

    def __init__(self, feature: str, view: str, found: str) -> None:
        super().__init__(
            f"feature {feature!r} of view {view!r} must be numbers that float64 holds exactly, "
            f"found {found}; encode or cast it before"
        )
        self.feature, self.view, self.found = feature, view, found


@dataclass(frozen=True, slots=True)
class LatestRows:
    """One row for each key: arrays of shape (keys,), values and `present` of shape (keys, features)."""

    keys: list[tuple[str, ...]]
    event: NDArray[np.int64]
    created: NDArray[np.int64]
    sequence: NDArray[np.int64]
    values: NDArray[np.float64]  # 0 where a value is null
    present: NDArray[np.bool_]


def latest_rows(bound: BoundView) -> LatestRows:
    """The greatest (event time, created time, sequence) of each key; null keys and created times left out.

    Raises: UnknownName, NaiveTime, NotATime, NullTime, WrongKey, WrongFeature.
    """
    view, rows = bound.view, bound.rows
    what = f"view {view.name!r}"
    moments = read_moments(bound)
    codes = KeyIndex(view.keys, what).codes(rows)
    order = moments.order[(codes[moments.order] >= 0) & moments.known[moments.order]]
    winners = np.full(int(codes.max(initial=-1)) + 1, -1, np.int64)
    winners[codes[order]] = order  # in order, so the newest truth is written last
    winners = winners[winners >= 0]
    wanted = {name: column_of(rows, name, what).take(winners) for name in (*view.keys, *view.features)}
    winning = pa.table(wanted)
    texts = [column.to_pylist() for column in key_texts(winning, view.keys, what)]
    keys: list[tuple[str, ...]] = list(zip(*texts, strict=True)) if texts else [()] * len(winners)
    columns = [_numbers(winning, feature, view.name) for feature in view.features]
    return LatestRows(
        keys,
        moments.event[winners],
        moments.created[winners],
        moments.sequence[winners],
        np.stack([pc.fill_null(column, 0.0).to_numpy() for column in columns], axis=1),
        np.stack([np.asarray(column.is_valid()) for column in columns], axis=1),
    )


def _numbers(rows: pa.Table, feature: str, view: str) -> pa.ChunkedArray:
    values = column_of(rows, feature, f"view {view!r}")
    kinds = pa.types
    is_number = kinds.is_integer(values.type) or kinds.is_floating(values.type)
    if not (is_number or kinds.is_boolean(values.type) or kinds.is_null(values.type)):
        raise WrongFeature(feature, view, str(values.type))
    try:
        return pc.cast(values, pa.float64())
    except pa.ArrowInvalid as lossy:
        raise WrongFeature(feature, view, f"{values.type} beyond 2**53") from lossy
