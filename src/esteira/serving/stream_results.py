"""Where the messages of a stream end up: each in exactly one of two tables, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from esteira.serving.stream_rows import (
    REJECTED,
    SCORED,
    Outcome,
    Refused,
    judge,
    rejected_table,
    scored_table,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from esteira.base.ports import Clock
    from esteira.base.records import TableVersion
    from esteira.data.tables.port import TableStore
    from esteira.serving.live.arms import LoadedArm
    from esteira.serving.streams.port import Message

_BEFORE = "refused when it was first read, by version {version} or the one before"


def rejected_of(table: str) -> str:
    """The table that keeps what could not be scored.

    >>> rejected_of("scores")
    'scores_rejected'
    """
    return f"{table}_rejected"


class Written(NamedTuple):
    """How many messages ended up where."""

    scored: int
    rejected: int


class StreamResults:
    """The two tables of one stream of one model; both are there from the beginning, if only empty.

    Raises: SchemaChanged (a table of that name with other columns), BadInput (no name of a table).
    """

    def __init__(self, tables: TableStore, table: str, stream: str, model: str, clock: Clock) -> None:
        self.table, self.rejected = table, rejected_of(table)
        self._tables, self._stream, self._model, self._clock = tables, stream, model, clock
        tables.append(self.table, SCORED.empty_table())
        tables.append(self.rejected, REJECTED.empty_table())

    def write(self, messages: Sequence[Message], token: str, loaded: LoadedArm) -> Written:
        """Score messages and append them under a token; whoever was killed in here calls it again.

        What the first call put among the scored stays there and the rest is rejected, even if another
        version or other features would judge them otherwise by now.
        Raises: as `judge`, StorageUnwritable.
        """
        begun = self._tables.holding(self.table, token)
        if begun is None and self._tables.holding(self.rejected, token) is not None:
            return Written(0, len(messages))  # none could be scored, and that was all
        now = self._clock.micros()
        if begun is None:
            outcome = judge(messages, loaded, now)
            rows = scored_table(outcome, loaded, self._model, self._stream, now)
            self._tables.append(self.table, rows, token=token)
            refused = outcome.refused
        else:
            refused = self._left_over(messages, begun, loaded, now)
        if refused:
            rows = rejected_table(refused, loaded.arm.version, self._stream, now)
            self._tables.append(self.rejected, rows, token=token)
        return Written(len(messages) - len(refused), len(refused))

    def scored(self, token: str, columns: Sequence[str]) -> Iterator[pa.Table]:
        """The scored rows that were appended under a token. Raises: CorruptArtifact."""
        begun = self._tables.holding(self.table, token)
        return iter(()) if begun is None else self._rows(begun, columns)

    def _rows(self, made: TableVersion, columns: Sequence[str]) -> Iterator[pa.Table]:
        """The scored rows with which a version came."""
        last = made.version
        return self._tables.scan(self.table, since=last - 1 if last else None, version=last, columns=columns)

    def _left_over(
        self, messages: Sequence[Message], begun: TableVersion, loaded: LoadedArm, now: int
    ) -> list[Refused]:
        """The messages of a range that are not among its scored rows, with the reasons."""
        there = {
            place
            for rows in self._rows(begun, ["partition", "position"])
            for place in zip(rows["partition"].to_pylist(), rows["position"].to_pylist(), strict=True)
        }
        rest = [message for message in messages if (message.partition, message.position) not in there]
        if not rest:
            return []
        outcome: Outcome = judge(rest, loaded, now)
        reason = _BEFORE.format(version=loaded.version)
        return [*outcome.refused, *(Refused(read.message, reason) for read, _ in outcome.scored)]
