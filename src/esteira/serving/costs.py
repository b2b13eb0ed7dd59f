"""What a call of a model costs, learnt from its calls: a fixed part and a part for each row."""

from __future__ import annotations

from math import inf

_FORGET = 0.99  # the weight of all calls before, at each call: about the last hundred count
_NEAR = 4  # times the rows of the largest call seen: further away the line is no guide


class Cost:
    """Seconds of a call as `fixed + per_row × rows`, by least squares with forgetting.

    Source: the dispatcher of BentoML fits the same line; Ljung, System Identification, 1999, section 11.2.
    >>> cost = Cost()
    >>> for rows in (1, 2, 4, 8):
    ...     cost.observe(rows, 0.010 + 0.001 * rows)
    >>> round(cost.fixed, 6), round(cost.per_row, 6), round(cost.of(20), 6), cost.of(100)
    (0.01, 0.001, 0.03, inf)
    """

    __slots__ = ("_n", "_nn", "_nt", "_t", "_unknown_from", "_weight", "fixed", "is_fitted", "per_row")

    def __init__(self) -> None:
        self._weight = self._n = self._nn = self._t = self._nt = 0.0
        self._unknown_from = 0  # rows: of such a call, and of larger ones, nothing is known
        self.fixed = self.per_row = 0.0  # seconds
        self.is_fitted = False  # whether calls of several sizes have told the two apart

    def of(self, rows: int) -> float:
        """The seconds that a call of so many rows should take; infinite when none near that size was seen."""
        if rows >= self._unknown_from:
            return inf
        return self.fixed + self.per_row * rows

    def observe(self, rows: int, seconds: float) -> None:
        """Learn from a call; one without rows tells nothing."""
        if rows < 1:
            return
        self._unknown_from = max(self._unknown_from, _NEAR * rows + 1)
        self._weight = self._weight * _FORGET + 1.0
        self._n = self._n * _FORGET + rows
        self._nn = self._nn * _FORGET + rows * rows
        self._t = self._t * _FORGET + seconds
        self._nt = self._nt * _FORGET + rows * seconds
        mean, mean_t = self._n / self._weight, self._t / self._weight
        spread = self._nn / self._weight - mean * mean
        if spread > 1e-3 * mean * mean:
            slope = (self._nt / self._weight - mean * mean_t) / spread
            self.per_row = min(max(slope, 0.0), mean_t / mean)
            self.is_fitted = True
        elif self.is_fitted and self.per_row:  # keep the proportion that was learnt
            self.per_row *= mean_t / (self.fixed + self.per_row * mean)
        else:  # calls of one size tell only their mean: all of it may be the rows'
            self.per_row, self.is_fitted = mean_t / mean, False
        self.fixed = max(mean_t - self.per_row * mean, 0.0)

    @property
    def gain(self) -> float:
        """The share of a call of one row that a second row in the same call would save."""
        return self.fixed / (self.fixed + self.per_row) if self.fixed else 0.0
