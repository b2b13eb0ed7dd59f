"""From segments to tables, each record exactly once, also when killed in between.

The range to move is written down first, then appended under a token made of it, then passed. A drain that
finds a range written down moves that one, not a longer one: the table knows its token and refuses it twice.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from esteira.base.digest import digest_json
from esteira.base.files import locked
from esteira.data.tables.schema import SchemaChanged
from esteira.monitoring.failure_log import FAILURES, SHADOW_FAILURES, failures_table
from esteira.monitoring.prediction_log import (
    LABELS,
    PREDICTIONS,
    SHADOWS,
    labels_table,
    predictions_table,
)
from esteira.monitoring.segments import folder_of, read_segments, remove_drained

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from esteira.base.databases.port import SqlDatabase
    from esteira.base.records import TableVersion

    Append = Callable[[str, pa.Table, str], TableVersion]
    Evolve = Callable[[str, pa.Schema], object]
    Move = Callable[[Sequence[bytes], str], object]
    Cursor = dict[str, int]

_SCHEMA = "CREATE TABLE IF NOT EXISTS drain (kind TEXT PRIMARY KEY, passed TEXT NOT NULL, planned TEXT)"
_TABLES: Mapping[str, Callable[[Sequence[bytes]], pa.Table]] = {
    PREDICTIONS: predictions_table,
    LABELS: labels_table,
    SHADOWS: predictions_table,
    FAILURES: failures_table,
    SHADOW_FAILURES: failures_table,
}


@dataclass(frozen=True, slots=True)
class Drained:
    """How many rows one drain moved."""

    predictions: int
    labels: int
    shadows: int = 0  # answers of versions that were asked besides
    failures: int = 0  # requests that a version did not answer
    shadow_failures: int = 0


def drain(folder_url: str, append: Append, state: SqlDatabase, evolve: Evolve | None = None) -> Drained:
    """Move all that is new in the segments of a folder to the tables of the same names.

    They are `predictions`, `labels`, `shadows`, `failures` and `shadow_failures`.

    `append(table, rows, token)` must do nothing the second time it gets a token. `evolve(table, schema)`
    gives a table from before the columns that it lacks, once they hold something. Where the drain stands is
    kept in `state`: one folder per state database.

    Raises: StorageUnwritable, CorruptArtifact, and what `append` raises; calling again resumes.
    """

    moved = dict.fromkeys(_TABLES, 0)

    def move(kind: str, records: Sequence[bytes], token: str) -> None:
        table = _TABLES[kind](records)
        _append(append, evolve, kind, table, token)
        moved[kind] += table.num_rows

    folder = folder_of(folder_url)
    for kind in _TABLES:
        drain_segments(folder, kind, partial(move, kind), state)
    return Drained(**moved)


def _append(append: Append, evolve: Evolve | None, kind: str, rows: pa.Table, token: str) -> None:
    """Append to a table, which may be from before some of the columns."""
    try:
        append(kind, rows, token)
    except SchemaChanged as changed:
        empty = [name for name in changed.extra if rows[name].null_count == rows.num_rows]
        rows = rows.drop_columns(empty)
        if evolve is not None and len(empty) < len(changed.extra):
            evolve(kind, rows.schema)
        append(kind, rows, token)


def drain_segments(folder: Path, kind: str, move: Move, state: SqlDatabase, *, name: str = "") -> int:
    """Hand all new records of a kind to `move(records, token)`, in portions; gives how many they were.

    A portion that was begun comes again, the same records under the same token, until `move` has returned
    once. `name` tells this kind from one that is called the same in another folder. Segments that no writer
    holds are deleted once passed. A second drain of the folder waits for the first.

    Raises: StorageUnwritable, and what `move` raises; calling again resumes.
    """
    state.ensure(_SCHEMA)
    moved, ledger = 0, _Ledger(state, name or kind)
    with locked(folder / "drain.lock"):
        while True:
            passed, planned = ledger.read()
            records, until = read_segments(folder, kind, passed, planned)
            if planned is None and not records:
                break
            if planned is None:
                ledger.plan(until)
            if records:
                move(records, _token(name or kind, passed, planned or until))
            ledger.passed(until)
            moved += len(records)
        remove_drained(folder, kind, passed)
    return moved


def _token(kind: str, start: Cursor, until: Cursor) -> str:
    return f"{kind}:{digest_json([start, until])}"


class _Ledger:
    """Where the drain of one kind stands, and the range it is about to move."""

    def __init__(self, state: SqlDatabase, kind: str) -> None:
        self._state, self._kind = state, kind

    def read(self) -> tuple[Cursor, Cursor | None]:
        rows = self._state.rows("SELECT passed, planned FROM drain WHERE kind = ?", (self._kind,))
        if not rows:
            return {}, None
        passed, planned = rows[0]["passed"], rows[0]["planned"]
        return json.loads(passed), None if planned is None else json.loads(planned)

    def plan(self, until: Cursor) -> None:
        with self._state.transaction() as connection:
            connection.execute(
                "INSERT INTO drain (kind, passed, planned) VALUES (?, '{}', ?) "
                "ON CONFLICT (kind) DO UPDATE SET planned = excluded.planned",
                (self._kind, json.dumps(until)),
            )

    def passed(self, until: Cursor) -> None:
        with self._state.transaction() as connection:
            sql = "UPDATE drain SET passed = ?, planned = NULL WHERE kind = ?"
            connection.execute(sql, (json.dumps(until), self._kind))
