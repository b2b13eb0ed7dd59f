"""Batch scoring: a table in, a table of scores out, by the model code that serves, once for every row.

A job is what fills one target. What was newest when it began (the rows, the model, the views) is written down
before its first chunk, and every chunk is appended with a token of its own: after a kill the same command
goes on at the first chunk that is missing, with the same rows and the same model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from esteira.base.digest import digest_bytes
from esteira.base.errors import BadInput
from esteira.project.release import load_model
from esteira.project.scoring.journal import Asked, Job, Pinned, ScoringJobs, TargetTaken, differences
from esteira.project.scoring.run import ScoreRun
from esteira.project.scoring.sources import is_path, open_source
from esteira.project.scoring.targets import open_target
from esteira.project.scoring.views import joined, pin_views
from esteira.registry.bundle import Model, read_signature
from esteira.serving.batch import BatchScorer

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira.project.scoring.run import Scoring
    from esteira.project.scoring.targets import Ends
    from esteira.project.station import Station

_CELLS, _MOST_ROWS, _LEAST_ROWS = 1 << 22, 1 << 17, 1 << 10  # of a chunk: 32 MiB of numbers, three at once


@dataclass(frozen=True, slots=True)
class ScoreWanted:
    """What to score into what. What is None is the newest when the job begins."""

    source: str  # a table, one version of it (flights@3), or a Parquet file or folder
    target: str  # a table, or a folder of Parquet files
    version: int | None = None  # of the model; None: the champion
    keep: tuple[str, ...] | None = None  # columns of the source that the target has; None: all
    where: tuple[tuple[str, str, Any], ...] = ()
    at: str = ""  # the column with the time of each row, as of which views are read
    chunk: int | None = None  # rows that are scored and written at once; None: as many as fit 32 MiB
    keep_bad: bool = False  # rows that cannot be scored are set aside; else the first ends the job

    @property
    def asked(self) -> Asked:
        """The words of it that decide what lies in the target."""
        path = is_path(self.source)
        source = str(Path(self.source).resolve()) if path else self.source.partition("@")[0]
        return Asked(source, self.keep, self.where, self.at, self.keep_bad)


@dataclass(frozen=True, slots=True)
class ScoredTable:
    """What a job has made."""

    source: str
    target: str
    version: int  # of the model
    chunk: int  # rows
    scored: int  # rows, those of earlier runs included
    set_aside: int  # rows that cannot be scored
    before: int  # of both, how many an earlier run of the same command had done
    quarantine: str  # where rows were set aside; empty when none were
    seconds: float = 0.0  # of this run
    model_seconds: float = 0.0  # of this run in the model, all threads together


def score_table(
    station: Station, wanted: ScoreWanted, follow: Callable[[Scoring], None] | None = None
) -> ScoredTable:
    """Score every row of a source into a target; after a kill the same call goes on.

    `follow` hears how far it is, before the first chunk and after each.
    Raises: NotFound, UnknownName, WrongInput (a column), UnscorableRow, ViewsNeedATime, TargetTaken,
    StillLocked (another process is at it), StorageUnwritable, and what the model's runtime raises.
    """
    ends = open_target(station, wanted.target, uses_aside=wanted.keep_bad)
    lock = f"scoring-{digest_bytes(ends.target.name.encode())[:16]}"
    with station.state.exclusive(lock, 0.0):  # where the jobs are written down, whoever else writes there
        jobs = ScoringJobs(station.state)
        begun = _begun(jobs, wanted, ends)
        job = begun or _new(station, wanted, ends)
        if job.chunks is not None and ends.target.holds(job.token(job.chunks - 1)):
            return _made(job, ends, ends.rows())
        started = perf_counter()
        with BatchScorer(_model(station, job.pinned)) as scorer:
            run = _run(station, wanted, job, ends, scorer)
            run.check()
            if begun is None:
                facts = {"source": job.pinned.source, "version": job.pinned.version}
                station.audit.record("data.score", ends.target.name, facts=facts)
                jobs.keep(job)
            before = ends.rows()
            run.to_the_end(follow or (lambda _: None))
            jobs.keep(replace(job, chunks=run.chunks))
        facts = {"scored": ends.target.rows(), "set_aside": ends.set_aside(), "job": job.name}
        station.audit.record("data.scored", ends.target.name, facts=facts)
        done = _made(job, ends, before)
        return replace(done, seconds=perf_counter() - started, model_seconds=run.model_seconds)


def _begun(jobs: ScoringJobs, wanted: ScoreWanted, ends: Ends) -> Job | None:
    """The job that fills the target, if it is this one; none while nothing is there. Raises: TargetTaken."""
    job, there = jobs.of(ends.target.name), ends.existing()
    if not there:
        return None
    if job is None:
        raise TargetTaken(there[0], "exists, and no scoring made it")
    other = differences(job.asked, wanted.asked)
    said = {"version": wanted.version, "chunk": wanted.chunk}
    other += [name for name, value in said.items() if value not in (None, getattr(job.pinned, name))]
    if "@" in wanted.source and not is_path(wanted.source) and wanted.source != job.pinned.source:
        other.append("source")
    if other:
        pinned = job.pinned
        began = f"{pinned.source} by version {pinned.version} in chunks of {pinned.chunk} rows"
        differs = ", another ".join(dict.fromkeys(other))
        raise TargetTaken(ends.target.name, f"holds scores of {began}, asked for with another {differs}")
    return job


def _new(station: Station, wanted: ScoreWanted, ends: Ends) -> Job:
    """A job on what is newest now. Raises: NotFound, UnknownName, BadInput."""
    source = open_source(station.tables, wanted.source)
    if _is_in(ends.target.name, wanted.asked.source):
        raise BadInput(f"{wanted.target} is the source, or lies in it; score into another target")
    chunk = _rows_at_once(len(source.schema)) if wanted.chunk is None else wanted.chunk
    if chunk < 1:
        raise BadInput(f"chunks of {chunk} rows cannot be; give 1 or more")
    number = _champion(station) if wanted.version is None else wanted.version
    digest = _digest(station, number)
    views = pin_views(station, read_signature(station.artifacts.folder(digest)), None)
    identities = tuple(each.identity for each in views)
    return Job(ends.target.name, wanted.asked, Pinned(source.ref, number, digest, chunk, identities))


def _is_in(target: str, source: str) -> bool:
    """Whether what is written would be part of what is read."""
    return target == source or (is_path(source) and Path(target).is_relative_to(source))


def _run(station: Station, wanted: ScoreWanted, job: Job, ends: Ends, scorer: BatchScorer) -> ScoreRun:
    """A job with all that it reads opened as it is pinned. Raises: ViewsNeedATime, NotFound, BadInput."""
    views = pin_views(station, scorer.signature, job.pinned.views)
    source = open_source(station.tables, wanted.source, job.pinned.source)
    return ScoreRun(job, source, wanted.where, joined(views, wanted.at), scorer, ends, station.clock)


def _champion(station: Station) -> int:
    routes = station.routes.get(station.project.name)
    if routes is None:
        raise BadInput("no version is in production; name one with --version, or deploy one first")
    return routes.champion.version


def _digest(station: Station, number: int) -> str:
    """The bundle of a version; the registry, whose opening takes seconds, is asked only if need be."""
    known = station.routes.known(station.project.name).get(number)
    if known is not None and station.artifacts.folder(known).is_dir():
        return known
    version = station.version(number)
    load_model(station, version)  # puts it where it is looked for
    return version.digest


def _model(station: Station, pinned: Pinned) -> Model:
    folder = station.artifacts.folder(pinned.digest)
    return Model.load(folder) if folder.is_dir() else load_model(station, station.version(pinned.version))


def _rows_at_once(columns: int) -> int:
    """Rows of a chunk of at most about 32 MiB.

    >>> _rows_at_once(3), _rows_at_once(100)
    (131072, 41943)
    """
    return max(_LEAST_ROWS, min(_MOST_ROWS, _CELLS // max(columns, 1)))


def _made(job: Job, ends: Ends, before: int) -> ScoredTable:
    pinned, set_aside = job.pinned, ends.set_aside()
    quarantine = ends.aside.name if set_aside else ""
    names = (pinned.source, job.target, pinned.version, pinned.chunk)
    return ScoredTable(*names, ends.target.rows(), set_aside, before, quarantine)
