"""Columns that hardly vary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from esteira.base.errors import BadInput
from esteira.training.selectors.port import ColumnScore

if TYPE_CHECKING:
    from esteira.registry.signature import Signature
    from esteira.training.examples import Examples


@dataclass(frozen=True, slots=True)
class Variance:
    """Drops what is nearly constant: fewer than `least` of the rows differ from the commonest value.

    That share is the score, for numbers and categories alike; missing is a value. The variance itself would
    depend on the unit of the column.
    """

    least: float = 0.001

    def __post_init__(self) -> None:
        if not 0 < self.least < 1:
            raise BadInput(f"the least share of rows that differ must be between 0 and 1, found {self.least}")

    @property
    def name(self) -> str:
        return "variance"

    def judge(self, examples: Examples, signature: Signature, seed: int) -> list[ColumnScore]:
        return [
            self._score(name, int(np.unique(values, return_counts=True)[1].max()), len(values))
            for name, values in zip(signature.names, examples.matrix.T, strict=True)
        ]

    def _score(self, column: str, commonest: int, rows: int) -> ColumnScore:
        share = (rows - commonest) / rows
        keep = share >= self.least
        reason = "varies" if keep else f"nearly constant: {commonest} of {rows} rows hold one value"
        return ColumnScore(column, share, keep, reason)
