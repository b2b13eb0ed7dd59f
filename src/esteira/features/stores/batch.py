"""What a write brings to a store that keeps bytes: the latest rows of a view, and the view's layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from esteira.features.latest import latest_rows
from esteira.features.stores.packing import pack_keys, pack_rows
from esteira.features.stores.port import Layout
from esteira.features.views import BoundView

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pyarrow as pa

    from esteira.features.views import FeatureView


@dataclass(frozen=True, slots=True)
class Batch:
    """One row for each key, both packed, in the order of the keys' bytes."""

    view: str
    layout: Layout
    rows: list[tuple[bytes, bytes]]


def pack_batch(view: FeatureView, rows: pa.Table, limit: int) -> Batch:
    """The rows to keep of a batch; keys take at most `limit` bytes.

    Raises: UnknownName, NaiveTime, NotATime, NullTime, WrongKey, WrongFeature.
    """
    latest = latest_rows(BoundView(view, rows))
    keys = pack_keys(((view.qualified, key) for key in latest.keys), limit)
    layout = Layout(view.keys, view.features, latest.kinds, view.ttl_us)
    return Batch(view.qualified, layout, sorted(zip(keys, pack_rows(latest), strict=True)))


def settle(stored: Mapping[str, Layout], batches: Iterable[Batch]) -> dict[str, Layout]:
    """The layouts that change when the batches are written, as they are then. Raises: ViewChanged.

    >>> settle({}, [Batch("v", Layout(("k",), ("f",)), [])])["v"].kinds
    ('number',)
    """
    after = dict(stored)
    for batch in batches:
        before = after.get(batch.view)
        after[batch.view] = batch.layout if before is None else before.takes_over(batch.layout, batch.view)
    return {view: layout for view, layout in after.items() if stored.get(view) != layout}
