"""What the ring did, in order: kept as facts, told in the reader's language."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from esteira.base.clock import from_micros, to_micros

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from esteira.base.databases.port import SqlDatabase

_SCHEMA = """
CREATE TABLE IF NOT EXISTS story (
    seq BIGINT NOT NULL PRIMARY KEY, at BIGINT NOT NULL, kind TEXT NOT NULL, facts TEXT NOT NULL
)
"""
_ADD = """
INSERT INTO story (seq, at, kind, facts) VALUES ((SELECT coalesce(max(seq), 0) + 1 FROM story), ?, ?, ?)
RETURNING seq
"""
_NEWEST = """
SELECT * FROM (SELECT * FROM story WHERE seq > ? ORDER BY seq DESC LIMIT ?) AS newest ORDER BY seq
"""

# Each kind of event, told in English and in Portuguese.
_TELLINGS: Mapping[str, tuple[str, str]] = {
    "ingested": (
        "{accepted:,} rows of {table} in, {quarantined:,} kept in quarantine",
        "{accepted:,} linhas de {table} gravadas, {quarantined:,} em quarentena",
    ),
    "trained": (
        "version {version} trained on {rows:,} rows up to {until}: {metrics}",
        "versão {version} treinada com {rows:,} linhas até {until}: {metrics}",
    ),
    "gates passed": (
        "version {version} passed every gate: {reason}",
        "versão {version} passou em todos os portões: {reason}",
    ),
    "gates refused": (
        "the gates refused version {version}: {reason}; the champion stays",
        "os portões recusaram a versão {version}: {reason}; o campeão continua",
    ),
    "deployed": (
        "version {version} serves all traffic: {reason}",
        "versão {version} atende todo o tráfego: {reason}",
    ),
    "alarm": ("alarm, {monitor}: {message}", "alarme, {monitor}: {message}"),
    "cleared": ("{monitor} of {subject} is quiet again", "{monitor} de {subject} voltou ao normal"),
    "retraining": ("retraining: {reason}", "retreino: {reason}"),
    "canary": (
        "canary of version {version} begins with {share:.0%} of the traffic",
        "o canário da versão {version} começa com {share:.0%} do tráfego",
    ),
    "widened": (
        "version {version} now takes {share:.0%}: {reason}",
        "versão {version} agora recebe {share:.0%}: {reason}",
    ),
    "promoted": (
        "version {version} is the champion: {reason}",
        "versão {version} é a campeã: {reason}",
    ),
    "rolled back": (
        "version {version} rolled back: {reason}",
        "versão {version} revertida: {reason}",
    ),
    "failed": ("the ring could not finish a step: {reason}", "o anel não pôde concluir uma etapa: {reason}"),
}

_ALARMING = frozenset({"alarm", "gates refused", "rolled back", "failed"})


@dataclass(frozen=True, slots=True)
class StoryEvent:
    """One thing that happened."""

    seq: int
    at: datetime
    kind: str
    facts: Mapping[str, Any]

    @property
    def is_alarming(self) -> bool:
        return self.kind in _ALARMING

    def tell(self, language: str = "en") -> str:
        """The event in a sentence."""
        english, portuguese = _TELLINGS[self.kind]
        return (portuguese if language == "pt-BR" else english).format_map(dict(self.facts))


class Story:
    """The story of one project, in its state database."""

    def __init__(self, state: SqlDatabase) -> None:
        self._state = state
        state.ensure(_SCHEMA)

    def add(self, at: datetime, kind: str, **facts: object) -> StoryEvent:
        """Write an event down."""
        text = json.dumps(facts, ensure_ascii=False)
        with self._state.transaction() as writer:
            (row,) = writer.execute(_ADD, (to_micros(at), kind, text)).fetchall()
        return StoryEvent(row["seq"], at, kind, facts)

    def events(self, *, after: int = 0, newest: int = 1_000) -> list[StoryEvent]:
        """The newest events, oldest first."""
        rows = self._state.rows(_NEWEST, (after, newest))
        return [StoryEvent(r["seq"], from_micros(r["at"]), r["kind"], json.loads(r["facts"])) for r in rows]
