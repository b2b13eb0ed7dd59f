"""The audit ledger: append-only, hash-chained, shared by every process of a project."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from esteira.base.clock import from_micros, to_micros
from esteira.base.digest import json_text
from esteira.base.errors import BadInput, CorruptArtifact
from esteira.base.records import AuditEvent, to_plain
from esteira.base.sqlite import Database
from esteira.governance.chain import GENESIS, TEXTS, BrokenRecord, link_digest, why_broken
from esteira.governance.checkpoint import Checkpoint, Mark

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from esteira.base.ports import Clock

_SCHEMA = """
CREATE TABLE IF NOT EXISTS audit (
    seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
    resource TEXT NOT NULL, reason TEXT NOT NULL, facts TEXT NOT NULL, previous TEXT NOT NULL,
    digest TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS audit_resource ON audit (resource, seq);
CREATE TRIGGER IF NOT EXISTS audit_keeps_records BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit ledger only grows: a record cannot be changed'); END;
CREATE TRIGGER IF NOT EXISTS audit_loses_nothing BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit ledger only grows: a record cannot be deleted'); END;
CREATE TRIGGER IF NOT EXISTS audit_has_no_holes BEFORE INSERT ON audit
    WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit)
    BEGIN SELECT RAISE(ABORT, 'the audit ledger only grows: the next record has the next number'); END;
"""
_PAGE = 5_000
# Texts as bytes: one that is not UTF-8 any more must be found, not raised by the driver.
_RAW = f"SELECT seq, at, {', '.join(f'CAST({name} AS BLOB) AS {name}' for name in TEXTS)} FROM audit"
_LOWEST = -(2**63)


@dataclass(frozen=True, slots=True)
class Verified:
    """What a walk along the whole chain found."""

    records: int  # that stand in an unbroken chain from the first
    head: str  # digest of the last of them
    broken: BrokenRecord | None = None

    @property
    def is_whole(self) -> bool:
        return self.broken is None


class AuditLedger:
    """What was changed, by whom and why, in one SQLite file that several processes append to.

    After each append the number of records and the last digest go to a checkpoint file beside the
    database (`audit.db.checkpoint`), so that a cut tail shows. Who can write both files can still forge
    both: copy the checkpoint to another machine to witness against that.

    Raises: StorageUnwritable, CorruptArtifact (not a database).
    >>> import tempfile
    >>> from esteira.base.clock import SystemClock
    >>> folder = tempfile.TemporaryDirectory()
    >>> ledger = AuditLedger(f"sqlite:{folder.name}/audit.db", SystemClock(), actor="ana")
    >>> event = ledger.record("model.promote", "flight-delay@2", reason="better on 9,000 flights")
    >>> event.seq, event.actor, ledger.verify().is_whole
    (1, 'ana', True)
    >>> folder.cleanup()
    """

    def __init__(self, url: str, clock: Clock, actor: str) -> None:
        self._database = Database(url, _SCHEMA)
        self._clock, self._actor = clock, actor
        path = self._database.path
        self._checkpoint = Checkpoint(path.with_name(path.name + ".checkpoint"))
        self._vouch()  # a first mark, or one that a kill between append and mark left behind

    def record(
        self, action: str, resource: str, *, reason: str = "", facts: Mapping[str, object] | None = None
    ) -> AuditEvent:
        """Append one record durably; it is on disk when this returns.

        Raises: BadInput (facts that have no JSON spelling, a name that is empty), StorageUnwritable.
        """
        if not action or not resource:
            raise BadInput("an audit record needs an action and a resource, e.g. 'model.promote', 'late@2'")
        json_text(f"{self._actor}{action}{resource}{reason}", "the texts of an audit record")
        text = json_text(to_plain(dict(facts or {})), "audit facts")
        with self._database.transaction() as connection:
            mark = _last(connection)
            link = {
                "seq": mark.records + 1,
                "at": self._clock.micros(),
                "actor": self._actor,
                "action": action,
                "resource": resource,
                "reason": reason,
                "facts": json.loads(text),
                "previous": mark.head,
            }
            row = link | {"facts": text, "digest": link_digest(link)}
            connection.execute(
                "INSERT INTO audit VALUES "
                "(:seq, :at, :actor, :action, :resource, :reason, :facts, :previous, :digest)",
                row,
            )
        self._vouch()
        return _event(row)

    def events(
        self, limit: int = 100, since: datetime | None = None, resource: str | None = None
    ) -> list[AuditEvent]:
        """The newest `limit` records, oldest of them first; of one resource, or from a time on.

        Raises: NaiveTime, CorruptArtifact.
        """
        values: list[object] = [_LOWEST if since is None else to_micros(since, "since")]
        where = "at >= ?"
        if resource is not None:
            where, values = f"{where} AND resource = ?", [*values, resource]
        sql = f"SELECT * FROM audit WHERE {where} ORDER BY seq DESC LIMIT ?"
        rows = self._database.rows(sql, [*values, limit])
        return [_event(row) for row in reversed(rows)]

    def verify(self) -> Verified:
        """Walk the chain from the first record and name the first one that is broken.

        A record that was changed, removed, inserted or moved is named itself. One that was rewritten
        together with its digest shows at the link of the one after it; a cut tail at the first missing
        record; a whole history that was rewritten at the record that the checkpoint saw.
        """
        mark = self._witness()  # first: it may only be behind the records that are read after it
        length = self._database.rows("SELECT coalesce(max(seq), 0) AS length FROM audit")[0]["length"]
        records, head, seen = 0, GENESIS, GENESIS
        for row in self._rows():
            broken = why_broken(dict(row), records + 1, head, length)
            if broken:
                return Verified(records, head, broken)
            records, head = records + 1, row["digest"].decode()
            if isinstance(mark, Mark) and records == mark.records:
                seen = head
        return Verified(records, head, _against(mark, records, seen))

    def _witness(self) -> Mark | str:
        try:
            mark = self._checkpoint.read()
        except CorruptArtifact as broken:
            return str(broken)
        return f"the checkpoint {self._checkpoint.path.name} is missing" if mark is None else mark

    def _rows(self) -> Iterator[sqlite3.Row]:
        start = _LOWEST
        while page := self._database.rows(f"{_RAW} WHERE seq >= ? ORDER BY seq LIMIT ?", (start, _PAGE)):
            yield from page
            start = page[-1]["seq"] + 1

    def _vouch(self) -> None:
        """Bring the checkpoint up to the last record, unless the ledger contradicts what it saw before."""
        with self._database.transaction() as connection:  # one process at a time; writes nothing here
            now, before = _last(connection), self._witness()
            if isinstance(before, str):
                if now.records == 0:
                    self._checkpoint.write(now)
            elif before.records < now.records and _digest_at(connection, before.records) == before.head:
                self._checkpoint.write(now)


def _last(connection: sqlite3.Connection) -> Mark:
    row = connection.execute("SELECT seq, digest FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    return Mark(row["seq"], row["digest"]) if row else Mark(0, GENESIS)


def _digest_at(connection: sqlite3.Connection, seq: int) -> str | None:
    row = connection.execute("SELECT digest FROM audit WHERE seq = ?", (seq,)).fetchone()
    return str(row["digest"]) if row else (GENESIS if seq == 0 else None)


def _against(mark: Mark | str, records: int, seen: str) -> BrokenRecord | None:
    if isinstance(mark, str):
        return BrokenRecord(records + 1, f"{mark}: whether records after {records} were cut off is unknown")
    if mark.records > records:
        return BrokenRecord(records + 1, f"it is missing: the checkpoint counts {mark.records} records")
    if mark.head != seen:
        reason = "it is not the record that the checkpoint saw: history was rewritten here or before"
        return BrokenRecord(mark.records, reason)
    return None


def _event(row: Mapping[str, Any] | sqlite3.Row) -> AuditEvent:
    try:
        facts = json.loads(row["facts"])
    except ValueError as broken:
        raise CorruptArtifact(f"audit record {row['seq']}", "facts in JSON", str(broken)) from broken
    return AuditEvent(
        seq=row["seq"],
        at=from_micros(row["at"]),
        actor=row["actor"],
        action=row["action"],
        resource=row["resource"],
        reason=row["reason"],
        facts=facts,
        previous=row["previous"],
        digest=row["digest"],
    )
