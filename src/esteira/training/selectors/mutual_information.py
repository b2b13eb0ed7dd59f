"""What a column alone tells of the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esteira.base.errors import BadInput
from esteira.training.selectors.shuffles import SHUFFLES, against_shuffles, checked_shuffles, draws_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from esteira.registry.columns import Column
    from esteira.registry.signature import Signature
    from esteira.training.examples import Examples
    from esteira.training.selectors.port import ColumnScore


@dataclass(frozen=True, slots=True)
class MutualInformation:
    """Keeps a column that tells more of the target, by itself, than its shuffles do.

    The score is the mutual information in nats, less what shuffles of the column seem to tell: the more
    categories, the more that is. Numbers are cut into `bins` of equal rows; missing is a bin of its own.
    A column that tells something only together with another is not seen here, but by `Permutation`.
    """

    bins: int = 20
    shuffles: int = SHUFFLES

    def __post_init__(self) -> None:
        checked_shuffles(self.shuffles)
        if self.bins < 2:
            raise BadInput(f"bins must be 2 or more, found {self.bins}")

    @property
    def name(self) -> str:
        return "mutual_information"

    def judge(self, examples: Examples, signature: Signature, seed: int) -> list[ColumnScore]:
        return [
            self._score(column, values, examples.labels, draws_of(seed, column.name))
            for column, values in zip(signature.columns, examples.matrix.T, strict=True)
        ]

    def _score(
        self,
        column: Column,
        values: NDArray[np.float64],
        labels: NDArray[np.float64],
        draws: np.random.Generator,
    ) -> ColumnScore:
        cells = _ranked(values if column.kind == "category" else _binned(values, self.bins))
        told = [mutual_information(cells, draws.permutation(labels)) for _ in range(self.shuffles)]
        return against_shuffles(column.name, mutual_information(cells, labels), np.array(told))


def mutual_information(cells: NDArray[np.intp], labels: NDArray[np.float64]) -> float:
    """How much knowing the cell tells of the label, in nats. Shapes: cells (n,), labels (n,) of 0 and 1.

    >>> round(mutual_information(np.array([0, 0, 1, 1]), np.array([0.0, 0.0, 1.0, 1.0])), 4)
    0.6931
    """
    counts = np.bincount(cells)
    positive = np.bincount(cells, labels)
    joint = np.stack([counts - positive, positive]) / len(labels)
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    seen = joint > 0  # what never happens adds nothing
    return float((joint[seen] * np.log(joint[seen] / apart[seen])).sum())


def _binned(values: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    present = values[~np.isnan(values)]
    if not len(present):
        return values
    edges = np.unique(np.quantile(present, np.arange(1, bins) / bins, method="lower"))
    return np.where(np.isnan(values), values, np.searchsorted(edges, values))


def _ranked(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Values as whole numbers from 0 without gaps; missing is one of them."""
    ranks: NDArray[np.intp] = np.unique(np.nan_to_num(values, nan=-1.0), return_inverse=True)[1]
    return ranks
