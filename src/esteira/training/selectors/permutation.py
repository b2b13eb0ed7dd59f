"""What a fitted model loses without a column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esteira.base.errors import BadInput
from esteira.monitoring.metrics import metric_named
from esteira.training.examples import read_examples
from esteira.training.selectors.shuffles import SHUFFLES, against_shuffles, checked_shuffles, draws_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from numpy.typing import NDArray

    from esteira.registry.signature import Signature
    from esteira.training.examples import Examples
    from esteira.training.selectors.port import ColumnScore

    Predict = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Permutation:
    """Keeps a column without which a fitted model is worse on rows that it has not seen.

    The score is the mean loss of `metric` when the column is shuffled. `predict` turns raw rows of the
    signature into scores, as `open_runtime(model).predict` does. Of more than `rows` holdout rows, as many
    are drawn; training rows will not do, for a model loses there by whatever it learnt by heart. Columns that
    tell the same share their worth: each may seem useless while the other is there.
    """

    predict: Predict
    holdout: pa.Table
    metric: str = "roc_auc"
    rows: int = 5_000
    shuffles: int = SHUFFLES

    def __post_init__(self) -> None:
        checked_shuffles(self.shuffles)
        metric_named(self.metric)
        if self.rows < 2:
            raise BadInput(f"rows must be 2 or more, found {self.rows}")

    @property
    def name(self) -> str:
        return "permutation"

    def judge(self, examples: Examples, signature: Signature, seed: int) -> list[ColumnScore]:
        held = read_examples(_drawn(self.holdout, self.rows, seed), signature)
        intact = self._worth(held.matrix, held.labels)
        scores = []
        for at, name in enumerate(signature.names):
            matrix, draws = held.matrix.copy(), draws_of(seed, name)
            worths = np.empty(self.shuffles)
            for shuffle in range(self.shuffles):
                matrix[:, at] = draws.permutation(held.matrix[:, at])
                worths[shuffle] = self._worth(matrix, held.labels)
            scores.append(against_shuffles(name, intact, worths))
        return scores

    def _worth(self, matrix: NDArray[np.float64], labels: NDArray[np.float64]) -> float:
        metric = metric_named(self.metric)
        value = metric.estimate(labels, self.predict(matrix)).value
        return value if metric.higher_is_better else -value


def _drawn(table: pa.Table, rows: int, seed: int) -> pa.Table:
    if table.num_rows <= rows:
        return table
    return table.take(np.sort(np.random.default_rng(seed).choice(table.num_rows, rows, replace=False)))
