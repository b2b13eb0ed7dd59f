from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from esteira.base.errors import CorruptArtifact
from esteira.serving.runtimes.tree_bounds import check_trees

if TYPE_CHECKING:
    from collections.abc import Callable


def fitted(estimator: Any) -> Any:
    drawn = np.random.default_rng(0)
    matrix = drawn.normal(size=(200, 4))
    return estimator.fit(matrix, (matrix[:, 0] > 0).astype(int))


def test_what_scikit_learn_grew_is_sound() -> None:
    for estimator in (
        RandomForestClassifier(3, random_state=0),
        GradientBoostingClassifier(n_estimators=3),
        HistGradientBoostingClassifier(max_iter=3),
        LogisticRegression(),
    ):
        check_trees(fitted(make_pipeline(estimator)), "model.skops")


@pytest.mark.parametrize(
    ("field", "value"), [("left_child", 10_000), ("right_child", -7), ("left_child", 0), ("feature", 4)]
)
def test_a_branch_that_leads_elsewhere_is_found_in_a_forest(field: str, value: int) -> None:
    forest = fitted(RandomForestClassifier(3, random_state=0))
    tree = forest.estimators_[1].tree_
    state = tree.__getstate__()
    nodes = state["nodes"].copy()
    nodes[field][0] = value
    tree.__setstate__({**state, "nodes": nodes})
    with pytest.raises(CorruptArtifact, match="branches"):
        check_trees(make_pipeline(forest), "model.skops")


@pytest.mark.parametrize(
    ("field", "value"), [("left", 10_000), ("right", 0), ("feature_idx", 4), ("feature_idx", -1)]
)
def test_a_branch_that_leads_elsewhere_is_found_in_histogram_boosting(field: str, value: int) -> None:
    boosted = fitted(HistGradientBoostingClassifier(max_iter=3))
    boosted._predictors[2][0].nodes[field][0] = value
    with pytest.raises(CorruptArtifact, match="branches"):
        check_trees(boosted, "model.skops")


def boosted() -> Any:
    return fitted(GradientBoostingClassifier(n_estimators=3))


def test_a_member_of_more_columns_than_its_ensemble_is_found() -> None:
    for ensemble in (boosted(), fitted(RandomForestClassifier(3, random_state=0))):
        np.ravel(ensemble.estimators_)[1].n_features_in_ = 10
        with pytest.raises(CorruptArtifact, match="members take 4 columns"):
            check_trees(make_pipeline(ensemble), "model.skops")


def test_a_tree_that_stands_in_two_ensembles_is_held_to_the_columns_of_both() -> None:
    ensemble = boosted()
    drawn = np.random.default_rng(1).normal(size=(200, 10))
    wide = DecisionTreeClassifier(max_depth=1).fit(drawn, drawn[:, 9] > 0)
    ensemble.estimators_[0, 0].tree_ = wide.tree_
    for found in ([ensemble, wide], [wide, ensemble]):
        with pytest.raises(CorruptArtifact, match="branches"):
            check_trees(found, "model.skops")


def test_boosting_that_would_write_beside_its_scores_is_found() -> None:
    ensemble = boosted()
    ensemble.estimators_ = np.repeat(ensemble.estimators_, 3, axis=1)
    with pytest.raises(CorruptArtifact, match="ensemble"):
        check_trees(ensemble, "model.skops")


def with_categories() -> Any:
    drawn = np.random.default_rng(0)
    matrix = np.column_stack([drawn.normal(size=200), drawn.integers(0, 5, 200)])
    estimator = HistGradientBoostingClassifier(max_iter=2, categorical_features=[1])
    estimator.fit(matrix, (matrix[:, 1] % 2 == 0).astype(int))
    estimator._preprocessor = None  # as it stands in a file: the rest of it is no type that a file may hold
    estimator._bin_mapper.is_categorical_ = np.array([0, 1], dtype=np.uint8)
    for nodes in (each.nodes for round_ in estimator._predictors for each in round_):
        nodes["feature_idx"] = 1 - nodes["feature_idx"]
    return estimator


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda b: b._predictors[0][0].nodes["bitset_idx"].fill(5), "branches"),
        (
            lambda b: setattr(b._predictors[0][0], "raw_left_cat_bitsets", np.zeros((9, 1), np.uint32)),
            "branches",
        ),
        (lambda b: b._bin_mapper.is_categorical_.fill(0), "arrays"),
        (lambda b: setattr(b._bin_mapper, "is_categorical_", np.ones(1, np.uint8)), "arrays"),
        (lambda b: setattr(b, "_preprocessor", SimpleImputer()), "arrays"),
        (lambda b: delattr(b, "n_features_in_"), "number of columns"),
    ],
)
def test_a_category_without_its_set_is_found(change: Callable[[Any], Any], fault: str) -> None:
    check_trees(with_categories(), "model.skops")
    found = with_categories()
    change(found)
    with pytest.raises(CorruptArtifact, match=fault):
        check_trees(make_pipeline(StandardScaler(), found), "model.skops")


def test_a_tree_that_does_not_know_its_columns_is_found_outside_an_ensemble() -> None:
    tree = fitted(DecisionTreeClassifier())
    del tree.n_features_in_
    with pytest.raises(CorruptArtifact, match="number of columns"):
        check_trees(make_pipeline(StandardScaler(), tree), "model.skops")
