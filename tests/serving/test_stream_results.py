from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.serving.stream_worlds import GOOD, MILES, TABLE, StreamWorld
from tests.serving.worlds import tree_model

from esteira.data.tables.schema import SchemaChanged
from esteira.serving.stream_results import StreamResults, Written, rejected_of
from esteira.serving.streams.port import Message

if TYPE_CHECKING:
    from pathlib import Path

MIXED = [Message(0, 0, 0, "", GOOD), Message(0, 1, 0, "", b'{"miles": 3}'), Message(1, 0, 0, "", b"poison")]


def results(world: StreamWorld, stream: str = "s") -> StreamResults:
    return StreamResults(world.tables, TABLE, stream, "late", world.clock)


def test_both_tables_are_there_from_the_beginning(tmp_path: Path) -> None:
    world = StreamWorld(tmp_path)
    results(world)
    results(world)
    assert world.tables.names() == [TABLE, rejected_of(TABLE)]
    assert (world.scored(), world.rejected()) == ([], [])


def test_the_same_token_writes_once(tmp_path: Path) -> None:
    world = StreamWorld(tmp_path)
    for _ in range(3):
        assert results(world).write(MIXED, "t", world.model) == Written(1, 2)
    assert sorted(world.spots()) == [(0, 0), (0, 1), (1, 0)]
    results(world).write(MIXED, "u", world.model)
    assert len(world.spots()) == 6


@pytest.mark.parametrize("has_rows_before", [False, True])
def test_who_was_killed_between_the_tables_ends_what_was_begun_as_it_was_begun(
    tmp_path: Path, has_rows_before: bool
) -> None:
    world = StreamWorld(tmp_path)
    if has_rows_before:
        results(world).write(MIXED, "earlier", world.model)
    results(world).write(MIXED, "t", world.model)
    before = world.spots()
    # As if the second append had not come, and another champion had: it refuses what was scored, and would
    # score what was refused.
    other = StreamWorld(tmp_path / "other")
    results(other).write(MIXED[:1], "t", other.model)
    newer = other.version(2, tree_model(0.1, MILES))
    assert results(other).write(MIXED, "t", newer) == Written(1, 2)
    assert sorted(other.spots()) == sorted({*before})
    first, second = sorted(other.rejected(), key=lambda row: row["partition"])[::-1]
    assert "not JSON" in first["reason"]
    assert "refused when it was first read" in second["reason"]


def test_a_range_of_which_nothing_could_be_scored_is_not_judged_again(tmp_path: Path) -> None:
    world = StreamWorld(tmp_path)
    refused = MIXED[1:2]
    assert results(world).write(refused, "t", world.model) == Written(0, 1)
    newer = world.version(2, tree_model(0.1, MILES))
    assert results(world).write(refused, "t", newer) == Written(0, 1)
    assert (world.scored(), len(world.rejected())) == ([], 1)


def test_a_table_of_other_columns_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    world = StreamWorld(tmp_path)
    world.tables.append(TABLE, pa.table({"x": [1]}))
    with pytest.raises(SchemaChanged, match=TABLE):
        results(world)
