"""How many planted leaks `search_leaks` finds, and how often it finds one where there is none.

A world is small and random: keys, questions on whole hours or at any moment, readings that come late or
not, outcomes that are published long after the question, windows, TTLs. Its clean training set knows
nothing too early. A leak adds one column that does; the world counts only if the column then differs from
its clean self in at least one cell of fifty, for what changes nothing is no leak.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from benchmarks.report import Figure, Report

from esteira.features.point_in_time import point_in_time_join
from esteira.features.proofs.futures import Questions, Source, World
from esteira.features.proofs.leaks import search_leaks
from esteira.features.times import UTC_MICROS
from esteira.features.views import BoundView, FeatureView
from esteira.features.windows.measures import Count, Mean
from esteira.features.windows.sliding import Window, window_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from esteira.features.proofs.leaks import Searched

HOUR = 3_600_000_000  # microseconds
START = 1_577_836_800_000_000
WORLDS, CLEAN = 40, 440  # of each kind of leak, and without one
VISIBLE = 0.02  # of the cells must differ from the clean column
Tables = dict[str, pa.Table]
Build = Callable[[pa.Table, "Mapping[str, pa.Table]"], pa.Table]


@dataclass(frozen=True, slots=True)
class Setting:
    """A random world and the definitions of its clean features."""

    world: World
    readings: FeatureView
    recent: FeatureView

    def build(self, spine: pa.Table, tables: Mapping[str, pa.Table]) -> pa.Table:
        """The clean training set."""
        views = [BoundView(self.readings, tables["readings"]), self.windows(tables["outcomes"], self.recent)]
        joined = point_in_time_join(spine, views, at="asked_at")
        return joined.append_column("so_far", pa.array(_mean_so_far(spine, own=False)))

    @staticmethod
    def windows(rows: pa.Table, view: FeatureView) -> BoundView:
        """A windowed view over some events."""
        assert view.window is not None
        return BoundView(view, window_rows(rows, view.window))


def setting(chance: np.random.Generator) -> Setting:
    """A world drawn at random."""
    count, keys, days = int(chance.integers(250, 600)), int(chance.integers(2, 15)), chance.integers(3, 20)
    asked = START + np.sort(chance.integers(0, days * 24 * HOUR, count))
    if chance.random() < 0.5:
        asked = asked // HOUR * HOUR
    known = asked + (chance.gamma(2, 0.5, count) * chance.uniform(1, 12) * HOUR).astype(np.int64) + 1
    key = chance.integers(0, keys, count)
    load = chance.normal(size=count)
    odds = chance.uniform(0.3, 2) * load + 0.5 * np.sin(key)
    late = (chance.random(count) < 1 / (1 + np.exp(-odds - chance.uniform(-0.7, 0.7)))).astype(np.int8)
    outcomes = pa.table(
        {
            "id": [f"q{number}" for number in range(count)],
            "key": [f"k{each}" for each in key],
            "load": load,
            "late": late,
            "asked_at": _times(asked),
            "known_at": _times(known),
        }
    )
    readings, event, created = _readings(chance, keys, days)
    spine = outcomes.drop_columns(["known_at"])
    features = ("load", "readings__level", "recent__runs", "recent__late_share", "so_far")
    says_more = chance.random() < 0.7  # else questions have no id, and nobody knows when outcomes were known
    told = (known, "id") if says_more else (asked + 1, "")
    world = World(
        Questions(spine, "asked_at", "late", features, *told),
        {
            "readings": Source(readings, created, event, ("key",)),
            "outcomes": Source(outcomes, known, known, ("key",)),
        },
    )
    ttl = None if chance.random() < 0.5 else timedelta(hours=float(chance.uniform(3, 48)))
    level = FeatureView("readings", ("key",), ("level",), "readings", "event_at", "created_at", ttl)
    hop = timedelta(hours=int(chance.choice([1, 2, 6])))
    return Setting(world, level, _recent("known_at", hop * int(chance.integers(2, 12)), hop))


def _readings(
    chance: np.random.Generator, keys: int, days: int
) -> tuple[pa.Table, NDArray[np.int64], NDArray[np.int64]]:
    count = int(keys * days * chance.uniform(4, 24))
    event = START + chance.integers(-24 * HOUR, days * 24 * HOUR, count)
    is_late = chance.random(count) < chance.choice([0.1, 0.3, 1.0])
    created = event + (is_late * chance.exponential(chance.uniform(0.5, 24), count) * HOUR).astype(np.int64)
    values = pa.array(chance.normal(size=count), mask=chance.random(count) < 0.05)
    columns = {"key": [f"k{each}" for each in chance.integers(0, keys, count)], "level": values}
    rows = pa.table(columns | {"event_at": _times(event), "created_at": _times(created)})
    return rows, event, created


def _recent(time: str, length: timedelta, hop: timedelta) -> FeatureView:
    measures = {"runs": Count(), "late_share": Mean("late")}
    window = Window(("key",), time, length, hop, measures)
    return FeatureView("recent", ("key",), tuple(measures), "outcomes", window=window)


def _times(micros: NDArray[np.int64]) -> pa.Array:
    return pa.array(micros.astype(np.int64)).cast(UTC_MICROS)


def _groups(spine: pa.Table) -> NDArray[np.int64]:
    return np.asarray(pc.rank(spine["key"], tiebreaker="dense"), dtype=np.int64)


def _mean_so_far(spine: pa.Table, *, own: bool) -> NDArray[np.float64]:
    """The mean load of the key's questions so far; with `own`, their mean outcome, this one included."""
    groups, found = _groups(spine), np.full(spine.num_rows, np.nan)
    values = spine["late" if own else "load"].to_numpy().astype(np.float64)
    for group in np.unique(groups):
        mine = np.flatnonzero(groups == group)
        found[mine] = np.cumsum(values[mine]) / np.arange(1, len(mine) + 1)
    return found


# ── what leaks ──────────────────────────────────────────────────────────────────────────────────────────


def _joined(spine: pa.Table, bound: BoundView, *, as_known: bool = True) -> pa.ChunkedArray:
    joined = point_in_time_join(spine, [bound], at="asked_at", as_known=as_known)
    return joined[bound.view.columns[-1]]


def _one_hop_early(made: Setting, spine: pa.Table, tables: Mapping[str, pa.Table]) -> pa.ChunkedArray:
    bound = made.windows(tables["outcomes"], made.recent)
    assert made.recent.window is not None
    early = pc.subtract(bound.rows["event_ts"], pa.scalar(made.recent.window.hop))
    at = bound.rows.schema.get_field_index("event_ts")
    return _joined(spine, BoundView(bound.view, bound.rows.set_column(at, "event_ts", early)))


def _not_as_known(made: Setting, spine: pa.Table, tables: Mapping[str, pa.Table]) -> pa.ChunkedArray:
    return _joined(spine, BoundView(made.readings, tables["readings"]), as_known=False)


def _created_ignored(made: Setting, spine: pa.Table, tables: Mapping[str, pa.Table]) -> pa.ChunkedArray:
    view = FeatureView("readings", ("key",), ("level",), "readings", "event_at", ttl=made.readings.ttl)
    return _joined(spine, BoundView(view, tables["readings"]))


def _over_its_start(made: Setting, spine: pa.Table, tables: Mapping[str, pa.Table]) -> pa.ChunkedArray:
    assert made.recent.window is not None
    view = _recent("asked_at", made.recent.window.length, made.recent.window.hop)
    return _joined(spine, made.windows(tables["outcomes"], view))


def _nearest(_: Setting, spine: pa.Table, tables: Mapping[str, pa.Table]) -> pa.Array:
    rows = tables["readings"]
    event, asked = (pc.cast(each, pa.int64()).to_numpy() for each in (rows["event_at"], spine["asked_at"]))
    level, found = rows["level"].to_numpy(), np.full(spine.num_rows, np.nan)
    theirs, mine = rows["key"].to_numpy(), spine["key"].to_numpy()
    for key in np.unique(mine):
        offered, asking = np.flatnonzero(theirs == key), np.flatnonzero(mine == key)
        if len(offered):
            distance = np.abs(event[offered][None, :] - asked[asking][:, None])
            found[asking] = level[offered][distance.argmin(axis=1)]
    return pa.array(found)


def _latest_snapshot(_: Setting, spine: pa.Table, tables: Mapping[str, pa.Table]) -> pa.Array:
    rows = tables["readings"].sort_by("event_at").group_by("key", use_threads=False)
    last = rows.aggregate([("level", "last")])
    return last["level_last"].take(pc.index_in(spine["key"], last["key"]))


def _mean_of_key(_: Setting, spine: pa.Table, __: Mapping[str, pa.Table]) -> pa.Array:
    means = spine.group_by("key").aggregate([("late", "mean")])
    return means["late_mean"].take(pc.index_in(spine["key"], means["key"]))


def _count_of_key(_: Setting, spine: pa.Table, __: Mapping[str, pa.Table]) -> pa.Array:
    counts = spine.group_by("key").aggregate([("late", "count")])
    return counts["late_count"].take(pc.index_in(spine["key"], counts["key"]))


def _scaled(made: Setting, spine: pa.Table, tables: Mapping[str, pa.Table]) -> pa.ChunkedArray:
    level = _joined(spine, BoundView(made.readings, tables["readings"]))
    return pc.divide(pc.subtract(level, pc.mean(level)), pc.stddev(level))


def _next_outcome(_: Setting, spine: pa.Table, __: Mapping[str, pa.Table]) -> pa.Array:
    late, groups = spine["late"].to_numpy(), _groups(spine)
    found = np.full(spine.num_rows, np.nan)
    for group in np.unique(groups):
        mine = np.flatnonzero(groups == group)
        found[mine[:-1]] = late[mine[1:]]
    return pa.array(found)


def _own_in_mean(_: Setting, spine: pa.Table, __: Mapping[str, pa.Table]) -> pa.Array:
    return pa.array(_mean_so_far(spine, own=True))


Leak = Callable[[Setting, pa.Table, "Mapping[str, pa.Table]"], pa.Array]
FROM_SOURCES: dict[str, Leak] = {
    "one_hop_early": _one_hop_early,
    "not_as_known": _not_as_known,
    "created_ignored": _created_ignored,
    "over_its_start": _over_its_start,
    "nearest": _nearest,
    "latest_snapshot": _latest_snapshot,
}
FROM_QUESTIONS: dict[str, Leak] = {
    "mean_of_key": _mean_of_key,
    "count_of_key": _count_of_key,
    "scaled_over_all": _scaled,
    "next_outcome": _next_outcome,
    "own_in_mean": _own_in_mean,
}
COPIES = ("label_copy", "noisy_copy", "renamed_copy")  # columns of the spine that carry the answer
KINDS = (*FROM_SOURCES, *FROM_QUESTIONS, *COPIES)


def planted(kind: str, chance: np.random.Generator) -> tuple[Build, World]:
    """A world whose training set has a column `leaked`, of that kind."""
    if kind in COPIES:
        return _with_copy(kind, setting(chance), chance)
    leak = (FROM_SOURCES | FROM_QUESTIONS)[kind]
    made = setting(chance)
    while kind in FROM_SOURCES and not _shows(leak, made):
        made = setting(chance)

    def build(spine: pa.Table, tables: Mapping[str, pa.Table]) -> pa.Table:
        return made.build(spine, tables).append_column("leaked", leak(made, spine, tables))

    return build, _asking_for(made.world, "leaked")


def _asking_for(world: World, column: str) -> World:
    questions = replace(world.questions, features=(*world.questions.features, column))
    return replace(world, questions=questions)


def _shows(leak: Leak, made: Setting) -> bool:
    """Whether at least one of fifty cells changes when all that was unknown at its question is not there."""
    world, rows = made.world, made.world.questions.rows
    normal = leak(made, rows, world.tables())
    for place in np.linspace(0, rows.num_rows - 1, int(1 / VISIBLE)).astype(int).tolist():
        moment = int(world.questions.asked_us[place])
        known = {name: s.rows.filter(pa.array(s.known_us <= moment)) for name, s in world.sources.items()}
        one = leak(made, rows.slice(place, 1), known)[0].as_py()
        if repr(one) != repr(normal[place].as_py()):  # of which NaN is no difference
            return True
    return False


def _with_copy(kind: str, made: Setting, chance: np.random.Generator) -> tuple[Build, World]:
    """A column of the questions that is the outcome: itself, with noise, or as a word."""
    late = made.world.questions.rows["late"].to_numpy()
    noisy = late + chance.normal(scale=chance.uniform(0.01, 0.25), size=len(late))
    values = {"label_copy": late, "noisy_copy": noisy, "renamed_copy": np.where(late, "yes", "no")}[kind]
    rows = made.world.questions.rows.append_column("leaked", pa.array(values))
    world = _asking_for(made.world, "leaked")
    return made.build, replace(world, questions=replace(world.questions, rows=rows))


def is_caught(found: Searched) -> bool:
    """Whether the planted column, and no other, was found."""
    return {name for leak in found.leaks for name in leak.columns} == {"leaked"}


# ── the measurement ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of some worlds of one kind."""

    worlds: int
    missed: tuple[int, ...]  # seeds of the worlds that were judged wrongly
    seconds: float

    @property
    def share(self) -> float:
        """Of the worlds, judged rightly."""
        return 1 - len(self.missed) / self.worlds


def measure(kind: str, worlds: int) -> Measured:
    """Search `worlds` worlds with a leak of that kind, or clean ones when it is empty."""
    missed, seconds = [], 0.0
    for seed in range(worlds):
        chance = np.random.default_rng([seed, len(kind)])
        if kind:
            build, world = planted(kind, chance)
        else:
            clean = setting(chance)
            build, world = clean.build, clean.world
        started = perf_counter()
        found = search_leaks(build, world, seed=seed)
        seconds += perf_counter() - started
        if not (is_caught(found) if kind else found.passed):
            missed.append(seed)
    return Measured(worlds, tuple(missed), seconds)


def main() -> int:
    """Measure, print, write; 0 only if both goals hold."""
    report = Report("leaks", distributions=("numpy", "pyarrow"))
    found = {kind: measure(kind, WORLDS) for kind in KINDS}
    for kind, measured in found.items():
        report.add(Figure(f"caught_{kind}", 100 * measured.share, "%"))
    caught = sum(measured.share for measured in found.values()) / len(found)
    report.add(Figure("planted_leaks_caught", 100 * caught, "%", 99, "at least"))
    clean = measure("", CLEAN)
    report.add(Figure("false_alarms", 100 * (1 - clean.share), "%", 1))
    report.add(Figure("search_of_a_world", clean.seconds / clean.worlds, "s"))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
