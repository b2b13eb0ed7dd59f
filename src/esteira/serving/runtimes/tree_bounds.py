"""The trees of scikit-learn as they come from a file: its C code follows their branches without looking.

A branch to a node that is not there would read memory that belongs to others; one that leads back would never
end. Nodes stand behind their parents in every tree that scikit-learn grows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from esteira.base.errors import CorruptArtifact
from esteira.serving.runtimes.array_bounds import are_sound_neighbors, is_sound_machine, is_sound_sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Estimator = Any  # or a part of one; scikit-learn ships no types


def check_trees(estimator: Estimator, payload: str) -> None:
    """Hold every tree inside an estimator to its own bounds. Raises: CorruptArtifact."""
    waiting, seen = [(estimator, 0, False)], {}
    while waiting:
        found, columns, is_member = waiting.pop()
        columns = getattr(found, "n_features_in_", columns)
        if (id(found), columns, is_member) in seen or isinstance(found, str | bytes | int | float):
            continue
        seen[id(found), columns, is_member] = found  # held, so that no other object gets its number
        kind = type(found).__name__
        if not _are_of_one_matrix(found, columns):
            raise CorruptArtifact(payload, f"an ensemble whose members take {columns} columns", kind)
        # What does not know its columns takes any matrix; a member gets that of its ensemble.
        if kind in _OF_COLUMNS and not is_member and "n_features_in_" not in vars(found):
            raise CorruptArtifact(payload, "an estimator that knows its number of columns", kind)
        if kind in _CHECKS and not _CHECKS[kind](found, columns):
            raise CorruptArtifact(payload, _EXPECTED.get(kind, "arrays that lead to their own places"), kind)
        is_member = kind in _ENSEMBLES or (is_member and isinstance(found, list | np.ndarray))
        waiting += [(each, columns, is_member) for each in _inside(found)]


def _inside(found: object) -> list[Any]:
    if isinstance(found, dict):
        return [*found.values()]
    if isinstance(found, list | tuple):
        return [*found]
    if isinstance(found, np.ndarray):
        return found.ravel().tolist() if found.dtype == object else []
    return [*getattr(found, "__dict__", {}).values()]


def _are_of_one_matrix(ensemble: Estimator, columns: int) -> bool:
    """Whether members ask for no more than the columns of their ensemble, whose matrix their trees get.

    A chain adds what it predicted; boosting writes each column of its members into a column of its scores.
    """
    kind = type(ensemble).__name__
    members: Any = getattr(ensemble, "estimators_", ())
    if kind in {"GradientBoostingClassifier", "GradientBoostingRegressor"}:
        classes = len(getattr(ensemble, "classes_", ()))
        if members.ndim != 2 or members.shape[1] != (classes if classes > 2 else 1):
            return False
    return kind in {"ClassifierChain", "RegressorChain"} or all(
        getattr(each, "n_features_in_", columns) <= columns for each in _inside(members)
    )


def _is_sound(tree: Estimator, columns: int) -> bool:
    splits = tree.children_left != -1
    return (
        len(tree.children_left) == len(tree.value)
        and bool((splits == (tree.children_right != -1)).all())
        and _lead_on(splits, tree.children_left, tree.children_right)
        and _are_columns(tree.feature[splits], min(columns, tree.n_features))
    )


def _is_sound_predictor(predictor: Estimator, columns: int) -> bool:
    nodes = predictor.nodes
    splits = nodes["is_leaf"] == 0
    sets = nodes["bitset_idx"][splits & (nodes["is_categorical"] != 0)]
    return (
        len(nodes) > 0
        and _lead_on(splits, nodes["left"].astype(np.int64), nodes["right"].astype(np.int64))
        and _are_columns(nodes["feature_idx"][splits], columns)
        and predictor.raw_left_cat_bitsets.shape[1:] == (8,)
        and bool((sets < len(predictor.raw_left_cat_bitsets)).all())
    )


def _is_sound_boosting(boosting: Estimator, columns: int) -> bool:
    """Whether what is split by category has a set of known ones, and no step before takes columns away."""
    known = np.asarray(boosting._bin_mapper.is_categorical_)
    if boosting._preprocessor is not None or known.shape != (columns,):
        return False
    every = [each.nodes for round_ in boosting._predictors for each in round_]
    return all(
        bool(known[nodes["feature_idx"][(nodes["is_leaf"] == 0) & (nodes["is_categorical"] != 0)]].all())
        for nodes in every
    )


def _lead_on(splits: NDArray[np.bool_], left: NDArray[np.int64], right: NDArray[np.int64]) -> bool:
    own = np.flatnonzero(splits)
    return all(bool(((to[own] > own) & (to[own] < len(splits))).all()) for to in (left, right))


def _are_columns(features: NDArray[np.int64], columns: int) -> bool:
    return bool(((features >= 0) & (features < columns)).all())


_ENDS = ("Classifier", "Regressor")
_ENSEMBLES = frozenset(
    f"{name}{end}" for name in ("RandomForest", "ExtraTrees", "GradientBoosting") for end in _ENDS
)
_BOOSTING = frozenset(f"HistGradientBoosting{end}" for end in _ENDS)
_MACHINES = frozenset({"SVC", "NuSVC", "SVR", "NuSVR"})
_NEIGHBORS = frozenset(f"{which}Neighbors{end}" for which in ("K", "Radius") for end in _ENDS)
_TREES = frozenset(f"{name}{end}" for name in ("DecisionTree", "ExtraTree") for end in _ENDS)
_OF_COLUMNS = _ENSEMBLES | _BOOSTING | _MACHINES | _NEIGHBORS | _TREES
_SPARSE = frozenset(
    f"{form}_{kind}"
    for form in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")
    for kind in ("array", "matrix")
)
_EXPECTED = dict.fromkeys(("Tree", "TreePredictor"), "trees whose branches lead to their nodes")
_CHECKS = {
    "Tree": _is_sound,
    "TreePredictor": _is_sound_predictor,
    **dict.fromkeys(_BOOSTING, _is_sound_boosting),
    **dict.fromkeys(_MACHINES, is_sound_machine),
    **dict.fromkeys(_NEIGHBORS, are_sound_neighbors),
    **dict.fromkeys(_SPARSE, is_sound_sparse),
}
