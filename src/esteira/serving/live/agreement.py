"""What the workers of one gateway serve: a revision takes force when every one that lives has it in memory.

They vote in a SQLite file in the folder that they share. A decision is one row, written by whoever sees first
that all agree, in the transaction in which it sees so; each worker swaps when it reads it. A worker holds
a lock file that the kernel lets go when it dies, so nobody waits for the dead. Who joins later reads what was
decided and serves that. Nothing here need outlive the machine: the file is made anew with each gateway.
"""

from __future__ import annotations

import fcntl
import os
import threading
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, Protocol

from esteira.base.files import writing
from esteira.base.sqlite import Database

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS votes (
    model TEXT NOT NULL, worker TEXT NOT NULL, revision INTEGER NOT NULL, state TEXT NOT NULL,
    reason TEXT NOT NULL, PRIMARY KEY (model, worker)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS decisions (
    decision INTEGER PRIMARY KEY AUTOINCREMENT, model TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS served (
    model TEXT NOT NULL, worker TEXT NOT NULL, revision INTEGER NOT NULL, PRIMARY KEY (model, worker)
) WITHOUT ROWID;
"""
State = Literal["loading", "ready", "refused", "out"]
_FILE, _ALIVE = "agreement.db", ".alive"
_MANY = 50  # votes of so many models are read in one query


@dataclass(frozen=True, slots=True)
class Vote:
    """What a worker says of a revision: it loads it, has it, or cannot load it; "out": it holds none."""

    model: str
    revision: int
    state: State
    reason: str = ""  # of a refusal


@dataclass(slots=True)
class Heard:
    """What the other workers that live say of a model."""

    newest: int = 0  # the newest revision that any of them has taken in hand
    refusal: str = ""  # why one of them cannot take up the revision asked about
    waits_for: list[str] = field(default_factory=list)  # who has not said that it is ready


@dataclass(slots=True)
class Word:
    """What an exchange brought: decisions since the last one, in their order, and what others say."""

    decided: list[tuple[str, int]]  # model and revision; revision 0: nothing is in force
    heard: Mapping[str, Heard]


class Votes(Protocol):
    """How a worker agrees with the others of its gateway."""

    def exchange(
        self, votes: Sequence[Vote], pending: Mapping[str, int], served: Mapping[str, int]
    ) -> Word: ...
    def has_news(self) -> bool: ...
    def served_by_all(self, model: str) -> int: ...
    def holders(self, model: str) -> list[str]: ...
    def close(self) -> None: ...


class Alone:
    """A worker without others: what it is ready for is decided."""

    def __init__(self) -> None:
        self._served: dict[str, int] = {}

    def exchange(self, votes: Sequence[Vote], pending: Mapping[str, int], served: Mapping[str, int]) -> Word:
        """Decide."""
        self._served.update(served)
        for each in votes:
            if each.state == "out":
                self._served.pop(each.model, None)
        return Word([(each.model, each.revision) for each in votes if each.state == "ready"], {})

    def has_news(self) -> bool:
        """Never: there is nobody."""
        return False

    def served_by_all(self, model: str) -> int:
        """The revision that is served, 0 for none."""
        return self._served.get(model, 0)

    def holders(self, model: str) -> list[str]:
        """This worker, if it serves the model."""
        return ["this one"] if model in self._served else []

    def close(self) -> None:
        """Nothing is held."""


class Agreement:
    """One worker's part in the votes of its gateway. Raises: StorageUnwritable, CorruptArtifact."""

    def __init__(self, folder: Path, worker: str) -> None:
        self.worker = f"{worker}-{os.urandom(3).hex()}"  # the system gives a process id again
        self._folder = folder
        self._database = Database(f"sqlite:{folder / _FILE}", _SCHEMA)
        self._thread, self._seen, self._decision = 0, (0, -1), 0
        with self._transaction(), writing(folder):  # in turn with decisions: one before it is read, one after
            self._alive = os.open(folder / f"{self.worker}{_ALIVE}", os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(self._alive, fcntl.LOCK_EX)

    def has_news(self) -> bool:
        """Whether another worker has said something since the last time that this was asked."""
        seen = threading.get_ident(), self._database.changes()  # a count of this thread's connection alone
        has_news, self._seen = seen != self._seen, seen
        return has_news

    def exchange(self, votes: Sequence[Vote], pending: Mapping[str, int], served: Mapping[str, int]) -> Word:
        """Say this worker's votes, decide what all are ready for, and read what was decided.

        `pending` are the models that await the others, with the revision; `served` those that were swapped.
        """
        with self._transaction() as connection:
            live = self._others(connection)
            self._say(connection, votes, served)
            heard = self._hear(connection, pending, live)
            ready = self._ready(connection, pending)
            agreed = [(name, pending[name]) for name in ready if not heard[name].waits_for]
            _decide(connection, agreed)
            _decide(connection, [(each.model, 0) for each in votes if each.state == "out"])
            rows = connection.execute(
                "SELECT decision, model, revision FROM decisions WHERE decision > ? ORDER BY decision",
                (self._decision,),
            ).fetchall()
        if rows:
            self._decision = rows[-1][0]
        return Word([(row[1], row[2]) for row in rows], heard)

    def served_by_all(self, model: str) -> int:
        """The oldest revision of a model that a worker which lives serves; 0 when one of them serves none."""
        return served_by_all(self._folder, model)

    def holders(self, model: str) -> list[str]:
        """The workers that live and serve a model."""
        return sorted(_served(self._folder, model))

    def close(self) -> None:
        """Leave: the others need not wait for this worker any more."""
        if self._alive >= 0:
            os.close(self._alive)
            self._alive = -1

    def _transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        if self._thread != threading.get_ident():  # a connection of its own, which syncs unless told
            self._thread = threading.get_ident()
            self._database.ensure("PRAGMA synchronous=OFF")
        return self._database.transaction()

    def _others(self, connection: sqlite3.Connection) -> set[str]:
        live = set()
        for worker, path in _workers(self._folder).items():
            if worker == self.worker:
                continue
            if _is_held(path):
                live.add(worker)
                continue
            path.unlink(missing_ok=True)
            connection.execute("DELETE FROM votes WHERE worker = ?", (worker,))
            connection.execute("DELETE FROM served WHERE worker = ?", (worker,))
        return live

    def _say(self, connection: sqlite3.Connection, votes: Sequence[Vote], served: Mapping[str, int]) -> None:
        gone = [(each.model, self.worker) for each in votes if each.state == "out"]
        connection.executemany("DELETE FROM votes WHERE model = ? AND worker = ?", gone)
        connection.executemany("DELETE FROM served WHERE model = ? AND worker = ?", gone)
        connection.executemany(
            "INSERT OR REPLACE INTO votes VALUES (?, ?, ?, ?, ?)",
            [(v.model, self.worker, v.revision, v.state, v.reason) for v in votes if v.state != "out"],
        )
        connection.executemany(
            "INSERT OR REPLACE INTO served VALUES (?, ?, ?)",
            [(model, self.worker, revision) for model, revision in served.items()],
        )

    def _hear(
        self, connection: sqlite3.Connection, pending: Mapping[str, int], live: set[str]
    ) -> dict[str, Heard]:
        heard = {model: Heard(waits_for=sorted(live)) for model in pending}
        for model, worker, revision, state, reason in _votes(connection, pending):
            if worker not in live:
                continue
            found = heard[model]
            found.newest = max(found.newest, revision)
            if revision == pending[model] and state == "ready":
                found.waits_for.remove(worker)
            elif revision == pending[model] and state == "refused":
                found.refusal = f"worker {worker}: {reason}"
        return heard

    def _ready(self, connection: sqlite3.Connection, pending: Mapping[str, int]) -> list[str]:
        return [
            model
            for model, worker, revision, state, _ in _votes(connection, pending)
            if worker == self.worker and revision == pending[model] and state == "ready"
        ]


def served_by_all(folder: Path, model: str) -> int:
    """The oldest revision of a model that a worker which lives serves; 0 when one of them serves none.

    For whoever stands outside, in the folder `.esteira/gateway/PORT` of a gateway that runs.
    """
    served, live = _served(folder, model), living_workers(folder)
    return min((served.get(worker, 0) for worker in live), default=0)


def _served(folder: Path, model: str) -> dict[str, int]:
    """The revision of a model that each worker which lives and has one serves."""
    live, path = living_workers(folder), folder / _FILE
    if not live or not path.is_file():
        return {}
    sql = "SELECT worker, revision FROM served WHERE model = ?"
    rows = _opened(path, path.stat().st_ino).rows(sql, (model,))
    return {row[0]: row[1] for row in rows if row[0] in live}


@lru_cache(maxsize=8)
def _opened(path: Path, _inode: int) -> Database:  # a gateway that starts anew makes a new file
    return Database(f"sqlite:{path}")


def living_workers(folder: Path) -> list[str]:
    """The workers of a gateway that live, each as `wPID-` and what tells it from another of that process id.

    For whoever stands outside, too; it changes nothing there.
    """
    return sorted(worker for worker, path in _workers(folder).items() if _is_held(path))


def votes_in(folder: Path) -> list[Vote]:
    """What the workers that live say of the revisions that they load, have, or cannot load.

    For whoever stands outside. Raises: StorageUnwritable, CorruptArtifact.
    """
    live = living_workers(folder)
    if not live or not (folder / _FILE).is_file():
        return []
    sql = "SELECT model, worker, revision, state, reason FROM votes"
    rows = Database(f"sqlite:{folder / _FILE}").rows(sql)
    return [Vote(row[0], row[2], row[3], row[4]) for row in rows if row[1] in live]


def _votes(connection: sqlite3.Connection, models: Collection[str]) -> list[sqlite3.Row]:
    sql = "SELECT model, worker, revision, state, reason FROM votes"
    if len(models) > _MANY:
        return [row for row in connection.execute(sql) if row[0] in models]
    found = []
    for model in models:
        found += connection.execute(f"{sql} WHERE model = ?", (model,)).fetchall()
    return found


def _decide(connection: sqlite3.Connection, decisions: Sequence[tuple[str, int]]) -> None:
    for model, revision in decisions:
        found = connection.execute("SELECT revision FROM decisions WHERE model = ?", (model,)).fetchone()
        if (found[0] if found else 0) == revision:
            continue
        connection.execute("DELETE FROM decisions WHERE model = ?", (model,))
        connection.execute("INSERT INTO decisions (model, revision) VALUES (?, ?)", (model, revision))


def _workers(folder: Path) -> dict[str, Path]:
    return {path.name.removesuffix(_ALIVE): path for path in folder.glob(f"*{_ALIVE}")}


def _is_held(path: Path) -> bool:
    """Whether a living process holds a lock file."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
