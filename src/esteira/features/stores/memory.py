"""The online store that lives in this process: for tests, and for learning what a store does."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from esteira.base.errors import StorageUnwritable
from esteira.features.latest import LatestRows, latest_rows
from esteira.features.stores.port import Layout, StoredRow, ViewChanged
from esteira.features.views import BoundView

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from esteira.features.views import FeatureView


class MemoryStore:
    """A dictionary of rows for each view.

    >>> MemoryStore().layout("weather") is None
    True
    """

    def __init__(self, url: str = "memory:", *, readonly: bool = False) -> None:
        self._url, self._readonly = url, readonly
        self._layouts: dict[str, Layout] = {}
        self._rows: dict[tuple[str, tuple[str, ...]], tuple[tuple[int, int, int], StoredRow]] = {}
        self._lock = threading.Lock()

    def write(self, view: FeatureView, rows: pa.Table) -> int:
        """See `OnlineStore.write`."""
        return self.write_many([(view, rows)])

    def write_many(self, batches: Sequence[tuple[FeatureView, pa.Table]]) -> int:
        """See `OnlineStore.write_many`."""
        if self._readonly:
            raise StorageUnwritable(self._url, "the store was opened to be read only")
        found = [(view, latest_rows(BoundView(view, rows))) for view, rows in batches]
        with self._lock:
            for view, _ in found:
                layout = Layout(view.keys, view.features)
                if self._layouts.get(view.qualified, layout) != layout:
                    raise ViewChanged(view.qualified, self._layouts[view.qualified], layout)
            return sum(self._keep(view, latest) for view, latest in found)

    def _keep(self, view: FeatureView, latest: LatestRows) -> int:
        self._layouts[view.qualified] = Layout(view.keys, view.features)
        versions = zip(latest.event.tolist(), latest.created.tolist(), latest.sequence.tolist(), strict=True)
        cells = zip(latest.values.tolist(), latest.present.tolist(), strict=True)
        kept = 0
        for key, version, (values, present) in zip(latest.keys, versions, cells, strict=True):
            found = self._rows.get((view.qualified, key))
            if found is None or found[0] < version:
                row = tuple(value if there else None for value, there in zip(values, present, strict=True))
                self._rows[view.qualified, key] = version, StoredRow(version[0], version[1], row)
                kept += 1
        return kept

    def read(self, view_name: str, key: tuple[str, ...]) -> StoredRow | None:
        """See `OnlineStore.read`."""
        return self.read_many([(view_name, key)])[0]

    def read_many(self, lookups: Sequence[tuple[str, tuple[str, ...]]]) -> list[StoredRow | None]:
        """See `OnlineStore.read_many`."""
        with self._lock:
            found = [self._rows.get(lookup) for lookup in lookups]
        return [None if row is None else row[1] for row in found]

    def layout(self, view_name: str) -> Layout | None:
        """See `OnlineStore.layout`."""
        return self._layouts.get(view_name)

    def close(self) -> None:
        """Nothing is held."""
