from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.contracts.tables import flights

from esteira.base.errors import BadInput
from esteira.data.tables.delta import DeltaLibrary, DeltaTables
from esteira.data.tables.facts import Facts
from esteira.data.tables.log import appending
from esteira.data.tables.opened import OpenTable

if TYPE_CHECKING:
    from pathlib import Path

WIDER = pa.schema([*flights().schema, ("gate", pa.string())])


@pytest.fixture
def opened(tables: DeltaTables, tmp_path: Path) -> OpenTable:
    """Of six appends of two rows."""
    for at in range(6):
        tables.append("flights", flights(at, at))
    return reopened(tmp_path)


def reopened(folder: Path) -> OpenTable:
    place = folder / "flights"
    return OpenTable("flights", place, DeltaLibrary("flights", place))


def test_a_version_is_the_first_rows_of_the_newest_files(opened: OpenTable, tables: DeltaTables) -> None:
    version = opened.commits.version(1)
    before = opened.extent(version)
    assert (before.first, before.last, [piece.start for piece in before.files]) == (0, 4, [0, 2])
    tables.compact("flights")
    opened.refresh()
    after = opened.extent(version)
    assert (after.first, after.last, after.merges - before.merges) == (0, 4, 1)
    assert [(piece.start, piece.rows) for piece in after.files] == [(0, 12)]
    assert not after.has_all_of(after.files[0])


def test_what_came_after_a_version_begins_in_the_middle_of_a_merged_file(
    opened: OpenTable, tables: DeltaTables
) -> None:
    tables.compact("flights")
    tables.append("flights", flights(9))
    opened.refresh()
    found = opened.extent(opened.commits.version(None), after=opened.commits.version(4))
    assert (found.first, found.last, len(found.files)) == (10, 13, 2)
    nothing = opened.extent(opened.commits.version(5), after=opened.commits.version(5))
    assert (nothing.first, nothing.last, [*nothing.files]) == (12, 12, [])
    with pytest.raises(BadInput, match="nothing of flights@2 came after flights@3"):
        opened.extent(opened.commits.version(2), after=opened.commits.version(3))


def test_the_rows_of_some_files_are_found_by_their_place(opened: OpenTable) -> None:
    found = opened.holding(opened.commits.layout.files[2:5])
    assert (found.first, found.last, [piece.start for piece in found.files]) == (4, 10, [4, 6, 8])


def test_each_version_has_the_schema_of_its_time(opened: OpenTable, tables: DeltaTables) -> None:
    tables.evolve("flights", WIDER)
    opened.refresh()
    assert [opened.schema(number) for number in (5, 6)] == [flights().schema, WIDER]
    assert opened.schema(6) is opened.schema(6)  # not parsed for each read


def test_a_change_takes_the_next_free_version_or_none(opened: OpenTable, tables: DeltaTables) -> None:
    tables.append("flights", flights(7))  # which this one has not seen
    facts = Facts(0, 5, token="later")
    assert opened.change(appending(facts), lambda: True)
    assert opened.commits.holding("later") == opened.commits.version(7)
    tables.append("flights", flights(8))
    known = len(opened.commits.versions)
    assert not opened.change(appending(facts), lambda: len(opened.commits.versions) == known)
    assert len(opened.commits.versions) == known + 1


def test_two_who_evolve_from_one_schema_are_told_apart(opened: OpenTable, tables: DeltaTables) -> None:
    tables.evolve("flights", WIDER)
    other = pa.schema([*flights().schema, ("belt", pa.string())])
    assert not opened.evolve(other, Facts(0, 5))
    assert opened.schema(len(opened.commits.versions) - 1) == WIDER
