"""The score of an additive model: an intercept and one term per column, summed in one order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from esteira.registry.terms import logistic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from esteira.registry.terms import Terms


class TermSum:
    """Sums terms for one row and for many with equal bits, in a plain loop.

    The built-in sum of floats is compensated from Python 3.12 on, and NumPy adds in pairs: neither adds a row
    as the columns of a matrix are added.
    >>> from esteira.registry.terms import Term, Terms
    >>> TermSum(Terms(1, 1.0, (Term(0, fill=0.5, slope=2.0),))).of_row([3.0])
    7.0
    """

    def __init__(self, model: Terms) -> None:
        self._intercept, self._is_logistic = model.intercept, model.is_logistic
        scaled = [term for term in model.terms if term.effects is None and not term.marks]
        others = [term for term in model.terms if term.effects is not None or term.marks]
        self._terms = (*scaled, *others)
        # What a missing value adds is known beforehand.
        self._scaled = [
            (term.column, term.mean, term.scale, term.slope, term.of_value(float("nan"))) for term in scaled
        ]
        self._others = others

    def of_row(self, row: list[float]) -> float:
        """The score of one row."""
        total = self._intercept
        for column, mean, scale, slope, of_missing in self._scaled:
            value = row[column]
            if value == value:  # noqa: PLR0124 - only NaN differs from itself
                total += (value - mean) / scale * slope
            else:
                total += of_missing
        for term in self._others:
            total += term.of_value(row[term.column])
        return logistic(total) if self._is_logistic else total

    def of_rows(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """The scores of a matrix, each equal to the bit to `of_row`. Shapes: (rows, columns) and (rows,)."""
        totals = np.full(len(matrix), self._intercept)
        for term in self._terms:
            totals += term.of_column(matrix[:, term.column])
        if not self._is_logistic:
            return totals
        return np.array([logistic(total) for total in totals.tolist()], dtype=np.float64)
