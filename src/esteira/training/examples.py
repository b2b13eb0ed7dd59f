"""What a trainer learns from: the signature's matrix and its labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.errors import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from esteira.registry.signature import Signature


class UnusableTarget(BadInput):
    """A target from which no classifier can learn."""

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(f"target {target!r} cannot be learnt: {reason}")
        self.target, self.reason = target, reason


@dataclass(frozen=True, slots=True)
class Examples:
    """Shapes: matrix (rows, columns), labels (rows,) of 0.0 and 1.0."""

    matrix: NDArray[np.float64]
    labels: NDArray[np.float64]


def read_examples(table: pa.Table, signature: Signature) -> Examples:
    """A training table as numbers. Raises: UnusableTarget, WrongInput."""
    labels = _labels(table, signature.target)
    return Examples(signature.encode_table(table), labels)


def _labels(table: pa.Table, target: str) -> NDArray[np.float64]:
    if target not in table.column_names:
        raise UnusableTarget(target, f"the table has only {', '.join(table.column_names)}")
    column = table[target]
    if column.null_count:
        raise UnusableTarget(target, f"{column.null_count} of {len(column)} rows have none; drop those rows")
    if not (pa.types.is_boolean(column.type) or _is_number(column.type)):
        raise UnusableTarget(target, f"expected true and false or 1 and 0, found {column.type}")
    labels: NDArray[np.float64] = pc.cast(column, pa.float64()).to_numpy()
    found = set(np.unique(labels)[:3].tolist())
    if not found <= {0.0, 1.0}:
        raise UnusableTarget(target, f"expected 0 and 1, found also {sorted(found - {0.0, 1.0})[0]}")
    if len(found) < 2:
        raise UnusableTarget(target, f"all {len(labels)} rows have the same class; take a longer window")
    return labels


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
