"""SQLite as the online store: one file without a server and without a vendor.

A write is one transaction and is on the disk when it returns. Readers of any process see the last one that
ended and wait for nobody (WAL).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from esteira.base.errors import StorageUnwritable
from esteira.base.sqlite import Database
from esteira.features.stores.batch import pack_batch, settle
from esteira.features.stores.packing import pack_keys, pack_layout, unpack_layout, unpack_rows, version_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    import pyarrow as pa

    from esteira.features.stores.batch import Batch
    from esteira.features.stores.port import Layout, StoredRow
    from esteira.features.views import FeatureView

_SCHEMA = """
CREATE TABLE IF NOT EXISTS online_views (view TEXT PRIMARY KEY, layout BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS online_rows (
    key BLOB PRIMARY KEY, event INTEGER NOT NULL, created INTEGER NOT NULL, sequence INTEGER NOT NULL,
    row BLOB NOT NULL
);
"""
_PUT_LAYOUT = """
INSERT INTO online_views VALUES (?, ?) ON CONFLICT (view) DO UPDATE SET layout = excluded.layout
"""
_PUT = """
INSERT INTO online_rows VALUES (?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
    event = excluded.event, created = excluded.created, sequence = excluded.sequence, row = excluded.row
WHERE (event, created, sequence) < (excluded.event, excluded.created, excluded.sequence)
"""
_KEY_BYTES = 511  # a longer key is named by its digest
_AT_ONCE = 16_384  # keys; SQLite allows 32,766 variables in a statement


class SqliteStore:
    """The store in a file. Raises: StorageUnwritable, CorruptArtifact.

    >>> import tempfile
    >>> store = SqliteStore(f"sqlite:{tempfile.mkdtemp()}/online.db")
    >>> store.read("weather", ("JFK",)) is None
    True
    >>> store.close()
    """

    def __init__(self, url: str, *, readonly: bool = False) -> None:
        self._readonly = readonly
        self._database = Database(url, _SCHEMA)

    def write(self, view: FeatureView, rows: pa.Table) -> int:
        """See `OnlineStore.write`."""
        return self.write_many([(view, rows)])

    def write_many(self, batches: Sequence[tuple[FeatureView, pa.Table]]) -> int:
        """See `OnlineStore.write_many`."""
        if self._readonly:
            raise StorageUnwritable(str(self._database.path), "the store was opened to be read only")
        packed = [pack_batch(view, rows, _KEY_BYTES) for view, rows in batches]
        with self._database.transaction() as connection:
            stored = {batch.view: self.layout(batch.view) for batch in packed}
            changed = settle({view: layout for view, layout in stored.items() if layout}, packed)
            connection.executemany(
                _PUT_LAYOUT, [(view, pack_layout(view, layout)) for view, layout in changed.items()]
            )
            return sum(_put(connection, batch) for batch in packed)

    def read(self, view_name: str, key: tuple[str, ...]) -> StoredRow | None:
        """See `OnlineStore.read`."""
        return self.read_many([(view_name, key)])[0]

    def read_many(self, lookups: Sequence[tuple[str, tuple[str, ...]]]) -> list[StoredRow | None]:
        """See `OnlineStore.read_many`."""
        keys = pack_keys(lookups, _KEY_BYTES)
        found = dict(self._fetch(keys)) if keys else {}
        return unpack_rows(map(found.get, keys))

    def _fetch(self, keys: list[bytes]) -> list[Any]:
        if len(keys) <= _AT_ONCE:
            return self._select(keys)
        self._database.rows("BEGIN")  # so that all parts are read as of one moment; it keeps nobody waiting
        try:
            parts = [self._select(keys[at : at + _AT_ONCE]) for at in range(0, len(keys), _AT_ONCE)]
            return [pair for part in parts for pair in part]
        finally:
            self._database.rows("COMMIT")

    def _select(self, keys: list[bytes]) -> list[Any]:
        size = 1 << (len(keys) - 1).bit_length()  # so that SQLite plans few statements
        return self._database.rows(_get(size), keys + keys[:1] * (size - len(keys)))

    def layout(self, view_name: str) -> Layout | None:
        """See `OnlineStore.layout`."""
        found = self._database.rows("SELECT layout FROM online_views WHERE view = ?", (view_name,))
        return unpack_layout(found[0][0]) if found else None

    def views(self) -> dict[str, Layout]:
        """See `OnlineStore.views`."""
        found = self._database.rows("SELECT view, layout FROM online_views")
        return {view: unpack_layout(layout) for view, layout in found}

    def sync(self) -> None:
        """Every write is on the disk when it returns."""

    def close(self) -> None:
        """Close this thread's connection; those of other threads end with them."""
        self._database.close()


def _put(connection: sqlite3.Connection, batch: Batch) -> int:
    return connection.executemany(_PUT, [(key, *version_of(row), row) for key, row in batch.rows]).rowcount


@cache
def _get(keys: int) -> str:
    return f"SELECT key, row FROM online_rows WHERE key IN ({', '.join('?' * keys)})"
