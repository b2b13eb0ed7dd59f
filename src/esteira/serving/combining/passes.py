"""One question on its way through a combination: what was asked already is not asked again.

Members come first, then nodes; a place is the number of one of them. A score that is not there is NaN.
"""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from esteira.serving.combining.deadlines import Call

    Rows = NDArray[np.intp]
    Scores = NDArray[np.float64]


class Source(Protocol):
    """A member or a node: what gives a score of one row, or of some rows of many."""

    def of_row(self, one: OneRow) -> float: ...
    def of_rows(self, many: ManyRows, rows: Rows) -> Scores:
        """Shapes: (asked rows,) both."""
        ...

    def begin_row(self, one: OneRow) -> None:
        """Start what takes time and may go on beside the rest."""
        ...

    def begin_rows(self, many: ManyRows, rows: Rows) -> None: ...


class OneRow:
    """A question of one row."""

    __slots__ = ("_sources", "failures", "given", "pending", "row")

    def __init__(self, sources: Sequence[Source], row: list[float]) -> None:
        self._sources, self.row = sources, row
        self.given: list[float | None] = [None] * len(sources)
        self.pending: dict[int, Call[float]] = {}  # by place
        self.failures: dict[str, Exception] = {}  # by name

    def value(self, place: int) -> float:
        """The score of a member or node."""
        found = self.given[place]
        if found is None:
            found = self.given[place] = self._sources[place].of_row(self)
        return found

    def begin(self, place: int) -> None:
        """Start to ask, if it was not asked."""
        if self.given[place] is None and place not in self.pending:
            self._sources[place].begin_row(self)

    def fail(self, name: str, failed: Exception) -> float:
        """Keep why there is no score."""
        self.failures.setdefault(name, failed)
        return nan


class ManyRows:
    """A question of many rows, shape (rows, columns); each place may be asked for some of them only."""

    __slots__ = ("_asked", "_sources", "failures", "given", "matrix", "pending")

    def __init__(self, sources: Sequence[Source], matrix: NDArray[np.float64]) -> None:
        self._sources, self.matrix = sources, matrix
        self.given = np.full((len(sources), len(matrix)), nan)
        self._asked = np.zeros((len(sources), len(matrix)), dtype=bool)
        self.pending: dict[int, tuple[Rows, Call[Any]]] = {}
        self.failures: dict[str, Exception] = {}

    def values(self, place: int, rows: Rows) -> Scores:
        """The scores of a member or node for some rows."""
        begun = self.pending.get(place)
        if begun is not None:
            self._ask(place, begun[0])
        self._ask(place, self._fresh(place, rows))
        scores: Scores = self.given[place][rows]
        return scores

    def begin(self, place: int, rows: Rows) -> None:
        """Start to ask for those rows that were not asked."""
        fresh = self._fresh(place, rows)
        if len(fresh) and place not in self.pending:
            self._sources[place].begin_rows(self, fresh)

    def of(self, rows: Rows) -> NDArray[np.float64]:
        """Some rows of the matrix, in their order."""
        return self.matrix if len(rows) == len(self.matrix) else self.matrix[rows]

    def fail(self, name: str, failed: Exception) -> None:
        """Keep why there are no scores."""
        self.failures.setdefault(name, failed)

    def _fresh(self, place: int, rows: Rows) -> Rows:
        fresh: Rows = rows[~self._asked[place][rows]]
        return fresh

    def _ask(self, place: int, rows: Rows) -> None:
        if len(rows):
            self.given[place][rows] = self._sources[place].of_rows(self, rows)
            self._asked[place][rows] = True
