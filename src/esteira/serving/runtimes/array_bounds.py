"""The arrays of scikit-learn's other estimators in C, as they come from a file: machines and neighbours.

libsvm reads as many vectors and numbers as the counts beside them say, the search of neighbours writes to the
place of each label, and a sparse matrix is read where its indices point.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Estimator = Any  # scikit-learn ships no types

_KERNELS = frozenset({"linear", "poly", "rbf", "sigmoid"})


def is_sound_machine(machine: Estimator, columns: int) -> bool:
    """Whether a dense support vector machine of one score has the vectors that its counts state."""
    most = len(machine.support_)
    counts = np.asarray(machine._n_support, dtype=np.int64)
    chances = (machine._probA.shape, machine._probB.shape)
    return (
        not machine._sparse
        and "_impl" not in vars(machine)
        and machine.kernel in _KERNELS
        and machine.support_vectors_.shape == (most, columns)
        and machine._dual_coef_.shape == (1, most)
        and machine._intercept_.shape == (1,)
        and chances in {((0,), (0,)), ((1,), (1,))}
        and counts.shape == (2,)
        and bool((counts >= 0).all())
        and ("SVR" in type(machine).__name__ or int(counts.sum()) == most)
    )


def are_sound_neighbors(found: Estimator, columns: int) -> bool:
    """Whether the examples that are searched have the columns of a row, and labels that are classes."""
    examples, labels = found._fit_X, np.asarray(found._y)
    if not isinstance(examples, np.ndarray) or examples.ndim != 2 or len(labels) != len(examples):
        return False
    if examples.shape[1] != columns or (found.n_neighbors or 0) > len(examples):
        return False
    if type(found).__name__.endswith("Regressor") or found.outputs_2d_:
        return True
    return labels.ndim == 1 and bool(((labels >= 0) & (labels < len(found.classes_))).all())


def is_sound_sparse(matrix: Estimator, _: int) -> bool:
    """Whether a compressed matrix points into itself."""
    try:
        matrix.check_format(full_check=True)
    except (AttributeError, ValueError):  # of another form, or unsound
        return False
    return True
