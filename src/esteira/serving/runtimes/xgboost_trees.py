"""The trees of XGBoost as they come from a file: its C++ code follows their branches without looking.

A branch to a node that is not there would read memory that belongs to others; nodes in a ring would never
end; a tree of many thousand levels would use up the stack, as the library measures it by recursion.
Source: XGBoost 3.2, src/tree/tree_model.cc and src/gbm/gbtree_model.cc.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from esteira.base.errors import CorruptArtifact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Tree = Mapping[str, Any]

_OF_NODES = ("left_children", "right_children", "parents", "split_indices")
_DEEPEST = 4096  # levels
_MOST_CATEGORIES = 2**31  # bits of all sets, as the library writes them out: 256 MiB


def check_trees(booster: Any, payload: str, columns: int) -> None:  # noqa: ANN401 - as of JSON
    """Hold every tree of a `gradient_booster` to its own bounds. Raises: CorruptArtifact."""
    try:
        is_dart = booster["name"] == "dart"
        model = (booster["gbtree"] if is_dart else booster)["model"]
        trees: Sequence[Tree] = model["trees"]
        _check_order(model)
        if is_dart and len(booster["weight_drop"]) != len(trees):
            raise ValueError("another number of weights than of trees")
        if len(trees):
            _check_branches(trees, columns)
        _check_categories([tree for tree in trees if "split_type" in tree])
    except (AttributeError, KeyError, IndexError, OverflowError, TypeError, ValueError) as broken:
        raise CorruptArtifact(payload, "trees whose branches lead to their nodes", str(broken)) from broken


def _integers(found: object) -> Integers:
    array = np.asarray(found)
    if array.ndim != 1 or (array.size and not np.can_cast(array.dtype, np.int64)):
        raise TypeError(f"{array.dtype} {[*array.shape]} where integers stand")
    return array.astype(np.int64)


def _check_order(model: Mapping[str, Any]) -> None:
    """Each tree stands in its place and adds to the one score."""
    if [tree["id"] for tree in model["trees"]] != [*range(len(model["trees"]))]:
        raise ValueError("a tree out of its place")
    if _integers(model["tree_info"]).any():
        raise ValueError("a tree that adds to another score")
    if int(model["gbtree_model_param"].get("num_parallel_tree", 1)) < 1:
        raise ValueError("an iteration without a tree")
    if "iteration_indptr" in model:
        starts = _integers(model["iteration_indptr"])
        if starts[0] != 0 or (np.diff(starts) < 0).any():
            raise ValueError("iterations out of order")


def _check_branches(trees: Sequence[Tree], columns: int) -> None:
    """All trees at once: their nodes stand in one row, each tree's from its root on."""
    counts = np.array([len(tree["left_children"]) for tree in trees])
    if any(len(tree[name]) != most for tree, most in zip(trees, counts, strict=True) for name in _OF_NODES):
        raise ValueError("arrays of other lengths than the nodes")
    if not counts.all() or any(int(tree["tree_param"].get("size_leaf_vector", 1)) > 1 for tree in trees):
        raise ValueError("a tree without a node, or with several numbers in a leaf")
    left, right, parents, features = (
        np.concatenate([_integers(tree[name]) for tree in trees]) for name in _OF_NODES
    )
    sizes, roots = np.repeat(counts, counts), np.repeat(counts.cumsum() - counts, counts)
    splits, below = np.flatnonzero(left != -1), np.flatnonzero(np.arange(len(left)) != roots)
    branches = np.concatenate([left[splits], right[splits]])
    if not _are_within(branches, 1, np.tile(sizes[splits], 2)):
        raise ValueError("a branch to no node")
    if not _are_within(parents[below], 0, sizes[below]):
        raise ValueError("a node of no parent")
    if not _are_within(features[splits], 0, columns):
        raise ValueError("a split by no column")
    # Where every node but the root has at most one branch to it, no walk from the root meets a node twice.
    if (np.bincount(branches + np.tile(roots[splits], 2)) > 1).any():
        raise ValueError("two branches to one node")
    _check_depth(left == -1, left + roots, right + roots, np.unique(roots))


def _are_within(found: Integers, least: int, end: Integers | int) -> bool:
    return bool(((found >= least) & (found < end)).all())


def _check_depth(is_leaf: NDArray[np.bool_], left: Integers, right: Integers, level: Integers) -> None:
    for _ in range(_DEEPEST):
        level = level[~is_leaf[level]]
        if not len(level):
            return
        level = np.concatenate([left[level], right[level]])
    raise ValueError(f"a tree of more than {_DEEPEST:,} levels")


def _check_categories(trees: Sequence[Tree]) -> None:
    bits = 0
    for tree in trees:
        kinds, nodes = _integers(tree["split_type"]), _integers(tree["categories_nodes"])
        starts, sizes = _integers(tree["categories_segments"]), _integers(tree["categories_sizes"])
        categories = _integers(tree["categories"])
        if len(kinds) != len(tree["left_children"]) or not _are_within(kinds, 0, 2):
            raise ValueError("a split of no known kind")
        if not np.array_equal(np.flatnonzero(kinds), nodes) or len(nodes) != len(starts):
            raise ValueError("a split without its set of categories")
        if not np.array_equal(starts, sizes.cumsum() - sizes) or sizes.sum() != len(categories):
            raise ValueError("sets of categories that do not stand one behind another")
        if not (sizes > 0).all() or not (categories >= 0).all():
            raise ValueError("a set of no category")
        if len(starts):
            bits += int(np.maximum.reduceat(categories, starts).sum()) + 32 * len(starts)
    if bits > _MOST_CATEGORIES:
        raise ValueError(f"sets of {bits:,} categories")
