"""Which version held which alias, when and why: the history that MLflow forgets.

A promotion is written before it is done: audit record, then the intention here, then the alias, then the end
of it here. Rows are only ever added. What a kill cut off is completed by the next call, in its order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from esteira.base.clock import from_micros, to_micros
from esteira.base.databases import open_database
from esteira.base.errors import NotFound

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import datetime

    from esteira.base.databases.port import Record, SqlDatabase, Writer
    from esteira.base.ports import AuditTrail, Clock
    from esteira.registry.backends.port import Backend

_SCHEMA = """
CREATE TABLE IF NOT EXISTS promotions (
    id BIGINT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL, version BIGINT NOT NULL, alias TEXT NOT NULL,
    previous_version BIGINT, reason TEXT NOT NULL, at BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS promotion_ends (
    id BIGINT NOT NULL PRIMARY KEY REFERENCES promotions (id),
    outcome TEXT NOT NULL CHECK (outcome IN ('done', 'void'))
);
"""
_INTEND = """
INSERT INTO promotions (id, name, version, alias, previous_version, reason, at)
VALUES ((SELECT coalesce(max(id), 0) + 1 FROM promotions), ?, ?, ?, ?, ?, ?) RETURNING *
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
        self._database = _opened(url)

    def write(self, promotion: Promotion) -> None:
        """Intend a promotion durably; its audit record was written before. Raises: StorageUnwritable."""
        with _held(self._database), self._database.transaction() as writer:
            _insert(writer, promotion)


class PromotionJournal:
    """Moves aliases and remembers it, in the state database.

    A promotion that could not reach the backend stays intended: the next call completes it.
    """

    def __init__(self, url: str, backend: Backend, audit: AuditTrail, clock: Clock) -> None:
        self._database = _opened(url)
        self._backend, self._audit, self._clock = backend, audit, clock

    def promote(self, name: str, number: int, alias: str, reason: str) -> Promotion:
        """Point `alias` of model `name` at version `number`.

        Raises: NotFound (no such version; nothing is written), ServiceUnreachable.
        """
        with _held(self._database):
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
            with self._database.transaction() as writer:
                row = _insert(writer, Promotion(name, number, alias, now, reason, previous))
            return self._apply(row)

    def resume(self) -> list[Promotion]:
        """Complete what was interrupted; returns it."""
        with _held(self._database):
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

    def _apply(self, row: Record) -> Promotion:
        self._backend.set_alias(row["name"], row["alias"], row["version"])
        self._end(row["id"], "done")
        return _promotion(row)

    def _end(self, promotion: int, outcome: str) -> None:
        with self._database.transaction() as writer:
            writer.execute("INSERT INTO promotion_ends (id, outcome) VALUES (?, ?)", (promotion, outcome))


def _opened(url: str) -> SqlDatabase:
    database = open_database(url, _SCHEMA)
    for table in ("promotions", "promotion_ends"):
        database.append_only(table)
    return database


def _held(database: SqlDatabase) -> AbstractContextManager[None]:
    return database.exclusive("promotions")


def _insert(writer: Writer, promotion: Promotion) -> Record:
    what = (promotion.name, promotion.version, promotion.alias, promotion.previous_version)
    (row,) = writer.execute(_INTEND, (*what, promotion.reason, to_micros(promotion.at))).fetchall()
    return row


def _promotion(row: Record) -> Promotion:
    return Promotion(
        name=row["name"],
        version=row["version"],
        alias=row["alias"],
        at=from_micros(row["at"]),
        reason=row["reason"],
        previous_version=row["previous_version"],
    )
