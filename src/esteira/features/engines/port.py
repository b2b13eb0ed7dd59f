"""What the point-in-time join asks of an engine: the one step that is heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


class JoinEngine(Protocol):
    """Finds, for each question, the last row of its key that was available by then."""

    @property
    def threads(self) -> int:
        """How many threads may ask at once and gain by it; 1 for an engine that has threads of its own."""
        ...

    def last_available(self, spine: pa.Table, rows: pa.Table) -> pa.Array:
        """The position in `rows` of each answer, in the order of `spine`; null where there is none.

        `spine` has int64 columns `key` and `at`, `rows` has `key` and `available`. Of all rows with an equal
        key and `available <= at`, the answer is the one that stands last in `rows`. Keys count from 0 and
        stay below 2**31. An engine may gain when questions near in key and time stand near each other.
        """
        ...
