"""Members as a combination asks them: whatever one of them does, there is a score or a reason."""

from __future__ import annotations

import logging
from contextlib import suppress
from math import nan
from typing import TYPE_CHECKING, Protocol

import numpy as np

from esteira.base.errors import BadInput
from esteira.serving.combining.deadlines import OwnThread
from esteira.serving.combining.failures import NoScore, NotFinite

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from esteira.serving.combining.columns import MemberColumns
    from esteira.serving.combining.deadlines import Call
    from esteira.serving.combining.passes import ManyRows, OneRow, Rows, Scores

_COLD_MS = 2000.0  # that a first call may take: a library does more in it than in any later one

log = logging.getLogger(__name__)


class Scorer(Protocol):
    """A model in memory, as the gateway's runtimes are."""

    def predict_row(self, row: list[float]) -> float: ...
    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]: ...


class AskedModel:
    """A model that is asked here and now, and takes what it takes."""

    def __init__(self, name: str, scorer: Scorer) -> None:
        self.name, self._scorer = name, scorer
        self._is_failing = False

    def ask_row(self, one: OneRow, row: list[float]) -> float:
        """What it says of a row, NaN if nothing."""
        try:
            score = self._scorer.predict_row(row)
            # A finite score of one that has not failed: the usual case, no call.
            return score if score - score == 0.0 and not self._is_failing else self._settled(score)
        except Exception as failed:  # noqa: BLE001 - of its failures the nodes know what to make
            return one.fail(self.name, self._heard(failed))

    def ask_rows(self, many: ManyRows, matrix: NDArray[np.float64]) -> Scores:
        """What it says of some rows. Shapes: (rows, its columns) in, (rows,) out."""
        try:
            return self._settled_rows(many, *scores_of(self._scorer, matrix))
        except Exception as failed:  # noqa: BLE001 - of its failures the nodes know what to make
            many.fail(self.name, self._heard(failed))
            return np.full(len(matrix), nan)

    def _settled(self, score: float) -> float:
        if score - score != 0.0:  # infinite, or no number
            raise NotFinite(score)
        if self._is_failing:
            self._recover()
        return score

    def _settled_rows(self, many: ManyRows, scores: Scores, refused: list[BadInput]) -> Scores:
        is_finite = np.isfinite(scores)
        if is_finite.all():
            if self._is_failing:
                self._recover()
            return scores
        failed = refused[0] if refused else NotFinite(float(scores[~is_finite][0]))
        many.fail(self.name, self._heard(failed))
        return np.where(is_finite, scores, nan)

    def _heard(self, failed: Exception) -> Exception:
        """Say in the log that the member fails, once until it answers again; a refused row is no failure."""
        if not self._is_failing and not isinstance(failed, BadInput):
            self._is_failing = True
            facts = {"member": self.name, "reason": str(failed)}
            trace = None if isinstance(failed, NoScore) else failed
            log.warning("a member gives no scores", extra=facts, exc_info=trace)
        return failed

    def _recover(self) -> None:
        self._is_failing = False
        log.info("a member gives scores again", extra={"member": self.name})


class InlineMember(AskedModel):
    """A member without a deadline: no thread, no cost."""

    def __init__(self, name: str, scorer: Scorer, columns: MemberColumns) -> None:
        super().__init__(name, scorer)
        self._columns, self._is_same = columns, columns.is_same

    def of_row(self, one: OneRow) -> float:
        row = one.row
        return self.ask_row(one, row if self._is_same else self._columns.of_row(row))

    def of_rows(self, many: ManyRows, rows: Rows) -> Scores:
        return self.ask_rows(many, self._columns.of_rows(many.of(rows)))

    def begin_row(self, one: OneRow) -> None:
        pass  # it would be asked here and now, and perhaps for nothing

    def begin_rows(self, many: ManyRows, rows: Rows) -> None:
        pass


class TimedMember(AskedModel):
    """A member with a deadline, asked on a thread of its own.

    A batch has the deadline of one row: whoever waits does not care how much was asked for.
    """

    def __init__(
        self, name: str, scorer: Scorer, columns: MemberColumns, place: int, deadline_ms: float
    ) -> None:
        super().__init__(name, scorer)
        self._columns, self._place, self._thread = columns, place, OwnThread(deadline_ms)

    def warm(self, row: list[float]) -> None:
        """Make a first call, whose answer does not matter: a later one should not be late for being cold."""
        own = self._columns.of_row(row)
        with suppress(Exception):  # if it cannot, it says so when it is asked
            self._thread.start(lambda: self._scorer.predict_row(own), _COLD_MS).result()

    def begin_row(self, one: OneRow) -> None:
        try:
            one.pending[self._place] = self._ask_row(one.row)
        except NoScore as busy:
            one.given[self._place] = one.fail(self.name, self._heard(busy))

    def of_row(self, one: OneRow) -> float:
        call = one.pending.pop(self._place, None)
        try:
            return self._settled((call or self._ask_row(one.row)).result())
        except Exception as failed:  # noqa: BLE001 - of its failures the nodes know what to make
            return one.fail(self.name, self._heard(failed))

    def begin_rows(self, many: ManyRows, rows: Rows) -> None:
        try:
            many.pending[self._place] = rows, self._ask_rows(many, rows)
        except NoScore:  # it says so again when it is asked
            return

    def of_rows(self, many: ManyRows, rows: Rows) -> Scores:
        begun = many.pending.pop(self._place, None)
        try:
            call = self._ask_rows(many, rows) if begun is None else begun[1]
            return self._settled_rows(many, *call.result())
        except Exception as failed:  # noqa: BLE001 - of its failures the nodes know what to make
            many.fail(self.name, self._heard(failed))
            return np.full(len(rows), nan)

    def _ask_row(self, row: list[float]) -> Call[float]:
        own = self._columns.of_row(row)
        return self._thread.start(lambda: self._scorer.predict_row(own))

    def _ask_rows(self, many: ManyRows, rows: Rows) -> Call[tuple[Scores, list[BadInput]]]:
        own = self._columns.of_rows(many.of(rows))
        return self._thread.start(lambda: scores_of(self._scorer, own))


def scores_of(scorer: Scorer, matrix: NDArray[np.float64]) -> tuple[Scores, list[BadInput]]:
    """The scores of all rows that a model does not refuse, NaN for the others, and why.

    A batch of which one row is refused is asked again by halves, so that each row gets what it gets alone.
    Raises: what the model raises, except a refusal.
    """
    try:
        return scorer.predict(matrix), []
    except BadInput as refused:
        if len(matrix) < 2:
            return np.full(len(matrix), nan), [refused]
    half = len(matrix) // 2
    first, second = scores_of(scorer, matrix[:half]), scores_of(scorer, matrix[half:])
    return np.concatenate([first[0], second[0]]), first[1] + second[1]
