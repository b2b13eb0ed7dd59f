from __future__ import annotations

import shutil
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.project.worlds import HOUR, LIVE, clock_of, lay, rewrite

from esteira.base.errors import NotFound
from esteira.project.datasets import find_manifest, manifests
from esteira.project.ingesting import ingest_new
from esteira.project.materializing import materialize_all
from esteira.project.rebuilding import Comparison, NotRebuildable, OtherTables, compare, rebuild
from esteira.project.release import train
from esteira.project.station import Station, open_station
from esteira.project.upkeep import compact, vacuum

if TYPE_CHECKING:
    from pathlib import Path


def again(station: Station, *changes: tuple[str, str]) -> Comparison:
    """The newest training set made again by the project as it is after some changes of its file."""
    rewrite(station.settings.root, *changes)
    changed = open_station(station.settings.root)
    return rebuild(changed, find_manifest(changed))


def test_a_training_set_made_again_is_equal_and_leaves_no_trace(station: Station) -> None:
    before = len(station.journal.runs()), station.artifacts.count(), len(manifests(station))
    found = again(station)
    assert found.equal
    assert found.moved.equal
    assert (found.cause, found.values) == ("", {})
    assert (len(station.journal.runs()), station.artifacts.count(), len(manifests(station))) == before


@pytest.mark.slow
def test_it_is_equal_after_fifty_appends_compactions_vacuums_and_backfills(station: Station) -> None:
    manifest = find_manifest(station)
    for hour in range(1, 51):
        clock_of(station).set(LIVE + hour * HOUR)
        ingest_new(station, LIVE + hour * HOUR)
        if hour % 10 == 0:
            for name in ("events", "measurements"):
                compact(station, name, reason="a test")
                vacuum(station, name, reason="a test", older_than=timedelta(0))
            materialize_all(station, backfill=True)
    assert station.tables.version("events").version > 50
    assert rebuild(station, manifest).equal
    train(station)
    newest = find_manifest(station)
    assert newest.tables["events"].version > 50
    assert rebuild(station, newest).equal


def test_a_manifest_that_was_handed_over_is_enough_where_the_tables_are(
    station: Station, tmp_path: Path
) -> None:
    manifest = find_manifest(station)
    (tmp_path / "theirs.json").write_bytes(manifest.to_json())
    other = lay(tmp_path / "other")
    shutil.copytree(station.settings.home / "tables", other / ".esteira" / "tables")
    theirs = open_station(other)
    found = rebuild(theirs, find_manifest(theirs, str(tmp_path / "theirs.json")))
    assert found.equal
    assert manifests(theirs) == []


def test_tables_that_are_not_the_same_are_refused(station: Station, tmp_path: Path) -> None:
    manifest = find_manifest(station)
    other = open_station(lay(tmp_path / "other"))
    with pytest.raises(NotFound, match="table 'events'"):
        rebuild(other, manifest)
    ingest_new(other, LIVE - 2 * HOUR)
    with pytest.raises(OtherTables, match=r"events@0 has 1,8\d\d rows here and 1,897 in the manifest"):
        rebuild(other, manifest)


def test_a_changed_view_is_named_with_the_values_that_it_changed(station: Station) -> None:
    found = again(station, ("ttl=timedelta(hours=3)", "ttl=timedelta(hours=1)"))
    assert not found.equal
    assert found.moved.definitions == {"climate.ttl_us": (10_800_000_000, 3_600_000_000)}
    assert [*found.values] == ["climate__heat"]
    first = found.values["climate__heat"]
    assert first.values > 0
    assert first.before is not None
    assert first.after is None  # what was known for three hours is not known any more
    assert "definitions: climate.ttl_us" in found.cause


def test_changed_code_is_named(station: Station) -> None:
    found = again(station, ("holdout=timedelta(days=holdout_days))[0]", "holdout=timedelta(days=4))[0]"))
    assert found.moved.rows[1] < found.moved.rows[0]
    assert [piece.rpartition(".")[2] for piece in found.moved.code] == ["train"]
    assert found.common == found.moved.rows[1]
    assert found.values == {}


def test_without_the_rows_the_columns_that_differ_are_still_named(station: Station) -> None:
    shutil.rmtree(station.artifacts.folder(find_manifest(station).artifact.digest))
    found = again(station, ("ttl=timedelta(hours=3)", "ttl=timedelta(hours=1)"))
    assert found.moved.columns == ("climate__heat",)
    assert (found.common, found.values) == (None, {})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("def train(questions", "def train(weeks: int, questions"), "needs 'weeks'"),
        (("    recent = pc.and_(", '    raise ValueError("old rows")\n    recent = pc.and_('), "old rows"),
    ],
)
def test_a_project_that_cannot_make_it_any_more_says_so(
    station: Station, change: tuple[str, str], reason: str
) -> None:
    with pytest.raises(NotRebuildable, match=reason) as refusal:
        again(station, change)
    assert "check out the project files of that time" in str(refusal.value)


def test_two_training_sets_are_compared_in_the_rows_that_both_have(station: Station) -> None:
    before = find_manifest(station)
    ingest_new(station, LIVE)
    train(station)
    found = compare(station, before, find_manifest(station))
    assert {*found.moved.tables} == {"events", "measurements"}
    assert [each.rows for each in found.moved.tables["events"] if each] == [1897, 1901]
    assert found.moved.parameters == {"until": ("2020-01-20T23:00:00Z", "2020-01-21T00:00:00Z")}
    assert found.moved.spine_moved
    assert found.common is not None
    assert 900 < found.common < before.content.rows + 10
    assert found.values == {}  # features as of a moment do not change when time goes on


def test_a_feature_that_came_and_one_that_went_are_told_as_the_schema(station: Station) -> None:
    before = find_manifest(station)
    rewrite(
        station.settings.root,
        ('{"runs": Count(),', '{"fails": Count(),'),
        ('("runs", "fail', '("fails", "fail'),
    )
    changed = open_station(station.settings.root)
    train(changed, LIVE - HOUR)
    found = compare(changed, before, find_manifest(changed))
    assert found.moved.schema == {"pump_day__runs": ("int64", None), "pump_day__fails": (None, "int64")}
    assert (found.common, found.values) == (before.content.rows, {})
