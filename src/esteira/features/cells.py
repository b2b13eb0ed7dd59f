"""The cells of an answer: for each question the row of a view that answers it, and what is in that row."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from esteira.features.status import EXPIRED, MISSING, NULL, PRESENT

if TYPE_CHECKING:
    from numpy.typing import NDArray

STATUSES = (PRESENT, MISSING, EXPIRED, NULL)  # a status column holds places in it; -NOT_THERE, -TOO_OLD too


NOT_THERE, TOO_OLD = -1, -2  # instead of the position of a row


@dataclass(frozen=True)
class Cells:
    """For each question the position of its row in the view's table, or why there is none.

    Shape: (questions,).
    """

    rows: NDArray[np.int64]

    @cached_property
    def _holds(self) -> NDArray[np.bool_]:
        return self.rows >= 0

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        return np.where(self._holds, self.rows, 0)

    @cached_property
    def _taken(self) -> pa.Array:
        return pa.array(self.rows, mask=~self._holds)

    @cached_property
    def _bitmap(self) -> pa.Buffer:
        return _bits(self._holds)

    def take(self, values: pa.ChunkedArray) -> pa.Array:
        """A feature's value for each question; null where no row holds or the row has none."""
        if not len(values):
            return pa.nulls(len(self.rows), values.type)
        whole = values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()
        if whole.null_count or not _is_plain(whole.type):
            return whole.take(self._taken)
        width = whole.type.bit_width // 8
        found = np.frombuffer(whole.buffers()[1], f"i{width}")[whole.offset : whole.offset + len(whole)]
        buffers = [self._bitmap, pa.py_buffer(found[self._places])]
        return pa.Array.from_buffers(whole.type, len(self.rows), buffers)

    def status(self, taken: pa.Array) -> pa.Array:
        """Why each cell of a taken feature holds a value, or why not: a dictionary of `STATUSES`."""
        places = (-np.minimum(self.rows, 0)).astype(np.int8)
        if taken.null_count:
            places[self._holds & np.asarray(taken.is_null())] = STATUSES.index(NULL)
        return pa.DictionaryArray.from_arrays(pa.array(places, pa.int8()), pa.array(STATUSES))


def _is_plain(kind: pa.DataType) -> bool:
    """Whether values stand next to each other, each in whole bytes that numpy knows."""
    kinds = pa.types
    return bool(
        kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_timestamp(kind) or kinds.is_date(kind)
    )


def _bits(flags: NDArray[np.bool_]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))
