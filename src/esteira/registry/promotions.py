"""Which version held which alias, when and why: the history that MLflow forgets.

A promotion is written before it is done: audit record, then the intention here, then the alias, then the end
of it here. Rows are only ever added. What a kill cut off is completed by the next call, in its order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from esteira.base.clock import from_micros, to_micros
from esteira.base.errors import NotFound
from esteira.base.files import locked
from esteira.base.sqlite import Database

if TYPE_CHECKING:
    import sqlite3
    from datetime import datetime
    from pathlib import Path

    from esteira.base.ports import AuditTrail, Clock
    from esteira.registry.backends.port import Backend

_SCHEMA = """
CREATE TABLE IF NOT EXISTS promotions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL, version INTEGER NOT NULL, alias TEXT NOT NULL,
    previous_version INTEGER, reason TEXT NOT NULL, at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS promotion_ends (
    id INTEGER PRIMARY KEY REFERENCES promotions (id),
    outcome TEXT NOT NULL CHECK (outcome IN ('done', 'void'))
);
CREATE TRIGGER IF NOT EXISTS promotions_stay BEFORE UPDATE ON promotions
    BEGIN SELECT RAISE(ABORT, 'a promotion is never changed'); END;
CREATE TRIGGER IF NOT EXISTS promotions_remain BEFORE DELETE ON promotions
    BEGIN SELECT RAISE(ABORT, 'a promotion is never deleted'); END;
CREATE TRIGGER IF NOT EXISTS promotion_ends_stay BEFORE UPDATE ON promotion_ends
    BEGIN SELECT RAISE(ABORT, 'the end of a promotion is never changed'); END;
CREATE TRIGGER IF NOT EXISTS promotion_ends_remain BEFORE DELETE ON promotion_ends
    BEGIN SELECT RAISE(ABORT, 'the end of a promotion is never deleted'); END;
"""
_INTENDED = "SELECT * FROM promotions WHERE id NOT IN (SELECT id FROM promotion_ends) ORDER BY id"
_DONE = """
SELECT * FROM promotions JOIN promotion_ends USING (id)
WHERE name = ? AND outcome = 'done' ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class Promotion:
    """An alias that was pointed at a version."""

    name: str
    version: int
    alias: str
    at: datetime
    reason: str
    previous_version: int | None  # what the alias pointed at before


class PromotionIntents:
    """Promotions that are written down where no registry is asked, such as in a gateway.

    A journal on the same state database completes them, in their order, with its next call.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url, _SCHEMA)
        self._lock = _lock_of(self._database)

    def write(self, promotion: Promotion) -> None:
        """Intend a promotion durably; its audit record was written before. Raises: StorageUnwritable."""
        with locked(self._lock), self._database.transaction() as connection:
            _insert(connection, promotion)


class PromotionJournal:
    """Moves aliases and remembers it, in the state database.

    A promotion that could not reach the backend stays intended: the next call completes it.
    """

    def __init__(self, url: str, backend: Backend, audit: AuditTrail, clock: Clock) -> None:
        self._database = Database(url, _SCHEMA)
        self._lock = _lock_of(self._database)
        self._backend, self._audit, self._clock = backend, audit, clock

    def promote(self, name: str, number: int, alias: str, reason: str) -> Promotion:
        """Point `alias` of model `name` at version `number`.

        Raises: NotFound (no such version; nothing is written), ServiceUnreachable.
        """
        with locked(self._lock):
            self._complete()
            self._backend.version(name, number)
            holder = self._backend.alias(name, alias)
            previous = None if holder is None else holder.version
            self._audit.record(
                "model.promote",
                f"{name}@{number}",
                reason=reason,
                facts={"alias": alias, "previous_version": previous},
            )
            now = from_micros(self._clock.micros())
            with self._database.transaction() as connection:
                row = _insert(connection, Promotion(name, number, alias, now, reason, previous))
            return self._apply(row)

    def resume(self) -> list[Promotion]:
        """Complete what was interrupted; returns it."""
        with locked(self._lock):
            return self._complete()

    def intended(self, name: str) -> list[Promotion]:
        """The promotions of a model that are under way, in their order: the next call completes them."""
        return [_promotion(row) for row in self._database.rows(_INTENDED) if row["name"] == name]

    def history(self, name: str) -> list[Promotion]:
        """All completed promotions of a model, oldest first."""
        return [_promotion(row) for row in self._database.rows(_DONE, (name,))]

    def _complete(self) -> list[Promotion]:
        completed = []
        for row in self._database.rows(_INTENDED):
            try:
                completed.append(self._apply(row))
            except NotFound:  # the version was deleted meanwhile: no alias can point at it any more
                self._end(row["id"], "void")
        return completed

    def _apply(self, row: sqlite3.Row) -> Promotion:
        self._backend.set_alias(row["name"], row["alias"], row["version"])
        self._end(row["id"], "done")
        return _promotion(row)

    def _end(self, promotion: int, outcome: str) -> None:
        with self._database.transaction() as connection:
            connection.execute("INSERT INTO promotion_ends (id, outcome) VALUES (?, ?)", (promotion, outcome))


def _lock_of(database: Database) -> Path:
    return database.path.with_suffix(".promotions.lock")


def _insert(connection: sqlite3.Connection, promotion: Promotion) -> sqlite3.Row:
    row: sqlite3.Row = connection.execute(
        "INSERT INTO promotions (name, version, alias, previous_version, reason, at)"
        " VALUES (?, ?, ?, ?, ?, ?) RETURNING *",
        (
            promotion.name, promotion.version, promotion.alias, promotion.previous_version,
            promotion.reason, to_micros(promotion.at),
        ),
    ).fetchone()  # fmt: skip
    return row


def _promotion(row: sqlite3.Row) -> Promotion:
    return Promotion(
        name=row["name"],
        version=row["version"],
        alias=row["alias"],
        at=from_micros(row["at"]),
        reason=row["reason"],
        previous_version=row["previous_version"],
    )
