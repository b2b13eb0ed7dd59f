"""The online store that lives in this process: for tests, and for learning what a store does."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from esteira.base.errors import StorageUnwritable
from esteira.features.stores.batch import pack_batch, settle
from esteira.features.stores.packing import pack_keys, unpack_rows, version_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from esteira.features.stores.port import Layout, StoredRow
    from esteira.features.views import FeatureView


class MemoryStore:
    """A dictionary of rows.

    >>> MemoryStore().layout("weather") is None
    True
    """

    def __init__(self, url: str = "memory:", *, readonly: bool = False) -> None:
        self._url, self._readonly = url, readonly
        self._layouts: dict[str, Layout] = {}
        self._rows: dict[bytes, bytes] = {}
        self._lock = threading.Lock()

    def write(self, view: FeatureView, rows: pa.Table) -> int:
        """See `OnlineStore.write`."""
        return self.write_many([(view, rows)])

    def write_many(self, batches: Sequence[tuple[FeatureView, pa.Table]]) -> int:
        """See `OnlineStore.write_many`."""
        if self._readonly:
            raise StorageUnwritable(self._url, "the store was opened to be read only")
        packed = [pack_batch(view, rows, sys.maxsize) for view, rows in batches]
        with self._lock:
            self._layouts |= settle(self._layouts, packed)
            return sum(self._keep(key, row) for batch in packed for key, row in batch.rows)

    def _keep(self, key: bytes, row: bytes) -> bool:
        found = self._rows.get(key)
        is_newer = found is None or version_of(found) < version_of(row)
        if is_newer:
            self._rows[key] = row
        return is_newer

    def read(self, view_name: str, key: tuple[str, ...]) -> StoredRow | None:
        """See `OnlineStore.read`."""
        return self.read_many([(view_name, key)])[0]

    def read_many(self, lookups: Sequence[tuple[str, tuple[str, ...]]]) -> list[StoredRow | None]:
        """See `OnlineStore.read_many`."""
        keys = pack_keys(lookups, sys.maxsize)
        with self._lock:
            found = [self._rows.get(key) for key in keys]
        return unpack_rows(found)

    def layout(self, view_name: str) -> Layout | None:
        """See `OnlineStore.layout`."""
        return self._layouts.get(view_name)

    def views(self) -> dict[str, Layout]:
        """See `OnlineStore.views`."""
        with self._lock:
            return dict(self._layouts)

    def sync(self) -> None:
        """Memory keeps nothing."""

    def close(self) -> None:
        """Nothing is held."""
