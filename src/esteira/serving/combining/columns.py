"""A row of a combination as each member asks for it: its columns by name, its categories by meaning."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from esteira.registry.signature import Signature


class MemberColumns:
    """From rows of the joint signature to rows of a member's.

    A row and the same row of a matrix become equal bits. Raises: WrongInput (a column that the joint
    signature does not have, or that is of another kind there).
    >>> from esteira.registry.signature import Column, Signature
    >>> joint = Signature((Column("miles"), Column("carrier", "category", ("AA", "UA"))), "late")
    >>> own = Signature((Column("carrier", "category", ("UA",)),), "late")
    >>> MemberColumns(joint, own).of_row([500.0, 1.0])
    [0.0]
    """

    def __init__(self, joint: Signature, own: Signature) -> None:
        self._joint, self._own = joint, own
        self.is_same = joint.columns == own.columns
        joint.recode(np.empty((0, len(joint.columns))), own)
        self._plan: list[tuple[int, dict[float, float] | None]] = []
        for column in own.columns:
            place = joint.names.index(column.name)
            known = joint.columns[place].categories
            codes = {name: float(code) for code, name in enumerate(column.categories)}
            moved = {float(code): codes.get(name, nan) for code, name in enumerate(known)}
            self._plan.append((place, None if known == column.categories else moved))

    def of_row(self, row: list[float]) -> list[float]:
        """One row; the joint row itself where both are the same."""
        if self.is_same:
            return row
        return [
            row[place] if moved is None else moved.get(row[place], nan)  # NaN is missing here too
            for place, moved in self._plan
        ]

    def of_rows(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Many rows. Shapes: (rows, joint columns) in, (rows, own columns) out."""
        return matrix if self.is_same else self._joint.recode(matrix, self._own)
