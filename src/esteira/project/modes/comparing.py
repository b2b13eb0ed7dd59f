"""The same rows by one version in batch, online and as a stream: what each costs, and whether they agree.

Nothing of it touches the project: all work on a copy of the version in a folder aside. The modes run one
after another, each in processes of its own, so that memory and processor time are its own.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from esteira.base.errors import BadInput
from esteira.project.modes import batch, online, streaming
from esteira.project.modes.measured import ModesMeasured, compared
from esteira.project.modes.scratch import choose, lay_scratch
from esteira.project.modes.words import sentences
from esteira.project.station import open_station
from esteira.serving.load.plan import MOST_CONNECTIONS
from esteira.serving.runtimes import open_runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from esteira.project.modes.measured import ModeScores
    from esteira.project.modes.scratch import Scratch

MOST_ROWS = 200_000  # the requests for them are made before the first is sent
MANY = 100  # rows of a request, beside one


@dataclass(frozen=True, slots=True)
class ModesWanted:
    """What to compare."""

    folder: Path
    version: int | None = None  # None: the champion
    rows: int = 20_000
    concurrency: int = 16  # requests at a time


def compare_modes(
    wanted: ModesWanted, on_progress: Callable[[str, float], None] = lambda _what, _share: None
) -> ModesMeasured:
    """Score the same rows in every mode.

    Raises: BadInput (a number of rows or requests that cannot be, a model of tensors), NotFound (a version),
    ModeFailed, LoadFailed, ServiceUnreachable, StorageUnwritable.
    """
    _refuse(wanted)
    station = open_station(wanted.folder)
    on_progress("making the rows", 0.0)
    chosen = choose(station, wanted.version)
    with tempfile.TemporaryDirectory(prefix="esteira-bench-") as aside:
        scratch = lay_scratch(Path(aside), station, chosen, wanted.rows)
        found = []
        steps = _steps(scratch, wanted.concurrency)
        for place, (name, measure) in enumerate(steps.items(), start=1):
            on_progress(name, place / (len(steps) + 1))
            found.append(measure())
    beside = compared(found)
    runtime = open_runtime(chosen.model)  # not sooner: modes would share the memory that it maps
    may_vary = getattr(runtime, "may_wait", False)  # of several members, one may miss its deadline
    made = ModesMeasured(
        station.project.name,
        chosen.version,
        wanted.rows,
        scratch.recorded,
        runtime.is_exact and not may_vary,
        beside.modes,
        beside.differing,
        beside.greatest,
    )
    return replace(made, sentences=sentences(*beside.modes))


def _steps(scratch: Scratch, concurrency: int) -> Mapping[str, Callable[[], ModeScores]]:
    return {
        "batch": partial(batch.measure, scratch),
        "online, a row a request": partial(online.measure, scratch, 1, concurrency),
        f"online, {MANY} rows a request": partial(online.measure, scratch, MANY, concurrency),
        "streaming": partial(streaming.measure, scratch),
    }


def _refuse(wanted: ModesWanted) -> None:
    if not 1 <= wanted.rows <= MOST_ROWS:
        raise BadInput(f"the modes are compared on 1 to {MOST_ROWS} rows, found {wanted.rows}")
    if not 1 <= wanted.concurrency <= MOST_CONNECTIONS:
        raise BadInput(f"1 to {MOST_CONNECTIONS} requests may be asked at a time, found {wanted.concurrency}")
