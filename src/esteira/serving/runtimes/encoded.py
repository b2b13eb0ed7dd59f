"""A model with encodings: raw rows go in, its own runtime sees what the encodings make of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from esteira.registry.encodings import Encodings
    from esteira.serving.runtimes.port import Runtime


class EncodedRuntime:
    """Encodes, then asks the runtime of the native files. Meets `Runtime`."""

    def __init__(self, encodings: Encodings, native: Runtime) -> None:
        self._encodings, self._native = encodings, native
        self.is_exact = native.is_exact

    def predict_row(self, row: list[float]) -> float:
        return self._native.predict_row(self._encodings.encode_row(row))

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._native.predict(self._encodings.encode_matrix(matrix))
