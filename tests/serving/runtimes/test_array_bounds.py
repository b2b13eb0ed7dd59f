from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.sparse import coo_array, csr_array
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, RadiusNeighborsClassifier
from sklearn.svm import SVC, SVR, NuSVC, NuSVR

from esteira.base.errors import CorruptArtifact
from esteira.serving.runtimes.tree_bounds import check_trees

if TYPE_CHECKING:
    from collections.abc import Callable


def fitted(estimator: Any) -> Any:
    matrix = np.random.default_rng(0).normal(size=(60, 3))
    return estimator.fit(matrix, (matrix[:, 0] > 0).astype(int))


def brute() -> Any:
    return fitted(KNeighborsClassifier(algorithm="brute"))


def test_what_scikit_learn_fitted_is_sound() -> None:
    for estimator in (
        *(SVC(), NuSVC(kernel="poly"), SVR(), NuSVR(kernel="linear"), LogisticRegression()),
        *(
            kind(algorithm="brute")
            for kind in (KNeighborsClassifier, KNeighborsRegressor, RadiusNeighborsClassifier)
        ),
    ):
        check_trees(fitted(estimator), "model.skops")
    check_trees(fitted(LogisticRegression()).sparsify(), "model.skops")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_n_support", np.array([100_000, 7], dtype=np.int32)),
        ("_n_support", np.array([-1, 32], dtype=np.int32)),
        ("_n_support", np.zeros(300, dtype=np.int32)),
        ("support_", np.arange(100_000, dtype=np.int32)),
        ("support_vectors_", np.zeros((31, 1))),
        ("_dual_coef_", np.zeros((1, 2))),
        ("_intercept_", np.zeros(0)),
        ("_probA", np.zeros(1)),
        ("kernel", "precomputed"),
        ("_impl", "epsilon_svr"),
        ("_sparse", True),
    ],
)
def test_a_machine_of_other_vectors_than_its_counts_is_found(name: str, value: object) -> None:
    machine = fitted(SVC())
    setattr(machine, name, value)
    with pytest.raises(CorruptArtifact, match="own places"):
        check_trees(machine, "model.skops")


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found._y.__setitem__(0, 10_000),
        lambda found: found._y.__setitem__(0, -1),
        lambda found: setattr(found, "_y", found._y[:7]),
        lambda found: setattr(found, "_fit_X", found._fit_X[:, :1]),
        lambda found: setattr(found, "_fit_X", csr_array(found._fit_X)),
        lambda found: setattr(found, "n_neighbors", 61),
    ],
)
def test_neighbours_whose_labels_are_no_classes_are_found(change: Callable[[Any], Any]) -> None:
    found = brute()
    change(found)
    with pytest.raises(CorruptArtifact, match="own places"):
        check_trees(found, "model.skops")


def test_a_sparse_matrix_that_points_elsewhere_is_found() -> None:
    model = fitted(LogisticRegression()).sparsify()
    model.coef_.indices[0] = 10_000
    with pytest.raises(CorruptArtifact, match="own places"):
        check_trees(model, "model.skops")
    model.coef_ = coo_array(np.ones((1, 3)))
    with pytest.raises(CorruptArtifact, match="own places"):
        check_trees(model, "model.skops")
