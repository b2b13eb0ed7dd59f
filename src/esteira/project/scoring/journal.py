"""What scoring jobs were asked for and what they hold on to, so that the same command goes on with it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import msgspec

from esteira.base.digest import digest_bytes
from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from esteira.base.databases.port import SqlDatabase

_SCHEMA = """
CREATE TABLE IF NOT EXISTS scoring_jobs (
    target TEXT NOT NULL PRIMARY KEY, asked TEXT NOT NULL, pinned TEXT NOT NULL, chunks BIGINT
)
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """The words of the command that decide what lies in the target."""

    source: str  # a table without version, or a path
    keep: tuple[str, ...] | None  # columns; None: all
    where: tuple[tuple[str, str, Any], ...]
    at: str
    keep_bad: bool


@dataclass(frozen=True, slots=True)
class Pinned:
    """What was the newest when a job began, and stays what it reads to its end."""

    source: str  # e.g. flights@3
    version: int  # of the model
    digest: str  # of its bundle
    chunk: int  # rows
    views: tuple[str, ...] = ()  # the identity of each, with the version of its source


@dataclass(frozen=True, slots=True)
class Job:
    """What fills one target."""

    target: str
    asked: Asked
    pinned: Pinned
    chunks: int | None = None  # once it is done

    @property
    def name(self) -> str:
        """What no other job is named."""
        return digest_bytes(msgspec.json.encode([self.target, self.asked, self.pinned]))[:16]

    def token(self, chunk: int) -> str:
        """The name of a chunk, which no other job gives to one of its own."""
        return f"scores-{self.name}-{chunk:06}"


class TargetTaken(BadInput):
    """A target in which something else lies than this command would write."""

    def __init__(self, target: str, by: str) -> None:
        super().__init__(f"{target} {by}; nothing was written; name another target, or remove it first")
        self.target = target


class ScoringJobs:
    """The scoring jobs of a project by their target, in its state database."""

    def __init__(self, state: SqlDatabase) -> None:
        self._state = state
        state.ensure(_SCHEMA)

    def of(self, target: str) -> Job | None:
        """The job that fills a target, if one does."""
        rows = self._state.rows("SELECT asked, pinned, chunks FROM scoring_jobs WHERE target = ?", (target,))
        for row in rows:
            asked = msgspec.json.decode(row["asked"], type=Asked)
            return Job(target, asked, msgspec.json.decode(row["pinned"], type=Pinned), row["chunks"])
        return None

    def keep(self, job: Job) -> None:
        """Begin a job or end it, durably; what was known of its target is replaced."""
        asked, pinned = (msgspec.json.encode(each).decode() for each in (job.asked, job.pinned))
        with self._state.transaction() as writer:
            writer.execute(
                "INSERT INTO scoring_jobs (target, asked, pinned, chunks) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (target) DO UPDATE SET "
                "asked = excluded.asked, pinned = excluded.pinned, chunks = excluded.chunks",
                (job.target, asked, pinned, job.chunks),
            )


def differences(before: Asked, now: Asked) -> list[str]:
    """The words in which two commands differ."""
    plain = [msgspec.json.decode(msgspec.json.encode(each)) for each in (before, now)]
    return [each.name for each in fields(Asked) if plain[0][each.name] != plain[1][each.name]]
