"""Where the scoring of a stream stands, durably: what was passed, and the range that is being written."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from esteira.base.digest import digest_json
from esteira.base.errors import BadInput
from esteira.base.files import StillLocked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esteira.base.databases.port import SqlDatabase
    from esteira.serving.streams.port import Cursor

_SCHEMA = """
CREATE TABLE IF NOT EXISTS stream_places (
    result TEXT NOT NULL, stream TEXT NOT NULL, passed TEXT NOT NULL, planned TEXT, messages BIGINT NOT NULL,
    PRIMARY KEY (result, stream)
)
"""


class StreamTaken(BadInput):
    """A stream that another process brings into the same table."""

    def __init__(self, result: str) -> None:
        super().__init__(f"another process scores this stream into table {result!r}; end it first")
        self.result = result


@dataclass(frozen=True, slots=True)
class Place:
    """`passed` is written and done; `planned` is where the range ends that was begun, if one was."""

    passed: Cursor
    planned: Cursor | None = None
    messages: int = 0  # that were passed, ever


class StreamLedger:
    """The place of one stream on its way into one table.

    The lock of a server is lost with the connection that holds it. So each move says from where it goes on:
    of two that think they hold it, the second is refused, and no range is written in two different cuts.
    >>> from esteira.base.databases import open_database
    >>> ledger = StreamLedger(open_database("sqlite::memory:"), "scores", "local:1")
    >>> ledger.plan({}, {0: 10}); ledger.read().planned
    {0: 10}
    >>> ledger.passed({0: 10}, messages=10); ledger.read()
    Place(passed={0: 10}, planned=None, messages=10)
    """

    def __init__(self, database: SqlDatabase, result: str, stream: str) -> None:
        self._database, self._result, self._stream = database, result, stream
        database.ensure(_SCHEMA)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Be the only one who brings this stream into this table. Raises: StreamTaken (somebody else is)."""
        name = sha256(f"{self._result} {self._stream}".encode()).hexdigest()[:16]
        with ExitStack() as held:
            try:
                held.enter_context(self._database.exclusive(f"stream-{name}", 0.0))
            except StillLocked as taken:
                raise StreamTaken(self._result) from taken
            yield

    def read(self) -> Place:
        """Where it stands."""
        sql = "SELECT passed, planned, messages FROM stream_places WHERE result = ? AND stream = ?"
        found = self._database.rows(sql, (self._result, self._stream))
        if not found:
            return Place({})
        row = found[0]
        planned = None if row["planned"] is None else _cursor(row["planned"])
        return Place(_cursor(row["passed"]), planned, int(row["messages"]))

    def plan(self, passed: Cursor, until: Cursor) -> None:
        """From `passed`, where it stands, to `until` is written next, whatever happens.

        Raises: StreamTaken (it stands elsewhere by now: somebody else took over when the lock was lost).
        """
        begin = (
            "INSERT INTO stream_places (result, stream, passed, planned, messages) "
            "VALUES (?, ?, '{}', NULL, 0) ON CONFLICT (result, stream) DO NOTHING"
        )
        go_on = (
            "UPDATE stream_places SET planned = ? "
            "WHERE result = ? AND stream = ? AND passed = ? AND planned IS NULL"
        )
        with self._database.transaction() as writer:
            writer.execute(begin, (self._result, self._stream))
            found = writer.execute(go_on, (_text(until), self._result, self._stream, _text(passed)))
            self._refuse_if_moved(found.rowcount)

    def token(self, passed: Cursor, until: Cursor) -> str:
        """Names a range of this stream and no other: under it the range is appended once."""
        return f"stream:{digest_json([self._stream, _plain(passed), _plain(until)])}"

    def passed(self, until: Cursor, messages: int) -> None:
        """All before `until`, which was planned, is written; it held so many messages more.

        Raises: StreamTaken, as `plan`.
        """
        with self._database.transaction() as writer:
            found = writer.execute(
                "UPDATE stream_places SET passed = planned, planned = NULL, messages = messages + ? "
                "WHERE result = ? AND stream = ? AND planned = ?",
                (messages, self._result, self._stream, _text(until)),
            )
            self._refuse_if_moved(found.rowcount)

    def _refuse_if_moved(self, rows: int) -> None:
        if not rows:
            raise StreamTaken(self._result)


def _plain(cursor: Cursor) -> dict[str, int]:
    return {str(partition): cursor[partition] for partition in sorted(cursor)}


def _text(cursor: Cursor) -> str:
    """As it stands in the table: equal cursors are equal texts."""
    return json.dumps(_plain(cursor))


def _cursor(text: str) -> dict[int, int]:
    return {int(partition): position for partition, position in json.loads(text).items()}
