"""A model whose sum stands in the bundle: served from that file alone, with no library of training.

Importing scikit-learn costs a gateway a second or two and a hundred megabytes; this costs neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.errors import CorruptArtifact
from esteira.registry.terms import TERMS, read_terms
from esteira.serving.runtimes.term_sum import TermSum

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from esteira.registry.bundle import Model


class TermsRuntime:
    """A binary classifier or a regressor of one number. Raises: CorruptArtifact."""

    is_exact = True

    def __init__(self, model: Model) -> None:
        terms, columns = read_terms(model.files.get(TERMS, b"")), len(model.signature.columns)
        if terms.columns != columns:
            raise CorruptArtifact(TERMS, f"{columns} columns", f"{terms.columns}")
        self._sum = TermSum(terms)

    def predict_row(self, row: list[float]) -> float:
        return self._sum.of_row(row)

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._sum.of_rows(matrix)
