"""Bounds that stay true however often one looks: nobody has to wait for the end of an experiment."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PRIOR_KEYS = 100.0  # how sure the alternative is of the intended split, in keys
_ALTERNATIVES = (2.0, 5.0, 20.0)  # times the limit: slow, plain and gross excess


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a mean lies, at every look at once; infinite while there is too little to say."""

    mean: float
    low: float
    high: float
    observations: int


def mean_interval(
    observations: NDArray[np.float64], alpha: float, planned: float, low_alpha: float | None = None
) -> Interval:
    """A confidence sequence for a mean whose spread is unknown.

    Shapes: observations (n,). Each bound is ever crossed wrongly with probability at most `alpha`, the lower
    one with `low_alpha` if that is given, over all looks: exactly for normal observations, approximately for
    others. `planned` is the number of observations at which it is about tightest; it must be chosen before
    any is seen.
    It inverts the Bayes factor of a t-test with a normal prior on the effect size, (1 + ng)^(-1/2)
    [(1 + t²/ν) / (1 + t²/(ν(1 + ng)))]^(n/2), which is a martingale when the mean is as claimed.
    Source: Wang & Ramdas 2023, "Anytime-valid t-tests and confidence sequences for Gaussian means with
    unknown variance" (arXiv 2310.03722), after Robbins 1970 and Lai 1976; Waudby-Smith et al. 2021,
    "Time-uniform central limit theory and asymptotic confidence sequences", for the choice of g.
    >>> found = mean_interval(np.array([1.0, 2.0, 1.5, 1.0, 2.0, 1.5, 1.0, 2.0]), 0.05, planned=8)
    >>> found.mean, round(found.low, 2), round(found.high, 2)
    (1.5, 0.91, 2.09)
    """
    n = len(observations)
    if n == 0:
        return Interval(math.nan, -math.inf, math.inf, 0)
    mean = float(np.mean(observations))
    if n == 1:
        return Interval(mean, -math.inf, math.inf, 1)
    error = float(np.std(observations, ddof=1)) / math.sqrt(n)
    up, down = (_radius_in_errors(n, 2 * each, planned) for each in (alpha, low_alpha or alpha))
    low = -math.inf if math.isinf(down) else mean - down * error
    return Interval(mean, low, math.inf if math.isinf(up) else mean + up * error, n)


def _radius_in_errors(n: int, alpha: float, planned: float) -> float:
    """The t at which the Bayes factor of n observations reaches 1 / alpha; infinite if it never does."""
    doubt = -2 * math.log(alpha)
    prior = (doubt + max(math.log(doubt) + 1, 0.0)) / planned  # about tightest at `planned`, and above 0
    shrink = 1 + n * prior
    power = (math.sqrt(shrink) / alpha) ** (2 / n)
    if power >= shrink:
        return math.inf
    return math.sqrt((n - 1) * (power - 1) / (1 - power / shrink))


def distance_bound(one: NDArray[np.float64], other: NDArray[np.float64], alpha: float) -> float:
    """The least Kolmogorov–Smirnov distance, 0 to 1, that two distributions have for all that was drawn.

    Shapes: one (n,), other (m,). It is ever too great with probability at most `alpha`, over all looks.
    Source: Howard & Ramdas 2022, "Sequential estimation of quantiles with applications to A/B testing and
    best-arm identification", Bernoulli 28: a Dvoretzky–Kiefer–Wolfowitz bound that holds at all times.
    >>> near, far = np.linspace(0, 1, 2_000), np.linspace(0.6, 1, 2_000)
    >>> distance_bound(near, near, 0.01), round(distance_bound(near, far, 0.01), 2)
    (0.0, 0.47)
    """
    if not len(one) or not len(other):
        return 0.0
    one, other = np.sort(one), np.sort(other)
    places = np.concatenate([one, other])
    gaps = np.searchsorted(one, places, "right") / len(one) - np.searchsorted(other, places, "right") / len(
        other
    )
    spread = sum(0.85 * math.sqrt(_doubt(n, alpha / 2) / n) for n in (len(one), len(other)))
    return max(float(np.max(np.abs(gaps))) - spread, 0.0)


def _doubt(n: int, alpha: float) -> float:
    return math.log(math.log(math.e * n)) + 0.8 * math.log(1612 / alpha)


def is_other_split(champion: int, challenger: int, share: float, alpha: float) -> bool:
    """Whether keys were dealt in other proportions than intended; a false alarm, ever, in `alpha` of cases.

    A multinomial Bayes factor against a Dirichlet prior around the intended split.
    Source: Lindon & Malek 2022, "Anytime-valid inference for multinomial count data", NeurIPS.
    >>> is_other_split(5_010, 4_990, 0.5, 0.001), is_other_split(5_300, 4_700, 0.5, 0.001)
    (False, True)
    """
    seen = champion + challenger
    if not seen or not 0 < share < 1:
        return False
    prior = (_PRIOR_KEYS * (1 - share), _PRIOR_KEYS * share)
    growth = math.lgamma(_PRIOR_KEYS) - math.lgamma(_PRIOR_KEYS + seen)
    for expected, count, chance in zip(prior, (champion, challenger), (1 - share, share), strict=True):
        growth += math.lgamma(expected + count) - math.lgamma(expected) - count * math.log(chance)
    return growth >= -math.log(alpha)


def exceeds_rate(events: int, trials: int, limit: float, alpha: float) -> bool:
    """Whether a rate is above its limit, with a false alarm ever in at most `alpha` of cases.

    A mean of likelihood ratios against rates above the limit: a supermartingale as long as the limit holds.
    Source: Ville 1939; Shafer et al. 2011, "Test martingales, Bayes factors and p-values".
    >>> exceeds_rate(1, 20, 0.01, 0.05), exceeds_rate(5, 60, 0.01, 0.05), exceeds_rate(0, 0, 0.01, 0.05)
    (False, True, False)
    """
    rates = [min(limit * times, (1 + limit) / 2) for times in _ALTERNATIVES]
    growth = [
        events * math.log(rate / limit) + (trials - events) * math.log((1 - rate) / (1 - limit))
        for rate in rates
    ]
    top = max(growth)
    evidence = top + math.log(sum(math.exp(each - top) for each in growth) / len(growth))
    return evidence >= -math.log(alpha)
