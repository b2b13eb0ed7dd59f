"""Scores that are sent to another stream, once they are in their table: at least once each.

Each is a JSON object with the columns of the table but the vector. They are read from the table, so one that
is sent again, after a kill or while the other stream was away, has the same score: whoever takes them tells
by stream, partition and position which those are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from esteira.base.errors import BadInput
from esteira.serving.stream_rows import SCORED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esteira.serving.live.arms import LoadedArm
    from esteira.serving.stream_results import StreamResults, Written
    from esteira.serving.streams.port import Message, Stream

COLUMNS = [name for name in SCORED.names if name != "vector"]
_encode = msgspec.json.Encoder().encode


class PublishedInCircle(BadInput):
    """Scores that would go where the messages come from."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"{address} is what is read, and each score would be scored again; name another stream"
        )
        self.address = address


class PublishedResults:
    """The tables of a stream, and the other stream that hears of what is in them.

    Raises: PublishedInCircle, BadInput (a stream that takes no messages), ServiceUnreachable.
    """

    def __init__(self, results: StreamResults, source: Stream, outlet: Stream) -> None:
        if source.identity == outlet.identity or source.address == outlet.address:
            raise PublishedInCircle(outlet.address)
        outlet.publish(())  # before anything is scored, whether it would take any
        self._results, self._outlet = results, outlet

    def write(self, messages: Sequence[Message], token: str, loaded: LoadedArm) -> Written:
        """See `StreamResults.write`; whoever is killed in here and calls it again may send scores twice.

        Raises: as that, ServiceUnreachable (the other stream is away).
        """
        written = self._results.write(messages, token, loaded)
        for rows in self._results.scored(token, COLUMNS):
            found = rows.select(COLUMNS).to_pylist()
            self._outlet.publish([_encode(row) for row in found], [row["key"] for row in found])
        return written
