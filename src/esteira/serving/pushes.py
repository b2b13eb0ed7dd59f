"""The tables that are filled by pushes: told to the gateway through the state store, and followed there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from threading import get_ident
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from esteira.base.databases import open_database
from esteira.base.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from esteira.monitoring.push_log import Push

_SCHEMA = """
CREATE TABLE IF NOT EXISTS push_tables (
    name TEXT PRIMARY KEY,
    columns BYTEA NOT NULL,  -- an Arrow schema, serialized
    required TEXT NOT NULL,  -- JSON
    published TEXT NOT NULL
)
"""


@dataclass(frozen=True, slots=True)
class PushTable:
    """What rows that are pushed to a table must be."""

    name: str
    schema: pa.Schema
    required: tuple[str, ...] = ()  # columns that no row may leave out: without its time a view can use none
    published: str = ""  # the column that gets the time of arrival in rows that leave it out


class PushTables:
    """The tables that take pushes: the project's process publishes them, gateways follow.

    Raises: StorageUnwritable, CorruptArtifact.
    >>> tables = PushTables("sqlite::memory:")
    >>> tables.publish([PushTable("readings", pa.schema({"pump": pa.string()}))])
    >>> tables.all()["readings"].schema.names
    ['pump']
    """

    def __init__(self, url: str) -> None:
        self._database = open_database(url, _SCHEMA)

    def publish(self, tables: Iterable[PushTable]) -> None:
        """From now on these take pushes, and no others."""
        rows = [
            (each.name, each.schema.serialize().to_pybytes(), json.dumps(each.required), each.published)
            for each in tables
        ]
        with self._database.transaction() as writer:
            writer.execute("DELETE FROM push_tables")
            writer.executemany("INSERT INTO push_tables VALUES (?, ?, ?, ?)", rows)

    def all(self) -> dict[str, PushTable]:
        """Those that take pushes, by name."""
        found = {}
        for row in self._database.rows("SELECT * FROM push_tables ORDER BY name"):
            schema, required = pa.ipc.read_schema(pa.py_buffer(row["columns"])), json.loads(row["required"])
            found[row["name"]] = PushTable(row["name"], schema, tuple(required), row["published"])
        return found

    def changes(self) -> int:
        """A number that differs after anyone else has written to the state store: cheap to poll."""
        return self._database.changes()


class PushSink(Protocol):
    """Keeps pushes until they are in their tables."""

    def keep(self, table: str, push: Push) -> None: ...
    def close(self) -> None: ...


class Pushes:
    """What a gateway knows of the tables that take pushes, and where it puts the rows."""

    def __init__(self, store: PushTables, sink: PushSink) -> None:
        self._store, self._sink = store, sink
        self._seen = (0, -1)
        self.tables: Mapping[str, PushTable] = {}

    def follow(self) -> None:
        """Take up what was published since the last look. Raises: StorageUnwritable, CorruptArtifact."""
        # Before reading, so that no later write is missed; the number is that of this thread's connection.
        seen = get_ident(), self._store.changes()
        if seen != self._seen:
            self.tables, self._seen = self._store.all(), seen

    def table(self, name: str) -> PushTable:
        """A table that takes pushes. Raises: NotFound."""
        found = self.tables.get(name)
        if found is None:
            mend = f"there are: {', '.join(self.tables) or 'none; declare a TableSource without `read`'}"
            raise NotFound("table that takes pushes", name[:80], mend)
        return found

    def keep(self, table: str, push: Push) -> None:
        """Put a push on disk before returning. Raises: StorageUnwritable."""
        self._sink.keep(table, push)

    def close(self) -> None:
        """Let the log go."""
        self._sink.close()
