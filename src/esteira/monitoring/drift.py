"""Drift: whether the inputs of a model still look like those it learnt from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from esteira.base.errors import BadInput
from esteira.monitoring.profiles import Bins, count_rows, fit_bins
from esteira.monitoring.resampling import LEAST_DAYS, Resampling, stability_index

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from esteira.base.records import Profile
    from esteira.registry.signature import Signature

    Counts = NDArray[np.int64]
    Matrix = NDArray[np.float64]

DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """What is said of one column in one window."""

    column: str
    psi: float  # nats
    threshold: float  # what psi exceeds by chance as often as the budget of false alarms allows
    p_value: float
    verdict: Literal["ok", "drifted", "not enough data"]

    @property
    def drifted(self) -> bool:
        """Whether the column moved more than chance moves it."""
        return self.verdict == "drifted"


@dataclass(frozen=True, eq=False)
class DriftReference:
    """How each column was distributed on each day of the training data; no row is kept."""

    bins: tuple[Bins, ...]
    counts: tuple[Counts, ...]  # of each column, shape (days, its bins), in the order of days

    @classmethod
    def fit(cls, matrix: Matrix, signature: Signature, at: NDArray[np.int64]) -> DriftReference:
        """Learn from the training matrix; `at` is the time of each row in UTC microseconds.

        Shapes: matrix (rows, columns), at (rows,). Raises: BadInput (no rows, other shapes).
        """
        if not len(matrix) or matrix.shape != (len(at), len(signature.columns)):
            shape = f"({len(at)}, {len(signature.columns)})"
            raise BadInput(f"a reference needs a matrix of shape {shape} with rows, found {matrix.shape}")
        bins = fit_bins(matrix, signature)
        day = at // DAY_US
        order = np.argsort(day, kind="stable")
        starts = np.unique(day[order], return_index=True)[1]
        daily = [count_rows(bins, matrix[rows]) for rows in np.split(order, starts[1:])]
        return cls(bins, tuple(np.stack(column) for column in zip(*daily, strict=True)))

    @property
    def days(self) -> int:
        """How many days hold rows."""
        return len(self.counts[0])

    def profiles(self) -> tuple[Profile, ...]:
        """The reference distribution of each column."""
        return tuple(b.profile(c.sum(axis=0)) for b, c in zip(self.bins, self.counts, strict=True))

    def profiles_of(self, matrix: Matrix) -> tuple[Profile, ...]:
        """The distribution of each column of another matrix, over the bins of the reference."""
        return tuple(b.profile(c) for b, c in zip(self.bins, count_rows(self.bins, matrix), strict=True))

    def to_plain(self) -> dict[str, Any]:
        """The reference as JSON values."""
        both = zip(self.bins, self.counts, strict=True)
        return {"columns": [{**bins.to_plain(), "counts": counts.tolist()} for bins, counts in both]}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> DriftReference:
        """The inverse of `to_plain`."""
        columns = plain["columns"]
        counts = (np.array(column["counts"], dtype=np.int64) for column in columns)
        return cls(tuple(Bins.from_plain(column) for column in columns), tuple(counts))


def alarm_level(false_alarms: float, per: timedelta, window: timedelta, columns: int) -> float:
    """The chance at which one column may alarm in one window, so that all of them in all windows give
    `false_alarms` expected ones `per` period. Source: Bonferroni; exact for an expectation.

    >>> round(alarm_level(1, timedelta(days=90), timedelta(days=9), 10), 4)
    0.01
    """
    if false_alarms <= 0 or per <= timedelta(0) or window <= timedelta(0):
        raise BadInput(f"a budget of false alarms must be positive, found {false_alarms} per {per}, {window}")
    return min(false_alarms * (window / per) / columns, 0.5)


def judge(
    reference: DriftReference,
    matrix: Matrix,
    *,
    false_alarms: float = 1.0,
    per: timedelta = timedelta(days=90),
    window: timedelta = timedelta(days=7),
    minimum: int = 100,
) -> list[ColumnDrift]:
    """Say of each column whether it drifted in a window of that length, which should be whole days.

    Shapes: matrix (rows, columns). `false_alarms` are columns that alarm though nothing moved, `per` period
    of watching. With fewer than `minimum` rows, or fewer than 10 reference days, the answer is "not enough
    data". How the threshold comes about, and what it does not know, is told in `resampling.py`.

    Raises: BadInput (another number of columns, a budget that is not positive).
    """
    if matrix.ndim != 2 or matrix.shape[1] != len(reference.bins):
        raise BadInput(
            f"a window needs {len(reference.bins)} columns like its reference, found {matrix.shape}"
        )
    alpha = alarm_level(false_alarms, per, window, len(reference.bins))
    found = count_rows(reference.bins, matrix)
    if len(matrix) < max(minimum, 1) or reference.days < LEAST_DAYS:
        columns = zip(reference.bins, reference.counts, found, strict=True)
        return [ColumnDrift(b.column, _psi(c, w), 0.0, 1.0, "not enough data") for b, c, w in columns]
    resampling = Resampling(reference.days, max(1, round(window / timedelta(days=1))))
    columns = zip(reference.bins, reference.counts, found, strict=True)
    return [_judge_column(bins.column, counts, now, alpha, resampling) for bins, counts, now in columns]


def _judge_column(
    column: str, counts: Counts, observed: Counts, alpha: float, resampling: Resampling
) -> ColumnDrift:
    if np.count_nonzero(counts.any(axis=0)) == 1:
        psi, threshold, p_value = _constant(counts, observed, alpha)
    else:
        null = resampling.null(counts, int(observed.sum()))
        psi = _psi(counts, observed)
        threshold, p_value = null.threshold(alpha), null.p_value(psi)
    return ColumnDrift(column, psi, threshold, p_value, "drifted" if psi > threshold else "ok")


def _constant(counts: Counts, observed: Counts, alpha: float) -> tuple[float, float, float]:
    """A column that never varied cannot be resampled: what is judged is the rows that now stray from it.

    If strays were as frequent before, k of them would all fall in the window of m rows, and none among the n
    of the reference, with chance (m / (m + n))^k: Fisher's exact test with an empty cell.
    """
    usual = counts.any(axis=0)
    n, m, strays = int(counts.sum()), int(observed.sum()), int(observed[~usual].sum())
    log_share = math.log(m / (m + n))
    allowed = max(math.ceil(math.log(alpha) / log_share) - 1, 0)
    reference = np.array([[n, 0]])
    psi, threshold = (_psi(reference, np.array([m - k, k])) for k in (strays, allowed))
    return psi, threshold, math.exp(strays * log_share)


def _psi(counts: Counts, observed: Counts) -> float:
    """Of a window against all days; 0 when there are no rows to compare."""
    return float(stability_index(counts.sum(axis=0), observed)) if observed.any() else 0.0
