"""The times of a view's rows: when each became available, and which of two rows is the newer truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from esteira.features.ordering import order_by
from esteira.features.times import micros, nullable_micros, sequence_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from esteira.features.views import BoundView


NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Moments:
    """Arrays of shape (rows,), in microseconds; in their order the newer truth comes later."""

    event: NDArray[np.int64]
    created: NDArray[np.int64]  # the event time in a view without created time
    available: NDArray[np.int64]
    known: NDArray[np.bool_]  # false where the created time is null
    sequence: NDArray[np.int64]
    moved: NDArray[np.int64] | None  # that order; None when the rows stand in it as they are

    @property
    def order(self) -> NDArray[np.int64]:
        """The positions of the rows in that order."""
        return np.arange(len(self.event)) if self.moved is None else self.moved


def read_moments(bound: BoundView, *, as_known: bool = True) -> Moments:
    """The times of the rows of a view. Raises: UnknownName, NaiveTime, NotATime, NullTime, BadInput."""
    view, rows = bound.view, bound.rows
    what = f"view {view.name!r}"
    event = micros(rows, view.event_time, what)
    created, known = event, np.ones(rows.num_rows, np.bool_)
    if view.created_time is not None:
        nullable = nullable_micros(rows, view.created_time, what)
        known = np.asarray(nullable.is_valid())
        created = pc.fill_null(nullable, NEVER).to_numpy()
    sequence = sequence_of(rows, what)
    available = np.maximum(event, created) if as_known else event
    return Moments(event, created, available, known, sequence, order_by(event, created, sequence))
