"""What came of scoring the same rows in each mode."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_LEAST_CPU_S = 0.05  # the system counts hundredths: of less it does not say enough


@dataclass(frozen=True, slots=True)
class ModeMeasured:
    """One mode. What the system does not say is None."""

    name: str
    rows: int  # that were to be scored
    start_s: float  # until it was ready to score
    seconds: float  # from then, or from the first request, until the last row was scored
    latency_s: Mapping[float, float]  # of a row, by share of the rows: 0.5 and 0.99
    cpu_seconds: float | None  # of all processes of the mode, while it scored
    memory_bytes: int | None  # that they held at most: proportional set sizes
    facts: Mapping[str, Any]  # how it was set
    missing: int = 0  # rows without a score
    differing: int = 0  # rows whose score is not that of the first mode to the bit

    @property
    def rows_per_s(self) -> float:
        return self.rows / max(self.seconds, 1e-9)

    @property
    def p50_s(self) -> float:
        return self.latency_s[0.5]

    @property
    def p99_s(self) -> float:
        return self.latency_s[0.99]

    @property
    def cpu_per_million(self) -> float | None:
        """Seconds of processors for a million rows; None where too little was used to say."""
        if self.cpu_seconds is None or self.cpu_seconds < _LEAST_CPU_S:
            return None
        return self.cpu_seconds / self.rows * 1e6

    def to_plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "mode": self.name,
            "rows": self.rows,
            "start_s": self.start_s,
            "seconds": self.seconds,
            "rows_per_s": self.rows_per_s,
            "latency_ms": {"p50": self.p50_s * 1000, "p99": self.p99_s * 1000},
            "cpu_s": self.cpu_seconds,
            "cpu_s_per_million_rows": self.cpu_per_million,
            "memory_pss_bytes": self.memory_bytes,
            "missing": self.missing,
            "differing": self.differing,
            **self.facts,
        }


@dataclass(frozen=True, slots=True)
class ModeScores:
    """A mode with the score of each row; NaN where there is none."""

    measured: ModeMeasured
    scores: NDArray[np.float64] = field(repr=False)  # shape (rows,)


@dataclass(frozen=True, slots=True)
class ModesMeasured:
    """All of them."""

    model: str
    version: int
    rows: int
    recorded: int  # rows that came from the prediction log; the others were drawn
    is_exact: bool  # whether equal rows must have equal bits in all modes
    modes: tuple[ModeMeasured, ...]
    differing: int  # rows on which any two modes differ
    greatest: float  # difference of two scores of a row
    sentences: tuple[str, ...] = ()  # one for each mode: what speaks for it

    @property
    def failed(self) -> bool:
        """Whether a row has no score somewhere, or another one where it must not."""
        return any(mode.missing for mode in self.modes) or (self.is_exact and self.differing > 0)

    def to_plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "model": self.model,
            "version": self.version,
            "rows": self.rows,
            "recorded_rows": self.recorded,
            "is_exact": self.is_exact,
            "differing_rows": self.differing,
            "greatest_difference": self.greatest,
            "failed": self.failed,
            "modes": [mode.to_plain() for mode in self.modes],
            "sentences": [*self.sentences],
        }


@dataclass(frozen=True, slots=True)
class Compared:
    """The modes beside the first of them; a row that has no score somewhere counts as missing there."""

    modes: tuple[ModeMeasured, ...]
    differing: int
    greatest: float


def compared(found: Sequence[ModeScores]) -> Compared:
    """Which rows of the modes agree to the bit. Shapes: scores (rows,) each, of equal rows.

    >>> from dataclasses import replace
    >>> mode = ModeMeasured("batch", 2, 0.0, 1.0, {0.5: 1.0, 0.99: 1.0}, None, None, {})
    >>> one, other = np.array([0.25, 0.5]), np.array([0.25, 0.75])
    >>> both = compared([ModeScores(mode, one), ModeScores(replace(mode, name="online"), other)])
    >>> both.differing, both.greatest, [each.differing for each in both.modes]
    (1, 0.25, [0, 1])
    """
    first = found[0].scores
    modes, apart, greatest = [], np.zeros(len(first), dtype=bool), 0.0
    for each in found:
        is_there = np.isfinite(each.scores) & np.isfinite(first)
        differs = (each.scores.view(np.int64) != first.view(np.int64)) & is_there
        apart |= differs
        greatest = max(greatest, float(np.abs(each.scores - first)[differs].max(initial=0.0)))
        missing = int((~np.isfinite(each.scores)).sum())
        modes.append(replace(each.measured, missing=missing, differing=int(differs.sum())))
    return Compared(tuple(modes), int(apart.sum()), greatest)


def quantiles(seconds: NDArray[np.float64]) -> dict[float, float]:
    """What half and 99 % of the durations do not exceed; 0 of nothing.

    >>> quantiles(np.array([1.0, 2.0, 9.0]))
    {0.5: 2.0, 0.99: 9.0}
    """
    if not len(seconds):
        return {0.5: 0.0, 0.99: 0.0}
    return {share: float(np.quantile(seconds, share, method="inverted_cdf")) for share in (0.5, 0.99)}
