"""Whether a row alone gets the bits that it gets in a batch, seen by trying.

A library may take another kernel for one row than for many, a matrix-vector product in place of a matrix
product, and kernels add in different orders. A row that is sent twice takes the kernel of a batch. What that
comes to depends on the model, the library and the machine, so it is tried when a model is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from esteira.registry.columns import Column

    Score = Callable[[NDArray[np.float64]], NDArray[np.float64]]

ROWS = 259  # many, as kernels differ in few rows of a hundred; and no multiple of a vector
_PARTS = (2, 3, 4, 5, 7, 8, 13, 16, 31, 64, 100)  # rows


def trial_rows(columns: tuple[Column, ...], *, missing: bool) -> NDArray[np.float64]:
    """Rows to try a model on, shape (ROWS, columns), equal at each load; some values are missing if asked.

    Small and large ones: far from its threshold, a model says 0 or 1 in any order of adding.
    """
    drawn = np.random.default_rng(7)
    rows = drawn.normal(size=(ROWS, len(columns))) * np.geomspace(0.05, 4, ROWS)[:, np.newaxis]
    for at, column in enumerate(columns):
        if column.kind == "category":
            rows[:, at] = drawn.integers(0, max(len(column.categories), 1), ROWS)
    if missing:
        rows[drawn.random(rows.shape) < 0.1] = np.nan
    return drawn.permutation(rows)


def has_equal_bits(score: Score, rows: NDArray[np.float64], copies: int, lone: int = ROWS) -> bool:
    """Whether rows score in smaller batches, and alone when sent in `copies`, as all together, to the bit.

    Of lone rows the first `lone` are tried. Shapes: rows (rows, columns), scores (rows,).
    >>> has_equal_bits(lambda rows: rows.max(axis=1), np.ones((3, 2)), copies=1)
    True
    """
    whole = score(rows)
    if not all(_are_equal(score(rows[-size:]), whole[-size:]) for size in _PARTS if size < len(rows)):
        return False
    tried = rows[:lone]
    alone = [score(np.repeat(tried[at : at + 1], copies, axis=0))[0] for at in range(len(tried))]
    return _are_equal(np.array(alone), whole[: len(tried)])


def _are_equal(left: NDArray[np.float64], right: NDArray[np.float64]) -> bool:
    return np.array_equal(left, right, equal_nan=True)
