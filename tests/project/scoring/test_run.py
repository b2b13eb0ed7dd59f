from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.project.scored import flights, lay_late
from tests.serving.worlds import PLAIN, tree_model

from esteira.base.errors import BadInput
from esteira.project.scoring.journal import Asked, Job, Pinned
from esteira.project.scoring.run import ScoreRun, Scoring
from esteira.project.scoring.sources import open_source
from esteira.project.scoring.targets import open_target
from esteira.project.scoring.views import JoinedViews
from esteira.serving.batch import BatchScorer
from esteira.serving.runtimes import open_runtime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esteira.project.station import Station


@pytest.fixture
def late(tmp_path: Path) -> Station:
    return lay_late(tmp_path / "late")


@pytest.fixture
def scorer() -> Iterator[BatchScorer]:
    with BatchScorer(tree_model(0.5)) as opened:
        yield opened


def run_of(
    station: Station,
    scorer: BatchScorer,
    rows: pa.Table,
    *,
    keep: tuple[str, ...] | None = None,
    bad: bool = False,
) -> ScoreRun:
    station.tables.append("rows", rows)
    source = open_source(station.tables, "rows")
    job = Job("scores", Asked("rows", keep, (), "", bad), Pinned(source.ref, 1, "", 10))
    ends = open_target(station, "scores", uses_aside=bad)
    return ScoreRun(job, source, (), JoinedViews((), ""), scorer, ends, station.clock)


def test_a_run_tells_how_far_it_is_after_each_chunk(late: Station, scorer: BatchScorer) -> None:
    run = run_of(late, scorer, flights(25))
    seen: list[Scoring] = []
    run.to_the_end(seen.append)
    assert [(each.done, each.reached, each.rows) for each in seen] == [
        (0, 0, 25),
        (10, 10, 25),
        (20, 20, 25),
        (25, 25, 25),
    ]
    assert run.chunks == 3
    assert run.model_seconds > 0


def test_only_what_is_kept_or_asked_for_is_read(late: Station, scorer: BatchScorer) -> None:
    run = run_of(late, scorer, flights(5).append_column("note", pa.array(["x"] * 5)), keep=("id",))
    assert run.read == ["id", "miles", "carrier", "gust"]


@pytest.mark.parametrize("name", ["score", "VERSION", "scored_at"])
def test_a_column_named_as_one_that_is_added_is_refused_unless_left_out(
    late: Station, scorer: BatchScorer, name: str
) -> None:
    rows = flights(5).append_column(name, pa.array([1] * 5))
    with pytest.raises(
        BadInput, match=f"'{name}' of rows@0 is one that scoring adds; leave it out with --keep"
    ):
        run_of(late, scorer, rows).check()
    run_of(late, scorer, rows.slice(0, 0), keep=("id",)).check()


def test_a_column_that_the_quarantine_adds_is_refused_where_it_is_used(
    late: Station, scorer: BatchScorer
) -> None:
    rows = flights(5).append_column("_reason", pa.array(["x"] * 5))
    run_of(late, scorer, rows).check()
    with pytest.raises(BadInput, match="'_reason'"):
        run_of(late, scorer, rows.slice(0, 0), bad=True).check()


def test_the_scores_are_those_of_the_runtime_that_serves(late: Station, scorer: BatchScorer) -> None:
    rows = flights(35)
    run_of(late, scorer, rows).to_the_end(lambda _: None)
    right = open_runtime(tree_model(0.5)).predict(PLAIN.encode_table(rows))
    assert late.tables.read("scores")["score"].to_pylist() == right.tolist()
