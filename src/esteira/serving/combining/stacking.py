"""What a final model is trained on: a table of its members' scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike


class UnevenScores(BadInput):
    """Scores and labels that are not of the same rows."""

    def __init__(self, rows: Mapping[str, tuple[int, ...]]) -> None:
        found = ", ".join(f"{name} {shape}" for name, shape in rows.items())
        super().__init__(
            f"each member gives one score for each row, found shapes {found}; score the same rows"
        )
        self.rows = rows


def final_inputs(scores: Mapping[str, ArrayLike], target: str, labels: ArrayLike) -> pa.Table:
    """What the final model of a stack is trained on: a column of scores of each member, and the labels.

    The scores must be of rows that the members were not trained on, held back or out of fold: of rows that
    it has seen a member is surer than it will ever be again, and the final model would trust it for that. A
    score that is not there is NaN, and null in the table: so the final model learns to do without it.
    Shapes: (rows,) each. Raises: UnevenScores, BadInput (a member that is named as the target).
    Source: Wolpert 1992, Stacked generalization.
    >>> final_inputs({"fast": [0.25, 0.5], "deep": [0.75, float("nan")]}, "late", [0, 1]).to_pylist()[1]
    {'fast': 0.5, 'deep': None, 'late': 1}
    """
    if target in scores:
        raise BadInput(f"a member is named {target!r}, as the target is; rename the member")
    columns = {name: np.asarray(given, dtype=np.float64) for name, given in scores.items()}
    known = {**columns, target: np.asarray(labels)}
    shapes = {name: each.shape for name, each in known.items()}
    if len(set(shapes.values())) > 1 or known[target].ndim != 1:
        raise UnevenScores(shapes)
    made = {name: pa.array(each, pa.float64(), mask=np.isnan(each)) for name, each in columns.items()}
    return pa.table({**made, target: pa.array(known[target])})
