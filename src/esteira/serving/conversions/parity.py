"""The gate that every conversion passes: recorded rows, scored by the model as it was and as it is now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esteira.base.errors import BadInput, CheckFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from esteira.registry.signature import Signature
    from esteira.serving.runtimes.port import Runtime

FEWEST_ROWS = 100  # fewer than these say too little


@dataclass(frozen=True, slots=True)
class Limits:
    """What still counts as the same model. Raises: BadInput."""

    tolerance: float = 1e-6  # of a score, absolute: what float32 rounds away
    threshold: float = 0.5  # a score on its other side would be another decision

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < 1:
            raise BadInput(f"a tolerance is at least 0 and below 1, found {self.tolerance:g}")


@dataclass(frozen=True, slots=True)
class Parity:
    """How far the scores of two forms of a model lie apart."""

    rows: int  # compared, each in a batch and alone
    greatest: float  # absolute difference
    row: int  # where that is
    before: float  # the scores there
    after: float
    changed: int  # rows that would be decided otherwise


class TooFewRows(BadInput):
    """Not enough recorded rows to say that two forms of a model agree."""

    def __init__(self, found: int) -> None:
        super().__init__(
            f"a conversion is judged on at least {FEWEST_ROWS} recorded rows, found {found}; "
            "let the gateway answer more requests first, or ask for more rows if there are"
        )
        self.found = found


class ParityFailed(CheckFailed):
    """A form that does not score as the model does; it names the row where they differ most."""

    def __init__(self, parity: Parity, limits: Limits, values: Mapping[str, object]) -> None:
        row = ", ".join(f"{name}={value!r}" for name, value in values.items())
        super().__init__(
            f"the converted model scores {parity.after!r} where the model scores {parity.before!r}, "
            f"{parity.greatest:g} apart with a tolerance of {limits.tolerance:g}; {parity.changed} of "
            f"{parity.rows} recorded rows would be decided otherwise. Row {parity.row}: {row}"
        )
        self.parity, self.limits, self.values = parity, limits, dict(values)


def measure(before: Runtime, after: Runtime, rows: NDArray[np.float64], threshold: float = 0.5) -> Parity:
    """Score rows of shape (rows, columns) with both, together and one at a time, and compare.

    A score that only one of them cannot give (NaN) is infinitely far.
    """
    pairs = [(before.predict(rows), after.predict(rows)), (_alone(before, rows), _alone(after, rows))]
    differences = np.max([_apart(*pair) for pair in pairs], axis=0)
    row = int(np.argmax(differences))
    worst = max(pairs, key=lambda pair: float(_apart(*pair)[row]))
    changed = np.any([(old >= threshold) != (new >= threshold) for old, new in pairs], axis=0)
    return Parity(
        len(rows),
        float(differences[row]),
        row,
        float(worst[0][row]),
        float(worst[1][row]),
        int(np.count_nonzero(changed)),
    )


def hold(parity: Parity, limits: Limits, signature: Signature, rows: NDArray[np.float64]) -> None:
    """Raises: ParityFailed."""
    if parity.greatest > limits.tolerance:
        raise ParityFailed(parity, limits, signature.decode_row(rows[parity.row].tolist()))


def _alone(runtime: Runtime, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([runtime.predict_row(row) for row in rows.tolist()], dtype=np.float64)


def _apart(old: NDArray[np.float64], new: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # infinite less infinite
        apart = np.abs(old - new)
    same = (old == new) | (np.isnan(old) & np.isnan(new))
    found: NDArray[np.float64] = np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))
    return found
