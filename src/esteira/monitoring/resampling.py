"""What the drift figure does when nothing has moved, learnt by resampling the reference itself.

The figure is PSI, Σ (p − q) ln(p / q), between a window of W days and m rows and the reference of D days and
n rows. No fixed threshold fits it: with no drift it grows with 1/m + 1/n, with the bins, and with how alike
the rows of one day are. So the threshold is a quantile of what was seen under no drift:

1. A resampled reference of D whole days and a resampled window of W whole days are drawn with replacement
   from the days of the reference, so that rows of one day stay together (Efron 1979; Davison & Hinkley 1997,
   3.8); both, because the reference is itself a sample. A window with fewer rows than its days had in the
   reference is thinned to m. A window with more is not: the threshold is then too high rather than too low.
2. D days show a variance that is (D − 1)/D of the true one; every drawn figure is scaled by the inverse.
3. The covariance of B bins learnt from D days has eigenvalues that spread too far, which makes the tail too
   long. The spread of the figures about their mean is shrunk by what an unbiased tr Σ² says (Bai &
   Saranadasa 1996); this is the second-order correction of Rao & Scott 1981.
4. Days that follow each other are alike (weather lasts). The lag-1 correlation φ of the day profiles, in
   the directions where days vary, corrected for its bias of (1 + 3φ)/D, scales the figures by how much the
   mean of W such days varies more than that of W independent ones.
5. Beyond the 95th percentile the figures are few: the tail is taken as exponential with the mean excess that
   is seen, as for the sums of squares that PSI is near to.

How often it alarms though nothing moved, as a multiple of what was planned; 90 days of reference, 4,000
windows for each of seven kinds of columns (normal, Zipf, zero-inflated, two rates of yes, two strengths of
days that differ), each kind on its own:

    planned                         5 %          1 %         0.26 %
    windows of 7 days           0.7 to 1.0   0.4 to 1.1   0.3 to 1.6
    windows of 1 day            0.9 to 1.1   1.0 to 1.5   1.3 to 2.8   the worst in 400 is not seen in 90
    7 days, φ = 0.5             0.9 to 1.1   1.1 to 1.6   1.9 to 3.1   90 such days are worth 30
    7 days, φ = 0.8             1.4 to 1.7   2.8 to 4.2   6.6 to 8.9   90 such days are worth 10

What it does not know: rare values that no reference day holds, seasons longer than the reference, and a
window that is not whole days. With one independent value a day (no two rows of a day differ) the threshold
is too high and little is found.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Counts = NDArray[np.int64]
    Floats = NDArray[np.float64]

RESAMPLES = 2_000
LEAST_DAYS = 10  # of reference; fewer say nothing about how days differ

_TAIL = 0.05
_SLICE = 10  # a divisor of RESAMPLES
_TINY = 1e-12


def stability_index(expected: Floats | Counts, observed: Floats | Counts) -> Floats:
    """PSI in nats between counts over the last axis; half a row is added to each bin, so it is finite.

    Source: Kullback & Leibler 1951, the divergence J(1, 2); the half is Jeffreys' prior.
    >>> round(float(stability_index(np.array([50, 50]), np.array([90, 10]))), 2)
    0.85
    """
    p, q = _shares(expected), _shares(observed)
    divergence: Floats = ((p - q) * np.log(p / q)).sum(axis=-1)
    return divergence


@dataclass(frozen=True, slots=True)
class Null:
    """The figures of no drift, sorted."""

    values: Floats

    def threshold(self, alpha: float) -> float:
        """What the figure exceeds with chance `alpha` when nothing moved."""
        if alpha >= _TAIL:
            return float(np.quantile(self.values, 1 - alpha))
        start, excess = self._tail()
        return start + excess * math.log(_TAIL / alpha)

    def p_value(self, figure: float) -> float:
        """The chance of such a figure, or a greater one, when nothing moved."""
        start, excess = self._tail()
        if figure > start:
            return _TAIL * math.exp(-(figure - start) / excess)
        greater = len(self.values) - int(np.searchsorted(self.values, figure))
        return (greater + 1) / (len(self.values) + 1)

    def _tail(self) -> tuple[float, float]:
        start = float(np.quantile(self.values, 1 - _TAIL))
        beyond = self.values[self.values > start]
        return start, max(float(beyond.mean()) - start, _TINY) if len(beyond) else _TINY


class Resampling:
    """Draws of reference and window days, shared by all columns. Always the same draws: seeded.

    `days` is how many the reference has, `window_days` how many the window has.
    """

    def __init__(self, days: int, window_days: int) -> None:
        self._rng = np.random.default_rng(0)
        self.days, self.window_days = days, window_days
        self._reference = self._draw(days)
        self._window = self._draw(window_days)

    def null(self, counts: Counts, rows: int) -> Null:
        """The figures of no drift of a column: daily counts (days, bins), and the rows of the window."""
        daily = counts.astype(np.float64)
        kept = min(1.0, rows * self.days / (self.window_days * float(daily.sum())))
        window = _sums(self._window, daily)
        if kept < 1:
            window = self._thinned(window, kept)
        figures = stability_index(_sums(self._reference, daily), window)
        shrink, stretch = self._corrections(daily, (1 - kept) / rows)
        mean = float(figures.mean())
        return Null(np.sort(stretch * (mean + shrink * (figures - mean))))

    def _corrections(self, daily: Floats, thinning: float) -> tuple[float, float]:
        """How far to shrink the spread of the figures, and to stretch them all (points 2 to 4)."""
        share = _shares(daily.sum(axis=0))
        deviation = (daily - daily.sum(axis=1, keepdims=True) * share) / np.sqrt(share)
        deviation *= self.days / daily.sum()
        covariance = deviation.T @ deviation / (self.days - 1)
        between = float(np.trace(covariance)) / self.window_days
        if between <= 0:
            return 1.0, 1.0
        sampling = (np.eye(len(share)) - np.sqrt(np.outer(share, share))) * thinning
        total = covariance / self.window_days + sampling
        trace, square = float(np.trace(total)), float((total**2).sum())
        # One day is drawn as it was seen; only sums of days mix directions that no day had.
        excess = between**2 / (self.days - 1) * (1 - 1 / self.window_days)
        true_square = max(square - excess, trace**2 / len(share))
        lagged = deviation[1:].T @ deviation[:-1] / (self.days - 1)
        phi = float((lagged * covariance).sum() / (covariance**2).sum())
        phi = min(max(phi + (1 + 3 * phi) / self.days, 0.0), 0.95)
        stretch = self._memory(phi) * self.days / (self.days - 1)
        # What thinning adds is known and depends on no day.
        return min(math.sqrt(true_square / square), 1.0), 1 + (stretch - 1) * between / trace

    def _memory(self, phi: float) -> float:
        """Variance of a difference of means of days with correlation `phi`, over that of independent days."""
        window, reference = 1 / self.window_days, 1 / self.days
        stretched = _inflation(phi, self.window_days) * window + _inflation(phi, self.days) * reference
        return stretched / (window + reference)

    def _draw(self, days: int) -> Floats:
        """How often each reference day is drawn, shape (resamples, reference days)."""
        rows = np.arange(RESAMPLES)[:, None] * self.days
        chosen = self._rng.integers(0, self.days, (RESAMPLES, days)) + rows
        times = np.bincount(chosen.ravel(), minlength=RESAMPLES * self.days)
        return times.reshape(RESAMPLES, self.days).astype(np.float64)

    def _thinned(self, counts: Floats, kept: float) -> Floats:
        """Keep each row with chance `kept`: binomial, by its normal limit where that is tight."""
        variance = counts * kept * (1 - kept)
        thinned = np.rint(counts * kept + np.sqrt(variance) * self._rng.standard_normal(counts.shape))
        few = variance < 9
        thinned[few] = self._rng.binomial(counts[few].astype(np.int64), kept)
        return np.clip(thinned, 0, counts)


def _sums(times: Floats, daily: Floats) -> Floats:
    """Matrix product, in slices that are too small for BLAS to share out: its threads spin on busy cores."""
    slices = times.reshape(-1, _SLICE, times.shape[1])
    sums: Floats = (slices @ daily).reshape(len(times), -1)
    return sums


def _inflation(phi: float, days: int) -> float:
    return (1 + phi) / (1 - phi) - 2 * phi * (1 - phi**days) / (days * (1 - phi) ** 2)


def _shares(counts: Floats | Counts) -> Floats:
    smoothed = counts + 0.5
    shares: Floats = smoothed / smoothed.sum(axis=-1, keepdims=True)
    return shares
