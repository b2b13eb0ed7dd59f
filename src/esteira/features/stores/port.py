"""What serving asks of an online store: the latest row of a key, for many views at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from esteira.base.errors import BadInput
from esteira.features.latest import Kind  # noqa: TC001 - a field type, read at run time

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from esteira.features.views import FeatureView


class StoredRow(NamedTuple):
    """The latest row of one key; `values` follow the features of the view's layout, null is None."""

    event_us: int
    created_us: int  # the event time in a view without created time
    values: tuple[float | str | None, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """What a store knows of a view: its keys, its features in stored order with their kinds, its TTL.

    Without `kinds` all features are numbers.
    >>> Layout(("origin",), ("temp", "visib")).kinds
    ('number', 'number')
    """

    keys: tuple[str, ...]
    features: tuple[str, ...]
    kinds: tuple[Kind, ...] = ()
    ttl_us: int | None = None  # of the last write; None for ever

    def __post_init__(self) -> None:
        if not self.kinds:
            object.__setattr__(self, "kinds", ("number",) * len(self.features))

    def takes_over(self, found: Layout, view: str) -> Layout:
        """The layout once `found` is written too: its TTL, and kinds that were unknown. Raises: ViewChanged.

        >>> Layout(("k",), ("f",), ("unknown",)).takes_over(Layout(("k",), ("f",), ("text",), 5), "v")
        Layout(keys=('k',), features=('f',), kinds=('text',), ttl_us=5)
        """
        kinds = tuple(
            new if old == "unknown" else old for old, new in zip(self.kinds, found.kinds, strict=False)
        )
        fits = all(new in (kind, "unknown") for kind, new in zip(kinds, found.kinds, strict=False))
        if (self.keys, self.features) != (found.keys, found.features) or not fits:
            raise ViewChanged(view, self, found)
        return replace(self, kinds=kinds, ttl_us=found.ttl_us)

    def __str__(self) -> str:
        kinds = {"number": "", "text": ": text", "unknown": ": unknown"}
        features = (f"{name}{kinds[kind]}" for name, kind in zip(self.features, self.kinds, strict=True))
        return f"({', '.join(self.keys)}) → ({', '.join(features)})"


class ViewChanged(BadInput):
    """A view whose stored rows have other keys, features or kinds of features than it has now."""

    def __init__(self, view: str, stored: Layout, found: Layout) -> None:
        super().__init__(f"view {view!r} is stored as {stored}, found {found}; raise the view's version")
        self.view, self.stored, self.found = view, stored, found


class OnlineStore(Protocol):
    """The latest row of every key of every view, by (event time, created time, sequence).

    Views go by their qualified name. Many processes may read and write; a reader sees a write at once, and
    whole or not at all. Every method may raise ServiceUnreachable when the store is a server.
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
        """How the rows of a view are stored; None before its first write.

        Its keys and features never change after; an unknown kind becomes known, the TTL follows the view.
        """
        ...

    def views(self) -> dict[str, Layout]:
        """The layouts of all views that were ever written, by name."""
        ...

    def sync(self) -> None:
        """Return when no power cut can undo what was written; a server keeps what its own settings keep."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
