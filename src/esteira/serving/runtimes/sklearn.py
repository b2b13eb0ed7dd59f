"""scikit-learn classifiers from skops files: only known types are built, nothing is unpickled.

A pipeline that imputes, scales, one-hot encodes and ends in a logistic regression is a sum with one term per
column. It is served as that sum: a row costs microseconds instead of milliseconds, and, unlike the matrix
product of scikit-learn, gives the same bits alone as in a batch. Other classifiers answer row by row.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import skops.io

from esteira.base.errors import CorruptArtifact
from esteira.registry.bundle import SKOPS_TYPES
from esteira.serving.runtimes.additive import NotAdditive, additive_terms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from esteira.registry.bundle import Model
    from esteira.serving.runtimes.additive import Term

PAYLOAD = "model.skops"


class SklearnRuntime:
    """A binary classifier of scikit-learn. Raises: CorruptArtifact."""

    def __init__(self, model: Model) -> None:
        self._classifier = _load(model.files.get(PAYLOAD, b""))
        columns = len(model.signature.columns)
        if getattr(self._classifier, "n_features_in_", columns) != columns:
            raise CorruptArtifact(PAYLOAD, f"{columns} columns", f"{self._classifier.n_features_in_}")
        if len(getattr(self._classifier, "classes_", ())) != 2:
            raise CorruptArtifact(
                PAYLOAD, "a fitted classifier of two classes", type(self._classifier).__name__
            )
        self._terms: tuple[Term, ...] | None
        try:
            self._intercept, self._terms = additive_terms(self._classifier)
            self._compare(columns)
        except NotAdditive:
            self._terms = None

    def _compare(self, columns: int) -> None:
        """Hold the sum against the classifier itself. Raises: NotAdditive."""
        for value in (0.0, 1.0, -1.0, 2.5, math.nan):
            row = [value] * columns
            try:
                expected = float(self._classifier.predict_proba(np.array([row]))[0, 1])
            except ValueError:  # a value that this classifier refuses
                continue
            if not math.isclose(self.predict_row(row), expected, rel_tol=1e-9, abs_tol=1e-12):
                raise NotAdditive(f"{self.predict_row(row)} instead of {expected}")

    def predict_row(self, row: list[float]) -> float:
        if self._terms is None:
            return float(self._classifier.predict_proba(np.array([row]))[0, 1])
        total = self._intercept
        for term in self._terms:
            total += term.of_value(row[term.column])
        return _probability(total)

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        if self._terms is None:
            return np.array([self.predict_row(row) for row in matrix.tolist()], dtype=np.float64)
        totals = np.full(len(matrix), self._intercept)
        for term in self._terms:  # in the order of predict_row: the sums are equal to the bit
            totals += term.of_column(matrix[:, term.column])
        return np.array([_probability(total) for total in totals.tolist()], dtype=np.float64)


def _load(content: bytes) -> Any:  # noqa: ANN401 - an estimator; scikit-learn ships no types
    try:
        strangers = set(skops.io.get_untrusted_types(data=content)) - set(SKOPS_TYPES)
        if strangers:
            raise CorruptArtifact(PAYLOAD, "types of scikit-learn and numpy", ", ".join(sorted(strangers)))
        return skops.io.loads(content, trusted=list(SKOPS_TYPES))
    except CorruptArtifact:
        raise
    except Exception as broken:  # a file from elsewhere can break the reader in any way
        raise CorruptArtifact(PAYLOAD, "a model that skops can read", str(broken)) from broken


def _probability(total: float) -> float:
    if total >= 0:
        return 1 / (1 + math.exp(-total))
    grown = math.exp(total)  # the other form would overflow
    return grown / (1 + grown)
