"""Does a training set know the future? Computed again in other futures, its past must stay as it is.

The code that makes the set is a black box. At several moments the rows that were not known yet are deleted
(truncation), get other values (mutation), or, where a question was still open, another outcome; whatever
changes in a question that was asked by then has leaked. What no other future can show, a column that came
with the question and says its answer, is found by how well it alone tells the target.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from esteira.base.clock import from_micros
from esteira.base.errors import EsteiraError
from esteira.features.proofs.cutoffs import choose_cutoffs
from esteira.features.proofs.differences import common_places, unequal
from esteira.features.proofs.futures import FUTURES
from esteira.features.proofs.giveaways import find_giveaways
from esteira.features.times import column_of, micros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from numpy.typing import NDArray

    from esteira.features.proofs.futures import World

    Build = Callable[[pa.Table, Mapping[str, pa.Table]], pa.Table]
    """The training set of the questions, from the rows of each source."""

REPEAT, ANSWER = "repetition", "answer"
_WHAT = "the training set"
_EVERYTHING = 0.5  # a change that reaches this share of the oldest questions is no matter of a moment

_CAUSES: Mapping[str, tuple[str, str]] = {  # what it looks like → likely cause, mend
    "everything": (
        "something was made of all rows: a scaler, an encoder, a mean, a count, the newest row",
        "make it of what was known at each question; fit encodings in the model step, on its rows alone",
    ),
    "early": (
        "rows answer before they were known",
        "join with point_in_time_join, with the created time in the view; let windows and bounds end at "
        "the moment at which a row became known",
    ),
    "own outcome": (
        "a question's own outcome, or one that was still open, is among its features",
        "let a window count a row from when its outcome was known, and an encoding leave its own row out",
    ),
    REPEAT: (
        "the same inputs give other values the second time, so nothing can be shown of them",
        "give the step a seed, an order of rows, and no clock",
    ),
    ANSWER: (
        "the column alone tells the target almost always, as only the answer itself does",
        "take it from what a request can carry when the question is asked, or leave it out",
    ),
}


@dataclass(frozen=True, slots=True)
class Example:
    """One cell that knew: its value as the set has it, and in the other future."""

    question: str
    asked_at: datetime
    column: str
    value: Any
    without: Any


@dataclass(frozen=True, slots=True)
class Leak:
    """What one check found, by its likely cause."""

    check: str  # truncation, mutation, own outcome, repetition, answer, request
    columns: tuple[str, ...]
    cells: int
    rows: int
    example: Example | None  # the earliest
    cause: str
    mend: str


@dataclass(frozen=True, slots=True)
class Searched:
    """What was looked at and what was found."""

    leaks: tuple[Leak, ...]
    questions: int
    cells: int  # compared, over all futures
    futures: int  # computed and compared
    undecided: tuple[str, ...]  # futures that could not be computed, and why

    @property
    def passed(self) -> bool:
        """Whether something was compared and nothing was found."""
        return self.cells > 0 and not self.leaks


@dataclass(slots=True)
class _Changes:
    """The cells of one cause that one check saw change."""

    cells: int = 0
    columns: set[str] = field(default_factory=set)
    rows: set[int] = field(default_factory=set)  # positions in the normal set
    earliest: tuple[int, Example] | None = None


def search_leaks(
    build: Build,
    world: World,
    *,
    cutoffs: int = 5,
    seed: int = 7,
    on_progress: Callable[[str, float], None] | None = None,
) -> Searched:
    """Compute the training set in other futures and compare all that was asked before they part.

    A future in which `build` raises an EsteiraError is undecided; what it raises in the normal world is
    raised. Raises: UnknownName (the time column, or a feature), NaiveTime, NotATime, NullTime.
    >>> import pyarrow as pa, pyarrow.compute as pc
    >>> from esteira.features.proofs.futures import Questions, Source, World
    >>> at = np.arange(100, dtype=np.int64)
    >>> rows = pa.table({"asked_at": pa.array(at, pa.timestamp("us", "UTC")), "late": at % 5 // 4})
    >>> world = World(Questions(rows, "asked_at", "late", ("mean",), at + 1), {})
    >>> def build(spine, sources):
    ...     return spine.append_column("mean", pa.array([pc.mean(spine["late"]).as_py()] * 100))
    >>> {leak.check: leak.columns for leak in search_leaks(build, world).leaks}
    {'mutation': ('mean',), 'own outcome': ('mean',)}
    """
    search = _Search(build, world)
    moments = choose_cutoffs(world, cutoffs)
    total = len(moments) * len(FUTURES)
    for done, (check, moment) in enumerate((check, at) for at in moments.tolist() for check in FUTURES):
        if on_progress is not None:
            on_progress(f"{check} at {from_micros(moment):%Y-%m-%d %H:%M}", done / total)
        search.look(check, moment, np.random.default_rng([seed, done]))
    search.look_at_columns(seed)
    return search.searched()


class _Beside(NamedTuple):
    """A column as two computations have it, for the questions that both have; arrays of that shape."""

    name: str
    places: NDArray[np.int64]  # in the normal set
    others: NDArray[np.int64]  # in the other
    differs: NDArray[np.bool_]


class _Search:
    def __init__(self, build: Build, world: World) -> None:
        self._build, self._world, self._question = build, world, world.questions
        self._normal = build(world.questions.rows, world.tables())
        self._asked = micros(self._normal, self._question.at, _WHAT)
        self._changes: dict[tuple[str, str], _Changes] = {}
        self._undecided: list[str] = []
        self._cells = self._futures = 0
        self._features = self._steady()

    def _steady(self) -> tuple[str, ...]:
        """The features that come out the same twice: of the others nothing can be shown."""
        again = self._build(self._question.rows, self._world.tables())
        seen = [*self._beside(again, int(self._asked.max(initial=0)), self._question.features)]
        for column in seen:
            self._note(REPEAT, REPEAT, column, again)
        return tuple(column.name for column in seen if not column.differs.any())

    def look(self, check: str, moment: int, chance: np.random.Generator) -> None:
        """Compare the world with one other future of it."""
        other = FUTURES[check](self._world, moment, chance)
        try:
            built = self._build(other.questions.rows, other.tables())
        except EsteiraError as failed:
            self._undecided.append(f"{check} at {from_micros(moment).isoformat()}: {failed}")
            return
        self._futures += 1
        for column in self._beside(built, moment, self._features):
            self._cells += len(column.places)
            self._note(check, self._cause(check, column), column, built)

    def _beside(self, built: pa.Table, moment: int, names: Iterable[str]) -> Iterator[_Beside]:
        places, others = common_places(self._normal, built, self._question.at, self._question.id, moment)
        for name in names:
            one = column_of(self._normal, name, _WHAT).take(places)
            is_there = name in built.column_names  # a column for each category may not be
            other = built[name].take(others) if is_there else pa.chunked_array([pa.nulls(len(others))])
            yield _Beside(name, places, others, unequal(one, other))

    def _cause(self, check: str, column: _Beside) -> str:
        if check not in ("truncation", "mutation"):
            return check
        asked = self._asked[column.places]
        oldest = column.differs[asked <= np.quantile(asked, 0.5)] if len(asked) else column.differs
        return "everything" if oldest.any() and oldest.mean() >= _EVERYTHING else "early"

    def _note(self, check: str, cause: str, column: _Beside, built: pa.Table) -> None:
        """Keep what changed in a column."""
        places, others = column.places[column.differs], column.others[column.differs]
        if not len(places):
            return
        changes = self._changes.setdefault((check, cause), _Changes())
        changes.cells += len(places)
        changes.columns.add(column.name)
        changes.rows.update(places.tolist())
        first = int(np.argmin(self._asked[places]))
        asked = int(self._asked[places[first]])
        if changes.earliest is None or asked < changes.earliest[0]:
            is_there = column.name in built.column_names
            without = built[column.name][int(others[first])].as_py() if is_there else None
            changes.earliest = asked, self._example(column.name, int(places[first]), without)

    def _example(self, column: str, place: int, without: object) -> Example:
        name = self._question.id
        question = str(self._normal[name][place].as_py()) if name else f"row {place}"
        asked_at = from_micros(int(self._asked[place]))
        return Example(question, asked_at, column, self._normal[column][place].as_py(), without)

    def look_at_columns(self, seed: int) -> None:
        """Look for columns of the set that tell the target by themselves."""
        found = find_giveaways(self._normal, self._question.target, self._question.features, seed=seed)
        for column in found:
            changes = self._changes.setdefault((ANSWER, ANSWER), _Changes())
            changes.cells += self._normal.num_rows
            changes.columns.add(column)
            changes.rows.update(range(self._normal.num_rows))

    def searched(self) -> Searched:
        """What was found so far."""
        leaks = [
            Leak(
                check,
                tuple(sorted(each.columns)),
                each.cells,
                len(each.rows),
                each.earliest[1] if each.earliest else None,
                *_CAUSES[cause],
            )
            for (check, cause), each in self._changes.items()
        ]
        return Searched(
            tuple(leaks), self._normal.num_rows, self._cells, self._futures, tuple(self._undecided)
        )
