"""What the gateway asks of a model once it is in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Runtime(Protocol):
    """Turns the numbers of a signature into scores; one row and many rows give equal bits.

    A row is a list of floats in the signature's order, a matrix has shape (rows, columns), a missing value
    is NaN, a score is the probability of the positive class. Safe to call from several threads.
    """

    def predict_row(self, row: list[float]) -> float: ...
    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]: ...
