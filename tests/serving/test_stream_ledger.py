from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.databases import open_database
from esteira.serving.stream_ledger import Place, StreamLedger, StreamTaken

if TYPE_CHECKING:
    from pathlib import Path

CURSORS = st.dictionaries(st.integers(0, 5), st.integers(0, 2**60), max_size=4)


def ledger(folder: Path, table: str = "scores", stream: str = "local:1") -> StreamLedger:
    return StreamLedger(open_database(f"sqlite:{folder}/state.db"), table, stream)


def test_a_range_that_was_begun_is_found_by_who_comes_next(tmp_path: Path) -> None:
    assert ledger(tmp_path).read() == Place({})
    ledger(tmp_path).plan({}, {0: 10, 3: 4})
    assert ledger(tmp_path).read() == Place({}, {0: 10, 3: 4})
    ledger(tmp_path).passed({0: 10, 3: 4}, 14)
    ledger(tmp_path).plan({3: 4, 0: 10}, {0: 12, 3: 4})
    assert ledger(tmp_path).read() == Place({0: 10, 3: 4}, {0: 12, 3: 4}, 14)
    ledger(tmp_path).passed({0: 12, 3: 4}, 2)
    assert ledger(tmp_path).read() == Place({0: 12, 3: 4}, None, 16)


def test_each_stream_stands_by_itself_in_each_table(tmp_path: Path) -> None:
    ledger(tmp_path).plan({}, {0: 1})
    ledger(tmp_path).passed({0: 1}, 1)
    assert ledger(tmp_path, "others").read() == Place({})
    assert ledger(tmp_path, stream="local:2").read() == Place({})


def test_who_lost_the_lock_is_refused_and_moves_nothing(state_url: str) -> None:
    """Both have read the same place; the lock of a server goes with the connection that holds it."""
    one, two = (StreamLedger(open_database(state_url), "scores", "local:1") for _ in range(2))
    one.plan({}, {0: 10})
    with pytest.raises(StreamTaken):
        two.plan({}, {0: 7})
    two.passed({0: 10}, 10)  # who took over does the range that was begun, and goes on
    two.plan({0: 10}, {0: 25})
    for late in (lambda: one.passed({0: 10}, 10), lambda: one.plan({0: 10}, {0: 20})):
        with pytest.raises(StreamTaken, match="another process scores this stream"):
            late()
    assert two.read() == Place({0: 10}, {0: 25}, 10)


@given(CURSORS, CURSORS, CURSORS)
def test_a_token_names_one_range_of_one_stream(
    start: dict[int, int], until: dict[int, int], other: dict[int, int]
) -> None:
    database = open_database("sqlite::memory:")
    mine, theirs = (StreamLedger(database, "scores", stream) for stream in ("a", "b"))
    token = mine.token(start, until)
    assert token == mine.token(dict(reversed(start.items())), dict(until))
    assert token != theirs.token(start, until)
    assert (token == mine.token(start, other)) == (until == other)
    assert (token == mine.token(other, until)) == (start == other)


def test_one_process_at_a_time_brings_a_stream_into_a_table(tmp_path: Path) -> None:
    with ledger(tmp_path).exclusive():
        with pytest.raises(StreamTaken, match="'scores'"), ledger(tmp_path).exclusive():
            pass
        with ledger(tmp_path, "others").exclusive():
            pass
    with ledger(tmp_path).exclusive():
        pass
