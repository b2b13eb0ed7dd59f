"""What the gateway asks of a model once it is in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray


class Runtime(Protocol):
    """Turns the numbers of a signature into scores; one row and many rows give equal bits if it `is_exact`.

    A row is a list of floats in the signature's order, a matrix has shape (rows, columns), a missing value
    is NaN. A score is the probability of the positive class, or what a regressor says. A runtime that is not
    exact uses kernels of a library that sum in another order alone than in a batch: its scores then agree to
    the rounding of its numbers. Safe to call from several threads. Raises: BadInput (a row that the model
    refuses).
    """

    is_exact: bool

    def predict_row(self, row: list[float]) -> float: ...
    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]: ...


class TensorRuntime(Protocol):
    """Runs a model of tensors; where they are batched, a row alone agrees with the same row among others.

    Inputs and outputs are those of the model's `TensorSignature`, by name, contiguous and of its dtypes.
    Rows agree to the bit if it `is_exact`, else to the rounding of their dtype.
    Safe to call from several threads. Raises: BadInput (tensors that the model refuses).
    """

    is_exact: bool

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]: ...
