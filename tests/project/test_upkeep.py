from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from tests.project.worlds import clock_of, lay

from esteira.base.errors import NotFound
from esteira.project.station import Station, open_station
from esteira.project.upkeep import MANY, compact, keep_tidy, vacuum

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def empty(tmp_path: Path) -> Station:
    return open_station(lay(tmp_path / "pump"))


def grow(station: Station, name: str, appends: int) -> None:
    for at in range(appends):
        station.tables.append(name, pa.table({"n": [at]}))


def records(station: Station) -> list[str]:
    return [f"{event.action} {event.resource}" for event in station.audit.events()]


def test_a_table_is_compacted_once_it_has_many_small_files(empty: Station) -> None:
    grow(empty, "few", 3)
    grow(empty, "many", MANY - 1)
    assert keep_tidy(empty) == []
    assert records(empty) == []
    grow(empty, "many", 1)
    before = empty.tables.read("many")
    (made,) = keep_tidy(empty)
    assert (made.table, made.rows) == ("many", MANY)
    assert empty.tables.describe("many").files == 1
    assert empty.tables.describe("few").files == 3
    assert empty.tables.read("many").equals(before)
    assert records(empty) == ["data.compact many", "data.vacuum many"]
    assert keep_tidy(empty) == []


def test_what_was_superseded_a_week_ago_goes_with_the_next_compaction(empty: Station) -> None:
    folder = empty.settings.root / ".esteira" / "tables" / "many"
    for _ in range(2):
        grow(empty, "many", MANY)
        keep_tidy(empty)
    assert len([*folder.glob("*.parquet")]) > 2 * MANY
    clock_of(empty).advance(timedelta(days=7))
    grow(empty, "many", MANY)
    keep_tidy(empty)
    assert len([*folder.glob("*.parquet")]) == 1 + (MANY + 1)  # the newest, and what it just replaced
    assert empty.tables.read("many")["n"].to_pylist() == [*range(MANY)] * 3


def test_tables_of_other_tools_are_left_to_them(empty: Station) -> None:
    grow(empty, "theirs", MANY)
    write_deltalake(
        empty.settings.root / ".esteira" / "tables" / "theirs", pa.table({"n": [1]}), mode="append"
    )
    assert keep_tidy(empty) == []
    assert empty.tables.version("theirs").rows == MANY + 1


def test_upkeep_by_hand_is_recorded_first(empty: Station) -> None:
    grow(empty, "some", 3)
    made = compact(empty, "some", reason="by hand", target_bytes=10**6)
    assert made is not None
    assert vacuum(empty, "some", reason="by hand", older_than=timedelta(0)).files == 3
    found = [(event.action, event.reason, dict(event.facts)) for event in empty.audit.events()]
    assert found == [
        ("data.compact", "by hand", {"files": 3, "target_bytes": 10**6}),
        ("data.vacuum", "by hand", {"older_than_seconds": 0}),
    ]


def test_a_table_that_is_not_there_leaves_no_record(empty: Station) -> None:
    for act in (compact, vacuum):
        with pytest.raises(NotFound):
            act(empty, "nothing", reason="by hand")
    assert records(empty) == []
