from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.data.disks import files_of_at_most
from tests.project.scored import flights, lay_late
from tests.project.worlds import ROOT, copy_of
from tests.serving.worlds import PLAIN, tree_model

from esteira.base.errors import BadInput, NotFound, StorageUnwritable, UnknownName
from esteira.base.files import StillLocked, locked
from esteira.project.scoring.job import ScoreWanted, score_table
from esteira.project.scoring.journal import ScoringJobs, TargetTaken
from esteira.project.scoring.run import Scoring, UnscorableRow
from esteira.project.scoring.views import ViewsNeedATime
from esteira.project.station import Station, open_station
from esteira.registry.columns import WrongInput
from esteira.serving.runtimes import open_runtime

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 1_000


@pytest.fixture
def late(tmp_path: Path) -> Station:
    """Version 1 serves, version 2 does not; the table came in three commits."""
    station = lay_late(tmp_path / "late")
    for rows, seed in ((300, 1), (500, 2), (200, 3)):
        station.tables.append("flights", flights(rows, seed))
    return station


def right(station: Station, low: float = 0.5) -> list[float]:
    model = tree_model(low)
    return open_runtime(model).predict(PLAIN.encode_table(station.tables.read("flights"))).tolist()


def scores(station: Station, target: str = "scores") -> list[float]:
    return station.tables.read(target)["score"].to_pylist()


def test_every_row_is_there_once_with_its_score_and_who_gave_it(late: Station) -> None:
    made = score_table(late, ScoreWanted("flights", "scores", chunk=64))
    assert (made.source, made.version, made.scored, made.before) == ("flights@2", 1, ROWS, 0)
    found, given_rows = late.tables.read("scores"), late.tables.read("flights")
    assert found.select(given_rows.column_names).equals(given_rows)
    assert found.column_names[4:] == ["score", "version", "scored_at"]
    assert scores(late) == right(late)
    assert found.schema.field("version").type == pa.int32()
    assert set(found["scored_at"].to_pylist()) == {late.clock.now()}
    acts = [event.action for event in late.audit.events(resource="scores")]
    assert acts == ["data.score", "data.scored"]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chunk=st.integers(20, 1_100), threshold=st.none() | st.integers(0, 1_000))
def test_the_size_of_a_chunk_changes_nothing(late: Station, chunk: int, threshold: int | None) -> None:
    where = () if threshold is None else (("miles", ">", threshold),)
    target = f"s{chunk}_{threshold}"
    score_table(late, ScoreWanted("flights", target, where=where, chunk=chunk))
    expected = right(late)
    if threshold is not None:
        miles = late.tables.read("flights")["miles"].to_pylist()
        expected = [score for score, at in zip(expected, miles, strict=True) if at > threshold]
    assert scores(late, target) == expected


def test_the_columns_that_are_kept_are_those_asked_for(late: Station) -> None:
    score_table(late, ScoreWanted("flights", "scores", keep=("miles", "id")))
    assert late.tables.read("scores").column_names == ["miles", "id", "score", "version", "scored_at"]
    assert scores(late) == right(late)


def test_another_version_than_the_champion_can_be_named(late: Station) -> None:
    made = score_table(late, ScoreWanted("flights@0", "scores", version=2))
    assert (made.source, made.version, made.scored) == ("flights@0", 2, 300)
    assert scores(late) == right(late, -0.5)[:300]
    assert set(late.tables.read("scores")["version"].to_pylist()) == {2}


def test_each_chunk_says_how_long_it_took(late: Station) -> None:
    seen: list[Scoring] = []
    made = score_table(late, ScoreWanted("flights", "scores", chunk=400), seen.append)
    assert [each.done for each in seen] == [0, 400, 800, ROWS]
    assert seen[0].chunk_s == 0.0
    assert all(0 < each.chunk_s < made.seconds for each in seen[1:])


def test_a_table_without_rows_gives_one_without_rows(late: Station) -> None:
    late.tables.append("nothing", flights(0))
    wanted = ScoreWanted("nothing", "scores")
    assert score_table(late, wanted).scored == 0
    assert late.tables.read("scores").column_names[-3:] == ["score", "version", "scored_at"]
    assert score_table(late, wanted).scored == 0
    assert score_table(late, ScoreWanted("flights", "none", where=(("miles", "<", -1),))).scored == 0


def test_the_same_command_again_does_nothing_though_the_world_went_on(late: Station) -> None:
    wanted = ScoreWanted("flights", "scores", chunk=100)
    score_table(late, wanted)
    late.tables.append("flights", flights(10))
    again = score_table(late, wanted)
    assert (again.source, again.scored, again.before, again.chunk) == ("flights@2", ROWS, ROWS, 100)
    assert late.tables.version("scores").version == 9


def test_a_target_that_was_removed_is_made_anew_from_what_is_newest(late: Station) -> None:
    wanted = ScoreWanted("flights", "scores", chunk=100)
    score_table(late, wanted)
    late.tables.append("flights", flights(10))
    shutil.rmtree(late.settings.home / "tables" / "scores")
    assert score_table(open_station(late.settings.root), wanted).scored == ROWS + 10


class Ended(Exception):
    """What a test ends a job with."""


def interrupted(station: Station, wanted: ScoreWanted, after: int) -> None:
    seen: list[Scoring] = []

    def follow(now: Scoring) -> None:
        seen.append(now)
        if len(seen) == after:
            raise Ended

    with pytest.raises(Ended):
        score_table(station, wanted, follow)


def test_an_interrupted_job_goes_on_with_the_rows_and_the_model_of_its_beginning(late: Station) -> None:
    wanted = ScoreWanted("flights", "scores")
    interrupted(late, ScoreWanted("flights", "scores", chunk=100), after=4)
    late.tables.append("flights", flights(10))
    arms = late.routes.get("late")
    assert arms is not None
    champion = arms.arms[0]
    digest = late.routes.known("late")[2]
    moved = replace(arms, arms=(replace(champion, version=2, digest=digest),))
    late.routes.set(moved, expected_revision=arms.revision)
    seen: list[Scoring] = []
    made = score_table(open_station(late.settings.root), wanted, seen.append)
    assert (made.source, made.version, made.scored, made.chunk) == ("flights@2", 1, ROWS, 100)
    assert made.before in (300, 400, 500)  # what was being written when it ended was written
    assert seen[0] == Scoring(made.before, made.before, ROWS)
    assert seen[-1] == Scoring(ROWS, ROWS, ROWS)
    assert scores(late) == right(late)[:ROWS]


def test_a_filtered_job_goes_on_where_it_stood(late: Station) -> None:
    wanted = ScoreWanted("flights", "scores", where=(("miles", ">", 500),), chunk=50)
    interrupted(late, wanted, after=5)
    made = score_table(late, wanted)
    ids = late.tables.read("flights", where=[("miles", ">", 500)])["id"].to_pylist()
    assert late.tables.read("scores")["id"].to_pylist() == ids
    assert made.before >= 200


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (ScoreWanted("flights", "scores", version=2), "another version"),
        (ScoreWanted("flights", "scores", chunk=7), "another chunk"),
        (ScoreWanted("flights@1", "scores"), "another source"),
        (ScoreWanted("flights", "scores", keep=("id",)), "another keep"),
        (ScoreWanted("planes", "scores", where=(("id", "<", 5),)), "another source, another where"),
    ],
)
def test_a_target_that_another_command_fills_is_refused(
    late: Station, wanted: ScoreWanted, said: str
) -> None:
    late.tables.append("planes", flights(5))
    score_table(late, ScoreWanted("flights", "scores"))
    with pytest.raises(TargetTaken, match=rf"flights@2 by version 1 .*{said}; .* name another target"):
        score_table(late, wanted)


def test_a_target_that_no_scoring_made_is_refused_and_stays(late: Station) -> None:
    late.tables.append("scores", pa.table({"other": [1]}))
    with pytest.raises(TargetTaken, match=r"scores exists, and no scoring made it.*name another target"):
        score_table(late, ScoreWanted("flights", "scores"))
    assert late.tables.read("scores")["other"].to_pylist() == [1]
    assert late.audit.events(resource="scores") == []


@pytest.mark.parametrize(
    ("wanted", "kind", "said"),
    [
        (ScoreWanted("flight", "scores"), NotFound, "'flight' does not exist; there are: flights"),
        (ScoreWanted("flights@9", "scores"), NotFound, "the newest is flights@2"),
        (ScoreWanted("flights@new", "scores"), BadInput, "write e.g. flights@3"),
        (ScoreWanted("no/such.parquet", "scores"), NotFound, "give a Parquet file"),
        (ScoreWanted("flights", "flights"), TargetTaken, "no scoring made it"),
        (ScoreWanted("flights", "predictions"), BadInput, "filled by the project itself"),
        (ScoreWanted("flights", "a b"), BadInput, "cannot name a table"),
        (ScoreWanted("flights", "scores", keep=("nope",)), UnknownName, "column of flights@2 'nope'"),
        (ScoreWanted("flights", "scores", where=(("nope", ">", 1),)), UnknownName, "nope"),
        (ScoreWanted("flights", "scores", chunk=0), BadInput, "give 1 or more"),
        (ScoreWanted("flights", "scores", at="when"), WrongInput, "'when' must be in the table"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    late: Station, wanted: ScoreWanted, kind: type[Exception], said: str
) -> None:
    before = late.tables.names()
    with pytest.raises(kind, match=said):
        score_table(late, wanted)
    assert late.tables.names() == before


def test_a_version_that_does_not_exist_is_named(late: Station, empty_registry: Path) -> None:
    shutil.copy(empty_registry, late.settings.home)
    with pytest.raises(NotFound, match=r"9 of model late"):
        score_table(late, ScoreWanted("flights", "scores", version=9))


def test_a_project_where_nothing_serves_says_how_to_go_on(tmp_path: Path) -> None:
    station = lay_late(tmp_path / "late")
    station.tables.append("flights", flights(5))
    (station.settings.root / "late.py").write_text(
        "from esteira import Project\nproject = Project('other', steps=[])\n"
    )
    with pytest.raises(BadInput, match="name one with --version, or deploy one first"):
        score_table(open_station(station.settings.root), ScoreWanted("flights", "scores"))


def test_a_missing_column_is_refused_by_its_name_and_leaves_no_trace(late: Station) -> None:
    late.tables.append("narrow", flights(5).drop_columns(["carrier"]))
    with pytest.raises(WrongInput, match="'carrier' must be in the table"):
        score_table(late, ScoreWanted("narrow", "scores"))
    assert ScoringJobs(late.state).of("scores") is None
    assert late.audit.events(resource="scores") == []


def with_bad_rows(station: Station, *places: int) -> None:
    rows = flights(ROWS)
    miles = rows["miles"].to_numpy().copy()
    miles[[*places]] = np.nan
    station.tables.append("odd", rows.set_column(1, "miles", pa.array(miles)))


def test_a_row_that_cannot_be_scored_ends_the_job_with_its_place(late: Station) -> None:
    with_bad_rows(late, 417)
    with pytest.raises(UnscorableRow, match=r"row 417 of odd@0: column 'miles' .*nan; .*--keep-bad") as found:
        score_table(late, ScoreWanted("odd", "scores", chunk=100))
    assert found.value.row == 417


def test_rows_that_cannot_be_scored_are_set_aside_with_their_reason(late: Station) -> None:
    bad = [3, *range(200, 300), 417, 999]
    with_bad_rows(late, *bad)
    made = score_table(late, ScoreWanted("odd", "scores", keep=("id",), chunk=100, keep_bad=True))
    assert (made.scored, made.set_aside, made.quarantine) == (897, 103, "scores_quarantine")
    aside = late.tables.read("scores_quarantine")
    assert aside["id"].to_pylist() == bad
    assert set(aside["_reason"].to_pylist()) == {"column 'miles' must be a finite number, found nan"}
    assert {"miles", "carrier", "_quarantined_at"} <= {*aside.column_names}
    assert late.tables.read("scores")["id"].to_pylist() == [each for each in range(ROWS) if each not in bad]


@pytest.mark.parametrize("after", [2, 3, 4, 5, 6])
def test_a_job_with_bad_rows_goes_on_and_has_each_row_once(late: Station, after: int) -> None:
    bad = [3, *range(200, 400), 417, *range(900, 1_000)]
    with_bad_rows(late, *bad)
    wanted = ScoreWanted("odd", "scores", chunk=100, keep_bad=True)
    interrupted(late, wanted, after)
    seen: list[Scoring] = []
    made = score_table(late, wanted, seen.append)
    assert (made.scored, made.set_aside) == (ROWS - len(bad), len(bad))
    assert seen[-1].done == ROWS
    assert late.tables.read("scores_quarantine")["id"].to_pylist() == bad
    assert score_table(late, wanted).before == ROWS


def test_parquet_files_go_in_and_come_out(late: Station, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    rows = late.tables.read("flights")
    pq.write_table(rows.slice(0, 600), tmp_path / "in" / "a.parquet", row_group_size=250)
    pq.write_table(rows.slice(600), tmp_path / "in" / "b.parquet")
    target = f"{tmp_path}/out.parquet/"
    wanted = ScoreWanted(f"{tmp_path}/in", target, chunk=150)
    interrupted(late, wanted, after=3)
    made = score_table(late, wanted)
    found = pq.read_table(tmp_path / "out.parquet")
    assert (made.scored, found["score"].to_pylist()) == (ROWS, right(late))
    assert found["id"].to_pylist() == rows["id"].to_pylist()
    assert len([*(tmp_path / "out.parquet").iterdir()]) == 7


def test_a_target_among_the_files_that_are_read_is_refused(late: Station, tmp_path: Path) -> None:
    """Its first chunk would change what is read, and the job could not go on."""
    (tmp_path / "in").mkdir()
    pq.write_table(late.tables.read("flights"), tmp_path / "in" / "a.parquet")
    wanted = ScoreWanted(f"{tmp_path}/in", f"{tmp_path}/in/./out.parquet/")
    with pytest.raises(BadInput, match="is the source, or lies in it; score into another target"):
        score_table(late, wanted)
    assert [each.name for each in (tmp_path / "in").iterdir()] == ["a.parquet"]


def test_two_at_once_are_told_of_each_other(late: Station) -> None:
    score_table(late, ScoreWanted("flights", "scores"))
    (lock,) = late.settings.home.glob("*scoring-*")
    with locked(lock), pytest.raises(StillLocked, match="wait for its holder"):
        score_table(late, ScoreWanted("flights", "scores"))


def test_a_full_disk_is_said_and_the_job_goes_on_when_there_is_room(late: Station) -> None:
    late.tables.append("large", flights(60_000))
    late.audit.record("test", "test")  # its file and that of the state are there before the disk is full
    wanted = ScoreWanted("large", "scores", chunk=20_000)
    with files_of_at_most(300_000), pytest.raises(StorageUnwritable, match=r"scores.*free space"):
        score_table(late, wanted)
    made = score_table(late, wanted)
    assert (made.scored, len(scores(late))) == (60_000, 60_000)


KILLED = """
import sys
from esteira.project.scoring.job import ScoreWanted, score_table
from esteira.project.station import open_station
wanted = ScoreWanted("many", "scores", chunk=500, keep_bad=True)
print("made", score_table(open_station(sys.argv[1]), wanted, lambda now: print(now.done, flush=True)).scored)
"""


@pytest.mark.slow
def test_killed_again_and_again_every_row_is_there_once(late: Station) -> None:
    rows = flights(40_000)
    miles = rows["miles"].to_numpy().copy()
    bad = sorted({*range(10, 40_000, 997), *range(12_000, 13_000)})
    miles[bad] = np.inf
    late.tables.append("many", rows.set_column(1, "miles", pa.array(miles)))
    chance, kills = random.Random(20130701), 0
    for _ in range(11):
        job = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(late.settings.root)],
            cwd=ROOT,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert job.stdout is not None
        job.stdout.readline()
        time.sleep(chance.uniform(0, 0.1))
        if kills < 10:
            job.send_signal(signal.SIGKILL)
        job.stdout.read()
        job.stdout.close()
        if job.wait() == 0:
            break
        assert job.returncode == -signal.SIGKILL
        kills += 1
    assert kills >= 5
    station = open_station(late.settings.root)
    found, aside = station.tables.read("scores"), station.tables.read("scores_quarantine")
    assert aside["id"].to_pylist() == bad
    assert found["id"].to_pylist() == sorted({*range(40_000)} - {*bad})
    matrix = PLAIN.encode_table(found)
    assert found["score"].to_pylist() == open_runtime(tree_model(0.5)).predict(matrix).tolist()


@pytest.mark.slow
def test_views_are_joined_as_a_gateway_read_them_and_the_scores_are_equal_to_the_bit(
    steady: Station, tmp_path: Path
) -> None:
    """What a real gateway answered over five days, out of its online store."""
    station = copy_of(steady.settings.root, tmp_path / "pump")
    logged = station.tables.read("predictions", columns=["id", "score", "version"])
    online = dict(zip(logged["id"].to_pylist(), logged["score"].to_pylist(), strict=True))
    with pytest.raises(ViewsNeedATime, match=r"climate, pump_day.*--at COLUMN"):
        score_table(station, ScoreWanted("events", "scores"))
    wanted = ScoreWanted("events", "scores", version=1, keep=("event_id",), at="asked_at", chunk=1_000)
    interrupted(station, wanted, after=2)
    score_table(station, wanted)
    found = station.tables.read("scores")
    assert found.num_rows == station.tables.version("events").rows
    asked = found.filter(pc.is_in(found["event_id"], logged["id"]))
    assert asked.num_rows > 300
    assert [online[each] for each in asked["event_id"].to_pylist()] == asked["score"].to_pylist()
