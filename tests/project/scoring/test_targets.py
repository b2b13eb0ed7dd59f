from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data.disks import files_of_at_most
from tests.project.scored import flights, lay_late

from esteira.base.errors import BadInput, NaiveTime, StorageUnwritable
from esteira.project.scoring.targets import Ends, FolderTarget, TableTarget, open_target

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.project.scoring.targets import RowTarget
    from esteira.project.station import Station


@pytest.fixture
def late(tmp_path: Path) -> Station:
    return lay_late(tmp_path / "late")


@pytest.fixture(params=["table", "folder"])
def ends(request: pytest.FixtureRequest, late: Station, tmp_path: Path) -> Ends:
    name = "scores" if request.param == "table" else f"{tmp_path}/scores.parquet/"
    return open_target(late, name, uses_aside=True)


def token(chunk: int) -> str:
    return f"t{chunk}"


def test_rows_are_taken_once_for_a_token(ends: Ends) -> None:
    target = ends.target
    assert (target.exists(), target.holds("t0"), target.rows()) == (False, False, 0)
    for _ in range(2):
        target.write(flights(5), "t0")
    target.write(flights(3), "t1")
    assert (target.exists(), target.holds("t0"), target.holds("t2"), target.rows()) == (True, True, False, 8)


def test_what_is_beside_a_target_is_named_after_it(ends: Ends) -> None:
    assert "scores_quarantine" in ends.aside.name
    ends.aside.write(flights(2), "t0")
    ends.target.write(flights(3), "t0")
    assert (ends.set_aside(), ends.rows()) == (2, 5)
    assert ends.existing() == [ends.target.name, ends.aside.name]
    alone = Ends(ends.target, ends.aside, uses_aside=False)
    assert (alone.set_aside(), alone.rows(), alone.existing()) == (0, 3, [ends.target.name])


@pytest.mark.parametrize(
    ("good", "bad", "missing"),
    [
        ((), (), 0),
        ((0, 1), (), 2),
        ((0, 1), (0, 1, 2), 2),  # the last was killed between the two
        ((0, 3), (1, 2), 4),  # two chunks of which no row could be scored
        ((), (0, 1), 0),
    ],
)
def test_the_first_missing_chunk_is_the_one_after_the_last_with_scores(
    late: Station, good: tuple[int, ...], bad: tuple[int, ...], missing: int
) -> None:
    ends = open_target(late, "scores", uses_aside=True)
    for chunk in good:
        ends.target.write(flights(1), token(chunk))
    for chunk in bad:
        ends.aside.write(flights(1), token(chunk))
    assert ends.first_missing(token) == missing


def test_rows_without_any_begin_a_target(ends: Ends) -> None:
    ends.target.write(flights(0), "t0")
    assert (ends.target.exists(), ends.target.holds("t0"), ends.target.rows()) == (True, True, 0)


def test_a_time_without_zone_is_refused(ends: Ends) -> None:
    with pytest.raises(NaiveTime, match="column at"):
        ends.target.write(pa.table({"at": pa.array([0], pa.timestamp("us"))}), "t0")
    assert not ends.target.holds("t0")


def test_a_full_disk_leaves_nothing_of_a_chunk(ends: Ends) -> None:
    ends.target.write(flights(5), "t0")
    with files_of_at_most(20_000), pytest.raises(StorageUnwritable, match="free space"):
        ends.target.write(flights(5_000), "t1")
    assert (ends.target.holds("t1"), ends.target.rows()) == (False, 5)
    ends.target.write(flights(5_000), "t1")
    assert ends.target.rows() == 5_005


def test_a_half_written_file_counts_for_nothing_and_is_written_over(tmp_path: Path) -> None:
    folder = tmp_path / "scores.parquet"
    folder.mkdir()
    (folder / ".t0.parquet").write_bytes(b"half")
    target: RowTarget = FolderTarget(folder)
    assert (target.exists(), target.holds("t0"), target.rows()) == (True, False, 0)
    target.write(flights(5), "t0")
    assert [each.name for each in folder.iterdir()] == ["t0.parquet"]
    assert pq.read_table(folder).num_rows == 5


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("predictions", "filled by the project itself; name another, e.g. scores"),
        ("scores_quarantine", "filled by the project itself"),
        ("two words", "cannot name a table"),
    ],
)
def test_a_name_that_cannot_be_is_refused(late: Station, name: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        open_target(late, name, uses_aside=False)


def test_a_file_is_no_target(late: Station, tmp_path: Path) -> None:
    (tmp_path / "scores.parquet").write_bytes(b"rows")
    with pytest.raises(BadInput, match="is a file; name a folder"):
        open_target(late, str(tmp_path / "scores.parquet"), uses_aside=False)


@pytest.mark.parametrize("name", ["./", "..", "/"])
def test_a_folder_without_a_name_is_no_target(late: Station, name: str) -> None:
    with pytest.raises(BadInput, match="has no name of its own; name a folder" if "/" in name else "table"):
        open_target(late, name, uses_aside=False)


def test_a_table_of_the_store_is_named_as_it_is(late: Station) -> None:
    assert isinstance(open_target(late, "scores", uses_aside=False).target, TableTarget)
