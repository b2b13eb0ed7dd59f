from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from esteira.base.databases import open_database
from esteira.project.scoring.journal import Asked, Job, Pinned, ScoringJobs, differences

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)
ASKED = Asked("flights", ("id",), (("at", ">", NOON), ("origin", "in", ["JFK"])), "at", keep_bad=True)
PINNED = Pinned("flights@3", 2, "ab" * 32, 1_000, ("weather:1a2b:weather@5",))


@pytest.fixture
def jobs(tmp_path: Path) -> ScoringJobs:
    return ScoringJobs(open_database(f"sqlite:{tmp_path}/state.db"))


def test_a_job_is_found_by_its_target_and_by_no_other(jobs: ScoringJobs) -> None:
    jobs.keep(Job("scores", ASKED, PINNED))
    found = jobs.of("scores")
    assert found is not None
    assert (found.pinned, found.chunks) == (PINNED, None)
    assert differences(found.asked, ASKED) == []
    assert jobs.of("other") is None


def test_a_job_that_was_read_names_its_chunks_as_before(jobs: ScoringJobs) -> None:
    job = Job("scores", ASKED, PINNED)
    jobs.keep(job)
    found = jobs.of("scores")
    assert found is not None
    assert [found.token(3), found.name] == [job.token(3), job.name]


def test_the_end_of_a_job_and_a_new_job_take_its_place(jobs: ScoringJobs) -> None:
    job = Job("scores", ASKED, PINNED)
    for each in (job, replace(job, chunks=7), replace(job, pinned=replace(PINNED, version=3))):
        jobs.keep(each)
        found = jobs.of("scores")
        assert found is not None
        assert (found.pinned.version, found.chunks) == (each.pinned.version, each.chunks)


@pytest.mark.parametrize(
    "other",
    [
        Job("other", ASKED, PINNED),
        Job("scores", replace(ASKED, at="when"), PINNED),
        Job("scores", ASKED, replace(PINNED, chunk=10)),
        Job("scores", ASKED, replace(PINNED, views=())),
    ],
)
def test_no_two_jobs_name_a_chunk_alike(other: Job) -> None:
    job = Job("scores", ASKED, PINNED)
    assert job.token(0) != job.token(1)
    assert other.token(0) != job.token(0)


def test_every_word_that_differs_is_named() -> None:
    other = Asked("planes", None, (), "at", keep_bad=False)
    assert differences(ASKED, other) == ["source", "keep", "where", "keep_bad"]
