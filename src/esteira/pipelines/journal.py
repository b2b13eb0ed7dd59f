"""The journal: every run, every step of it, and the artifact that each key has produced.

SQLite in WAL mode; one durable transaction per committed step. Small artifacts travel in that transaction,
so a step is either committed with its result or not at all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from esteira.base.clock import from_micros, to_micros
from esteira.base.errors import BadInput, NotFound
from esteira.base.records import Artifact, Run, RunStatus
from esteira.base.sqlite import Database
from esteira.pipelines.liveness import ProcessMark

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, project TEXT NOT NULL, identity TEXT NOT NULL, status TEXT NOT NULL,
    started_at INTEGER NOT NULL, finished_at INTEGER, parameters TEXT NOT NULL, inputs TEXT NOT NULL,
    error TEXT NOT NULL DEFAULT '', pid INTEGER NOT NULL, born TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS runs_by_identity ON runs (identity, status);
CREATE TABLE IF NOT EXISTS steps (
    run_id TEXT NOT NULL REFERENCES runs (id), step TEXT NOT NULL, project TEXT NOT NULL,
    status TEXT NOT NULL, key TEXT NOT NULL, digest TEXT, codec TEXT, size INTEGER,
    cached INTEGER NOT NULL, started_at INTEGER NOT NULL, seconds REAL NOT NULL,
    error TEXT NOT NULL, reason TEXT NOT NULL, UNIQUE (run_id, step));
CREATE INDEX IF NOT EXISTS steps_by_name ON steps (project, step);
CREATE TABLE IF NOT EXISTS artifacts (
    key TEXT PRIMARY KEY, digest TEXT NOT NULL, codec TEXT NOT NULL, size INTEGER NOT NULL,
    parts TEXT NOT NULL, file TEXT, content BLOB) WITHOUT ROWID;
"""
_PUT_STEP = """
INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (run_id, step) DO UPDATE SET status = excluded.status, key = excluded.key,
    digest = excluded.digest, codec = excluded.codec, size = excluded.size, cached = excluded.cached,
    started_at = excluded.started_at, seconds = excluded.seconds, error = excluded.error,
    reason = excluded.reason
"""


class StepStatus(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What became of one step in one run."""

    run_id: str
    step: str
    status: StepStatus
    key: str
    artifact: Artifact | None
    cached: bool  # a hit: nothing was executed
    started_at: datetime
    seconds: float  # of execution
    error: str
    reason: str  # why it ran, or "hit"


@dataclass(frozen=True, slots=True)
class Result:
    """What a key has produced, with the parts of the key; `small` is the file of a small artifact."""

    key: str
    artifact: Artifact
    parts: Mapping[str, Any]
    small: tuple[str, bytes] | None = None


class RunInProgress(BadInput):
    """The same run is being executed by a living process."""

    def __init__(self, run_id: str, pid: int) -> None:
        super().__init__(f"run {run_id} is in progress in process {pid}; wait for it, or stop that process")
        self.run_id, self.pid = run_id, pid


class NewerJournal(BadInput):
    """A journal that a later version of esteira has written."""

    def __init__(self, path: str, found: int) -> None:
        super().__init__(
            f"{path} has format {found}, this esteira knows up to {VERSION}; run: pip install -U esteira-ml"
        )
        self.path, self.found = path, found


class Journal:
    """The journal of all runs, opened by a URL such as `sqlite:journal.db`; safe for any number of processes.

    Raises: StorageUnwritable, CorruptArtifact (not a journal), NewerJournal.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url, _SCHEMA)
        found = int(self._database.rows("PRAGMA user_version")[0][0])
        if found > VERSION:
            raise NewerJournal(str(self._database.path), found)
        if found < VERSION:
            with self._database.transaction() as connection:
                connection.execute(f"PRAGMA user_version = {VERSION}")

    def runs(self) -> list[Run]:
        """All runs, oldest first."""
        return [_run(row) for row in self._database.rows("SELECT * FROM runs ORDER BY rowid")]

    def run(self, run_id: str) -> Run:
        """One run. Raises: NotFound."""
        rows = self._database.rows("SELECT * FROM runs WHERE id = ?", (run_id,))
        if not rows:
            raise NotFound("run", run_id, "list them with: esteira status")
        return _run(rows[0])

    def is_alive(self, run_id: str) -> bool:
        """Whether the process that started a run still lives. Raises: NotFound."""
        self.run(run_id)
        row = self._database.rows("SELECT pid, born FROM runs WHERE id = ?", (run_id,))[0]
        return ProcessMark(row["pid"], row["born"]).is_alive

    def steps(self, run_id: str) -> list[StepRecord]:
        """The steps of a run that were reached, in the order in which they were first recorded."""
        rows = self._database.rows("SELECT * FROM steps WHERE run_id = ? ORDER BY rowid", (run_id,))
        return [_step(row) for row in rows]

    def artifact_of(self, key: str) -> Artifact | None:
        """What a key has produced last."""
        found = self.result_of(key)
        return found.artifact if found else None

    def result_of(self, key: str) -> Result | None:
        """What a key has produced last, with the code, parameters, inputs and versions that went into it."""
        rows = self._database.rows("SELECT * FROM artifacts WHERE key = ?", (key,))
        return _result(rows[0]) if rows else None

    def last_parts(self, project: str, step: str) -> Mapping[str, Any] | None:
        """The parts of the key with which a step was last done in a project, by whichever run."""
        rows = self._database.rows(
            "SELECT parts FROM steps JOIN artifacts USING (key) WHERE steps.project = ? AND step = ? "
            "AND status = 'done' ORDER BY steps.rowid DESC LIMIT 1",
            (project, step),
        )
        found: Mapping[str, Any] | None = json.loads(rows[0]["parts"]) if rows else None
        return found

    def claim(self, run: Run, identity: str, me: ProcessMark, is_mine: Callable[[str], bool] | None) -> Run:
        """Begin a run, or take over the one of that identity whose process died.

        `is_mine` says whether this process executes a run right now; None begins a new one in any case.
        Raises: RunInProgress.
        """
        with self._database.transaction() as connection:
            taken = _taken_over(connection, identity, me, is_mine) if is_mine else None
            if taken is not None:
                return taken
            connection.execute(
                "INSERT INTO runs VALUES (?, ?, ?, ?, ?, NULL, ?, ?, '', ?, ?)",
                (
                    run.id,
                    run.project,
                    identity,
                    run.status,
                    to_micros(run.started_at),
                    json.dumps(run.parameters),
                    json.dumps(run.inputs),
                    me.pid,
                    me.born,
                ),
            )
        return run

    def commit(self, run: Run, steps: Sequence[StepRecord], results: Sequence[Result] = ()) -> None:
        """Record steps, results and the state of the run in one durable transaction."""
        with self._database.transaction() as connection:
            connection.executemany(_PUT_STEP, [_step_row(run.project, each) for each in steps])
            connection.executemany(
                "INSERT OR REPLACE INTO artifacts VALUES (?, ?, ?, ?, ?, ?, ?)",
                [_result_row(r) for r in results],
            )
            if run.status is not RunStatus.RUNNING:
                finished = to_micros(run.finished_at) if run.finished_at else None
                connection.execute(
                    "UPDATE runs SET status = ?, finished_at = ?, error = ? WHERE id = ?",
                    (run.status, finished, run.error, run.id),
                )


def _taken_over(
    connection: sqlite3.Connection, identity: str, me: ProcessMark, is_mine: Callable[[str], bool]
) -> Run | None:
    rows = connection.execute(
        "SELECT * FROM runs WHERE identity = ? AND status = 'running' ORDER BY rowid DESC", (identity,)
    ).fetchall()
    for row in rows:
        owner = ProcessMark(row["pid"], row["born"])
        if is_mine(row["id"]) if owner == me else owner.is_alive:
            raise RunInProgress(row["id"], row["pid"])
    if not rows:
        return None
    connection.execute("UPDATE runs SET pid = ?, born = ? WHERE id = ?", (me.pid, me.born, rows[0]["id"]))
    return _run(rows[0])


def _run(row: sqlite3.Row) -> Run:
    return Run(
        row["id"],
        row["project"],
        RunStatus(row["status"]),
        from_micros(row["started_at"]),
        None if row["finished_at"] is None else from_micros(row["finished_at"]),
        json.loads(row["parameters"]),
        json.loads(row["inputs"]),
        row["error"],
    )


def _artifact(row: sqlite3.Row) -> Artifact:
    return Artifact(row["digest"], row["codec"], row["size"])


def _step(row: sqlite3.Row) -> StepRecord:
    return StepRecord(
        row["run_id"],
        row["step"],
        StepStatus(row["status"]),
        row["key"],
        None if row["digest"] is None else _artifact(row),
        bool(row["cached"]),
        from_micros(row["started_at"]),
        row["seconds"],
        row["error"],
        row["reason"],
    )


def _step_row(project: str, step: StepRecord) -> tuple[object, ...]:
    stored = step.artifact
    files = (stored.digest, stored.codec, stored.size) if stored else (None, None, None)
    begun = to_micros(step.started_at)
    first = (step.run_id, step.step, project, step.status, step.key)
    return (*first, *files, step.cached, begun, step.seconds, step.error, step.reason)


def _result(row: sqlite3.Row) -> Result:
    small = None if row["file"] is None else (row["file"], bytes(row["content"]))
    return Result(row["key"], _artifact(row), json.loads(row["parts"]), small)


def _result_row(result: Result) -> tuple[object, ...]:
    stored, small = result.artifact, result.small or (None, None)
    return (result.key, stored.digest, stored.codec, stored.size, json.dumps(result.parts), *small)
