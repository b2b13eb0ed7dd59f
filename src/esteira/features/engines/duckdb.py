"""DuckDB as the join engine: its native as-of join over whole numbers, Arrow in and out."""

from __future__ import annotations

import tempfile
import threading
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from esteira.base.errors import StorageUnwritable

_OPTIONS = {
    "threads": 2,
    "autoinstall_known_extensions": False,  # nothing is fetched at run time
    "autoload_known_extensions": False,
}

# One row for each key and moment: the one that stands last.
_LAST = "SELECT key, available, max(position) AS best FROM rows GROUP BY key, available"
# A row that came late does not hide a better one that was there before it.
_BEST = f"""
SELECT key, available,
       max(best) OVER (PARTITION BY key ORDER BY available ROWS UNBOUNDED PRECEDING) AS best
FROM ({_LAST})
"""
_JOIN = """
SELECT spine.number, known.best
FROM spine ASOF JOIN ({known}) AS known ON spine.key = known.key AND spine.at >= known.available
"""


class DuckdbEngine:
    """Joins in an in-memory database of its own for each thread; what does not fit memory spills to disk."""

    threads = 1

    def __init__(self, url: str = "duckdb:") -> None:
        self.url = url
        self._local = threading.local()

    def last_available(self, spine: pa.Table, rows: pa.Table) -> pa.Array:
        """See `JoinEngine.last_available`. Raises: StorageUnwritable when there is no room to spill."""
        available = rows.column("available").to_numpy()
        in_order = bool(np.all(available[1:] >= available[:-1]))
        known = _LAST if in_order else _BEST
        numbered = spine.append_column("number", _ordinals(spine))
        placed = rows.append_column("position", _ordinals(rows))
        try:
            found = self._query(_JOIN.format(known=known), {"spine": numbered, "rows": placed})
        except (duckdb.OutOfMemoryException, duckdb.IOException) as full:
            raise StorageUnwritable(tempfile.gettempdir(), str(full)) from full
        answers = np.full(spine.num_rows, -1, np.int64)
        answers[found.column("number").to_numpy()] = found.column("best").to_numpy()
        return pa.array(answers, mask=answers < 0)

    def _query(self, sql: str, tables: dict[str, pa.Table]) -> pa.Table:
        connection = self._connection()
        try:
            for name, table in tables.items():
                connection.register(name, table)
            return connection.sql(sql).to_arrow_table()
        finally:
            for name in tables:
                connection.unregister(name)

    def _connection(self) -> Any:  # noqa: ANN401 - duckdb ships no types that we follow
        found = getattr(self._local, "connection", None)
        if found is None:
            spill = {"temp_directory": tempfile.gettempdir()}
            found = self._local.connection = duckdb.connect(":memory:", config=_OPTIONS | spill)
            found.execute("SET enable_progress_bar = false")
        return found


def _ordinals(table: pa.Table) -> pa.Array:
    return pa.array(np.arange(table.num_rows, dtype=np.int64))
