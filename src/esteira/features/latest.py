"""The latest row of every key in a batch, as an online store keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

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

Kind = Literal["number", "text", "unknown"]  # unknown: only nulls so far, of no type


class WrongFeature(BadInput):
    """A feature that cannot be kept online as it is: neither text nor a number that float64 holds."""

    def __init__(self, feature: str, view: str, found: str) -> None:
        super().__init__(
            f"feature {feature!r} of view {view!r} must be text, or numbers that float64 holds exactly, "
            f"found {found}; encode or cast it before"
        )
        self.feature, self.view, self.found = feature, view, found


@dataclass(frozen=True, slots=True)
class LatestRows:
    """One row for each key; arrays of shape (keys,) but for those of cells.

    Features of text stand apart from the others, each group in the order of the view.
    """

    keys: list[tuple[str, ...]]
    event: NDArray[np.int64]
    created: NDArray[np.int64]
    sequence: NDArray[np.int64]
    kinds: tuple[Kind, ...]  # of each feature
    present: NDArray[np.bool_]  # shape (keys, features)
    numbers: NDArray[np.float64]  # shape (keys, features that are no text); 0 where null
    texts: list[list[str | None]]  # a list over the keys for each feature of text


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
    columns = [_cells(winning, feature, view.name) for feature in view.features]
    numbers = [pc.fill_null(column, 0.0).to_numpy() for kind, column in columns if kind != "text"]
    return LatestRows(
        keys,
        moments.event[winners],
        moments.created[winners],
        moments.sequence[winners],
        tuple(kind for kind, _ in columns),
        np.stack([np.asarray(column.is_valid()) for _, column in columns], axis=1),
        np.stack(numbers, axis=1) if numbers else np.empty((len(winners), 0)),
        [column.to_pylist() for kind, column in columns if kind == "text"],
    )


def kinds_of(bound: BoundView) -> tuple[Kind, ...]:
    """The kind of each feature, once every row of it can be stored. Raises: UnknownName, WrongFeature."""
    view = bound.view
    return tuple(_cells(bound.rows, feature, view.name)[0] for feature in view.features)


def _cells(rows: pa.Table, feature: str, view: str) -> tuple[Kind, pa.ChunkedArray]:
    values, kinds = column_of(rows, feature, f"view {view!r}"), pa.types
    if kinds.is_dictionary(values.type):
        values = pc.cast(values, values.type.value_type)
    found = values.type
    if kinds.is_string(found) or kinds.is_large_string(found) or kinds.is_string_view(found):
        return "text", values
    is_number = kinds.is_integer(found) or kinds.is_floating(found) or kinds.is_boolean(found)
    if not (is_number or kinds.is_null(found)):
        raise WrongFeature(feature, view, str(found))
    try:
        return ("number" if is_number else "unknown"), pc.cast(values, pa.float64())
    except pa.ArrowInvalid as lossy:
        raise WrongFeature(feature, view, f"{found} beyond 2**53") from lossy
