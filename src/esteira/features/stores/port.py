"""What serving asks of an online store: the latest row of a key, for many views at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from esteira.features.views import FeatureView


class StoredRow(NamedTuple):
    """The latest row of one key; `values` follow the features of the view's layout, null is None."""

    event_us: int
    created_us: int  # the event time in a view without created time
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """The keys and features of a view, in the order in which its rows are stored."""

    keys: tuple[str, ...]
    features: tuple[str, ...]


class ViewChanged(BadInput):
    """A view whose stored rows have other keys or features than it has now."""

    def __init__(self, view: str, stored: Layout, found: Layout) -> None:
        was, now = (f"({', '.join(each.keys)}) → ({', '.join(each.features)})" for each in (stored, found))
        super().__init__(f"view {view!r} is stored as {was}, found {now}; raise the view's version")
        self.view, self.stored, self.found = view, stored, found


class OnlineStore(Protocol):
    """The latest row of every key of every view, by (event time, created time, sequence).

    Views go by their qualified name. Many processes may read while one writes; they see a write at once,
    and whole or not at all.
    """

    def write(self, view: FeatureView, rows: pa.Table) -> int:
        """Keep the rows that are newer than the stored ones of their keys; returns how many were kept.

        Rows about nobody (a null in the key) or known since never (a null created time) are passed over.
        Equal times are decided by the column `_seq`, or by the place in `rows` when there is none.
        Raises: ViewChanged, UnknownName, NaiveTime, NotATime, NullTime, WrongKey, WrongFeature,
        StorageUnwritable.
        """
        ...

    def write_many(self, batches: Sequence[tuple[FeatureView, pa.Table]]) -> int:
        """`write` for several views at once: all of it is there after a crash, or none of it."""
        ...

    def read(self, view_name: str, key: tuple[str, ...]) -> StoredRow | None:
        """The latest row of one key; None when there is none."""
        ...

    def read_many(self, lookups: Sequence[tuple[str, tuple[str, ...]]]) -> list[StoredRow | None]:
        """The latest rows of several (view, key) in one round trip, as of one moment."""
        ...

    def layout(self, view_name: str) -> Layout | None:
        """How the rows of a view are stored; None before its first write. It never changes after."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
