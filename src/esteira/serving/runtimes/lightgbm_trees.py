"""The trees of LightGBM as they come from a file: its C++ code follows their branches without looking.

A branch to a node that is not there would read memory that belongs to others; nodes in a ring would never
end; a set of categories that is said to be long would take memory that the text does not fill.
Source: LightGBM 4, src/io/tree.cpp and include/LightGBM/tree.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Tree = Mapping[bytes, bytes]

_KINDS = 12  # a split's bits: by category, missing goes left, and three ways to be missing
_WORDS = 2**32  # a word of a set, 32 categories


def check_trees(trees: Sequence[Tree], columns: int) -> None:
    """Hold trees, each the values of its keys, to their own bounds. Raises: KeyError, ValueError."""
    ones = np.ones(len(trees), dtype=np.int64)
    leaves, sets = (integers([tree[name] for tree in trees], ones) for name in (b"num_leaves", b"num_cat"))
    if (leaves < 1).any() or (sets < 0).any():
        raise ValueError("a tree without a leaf")
    _check_branches(trees, leaves, columns)
    kinds = _of_nodes(trees, b"decision_type", leaves)
    if not _are_within(kinds, 0, _KINDS):
        raise ValueError("a split of no known kind")
    thresholds = [tree[b"threshold"].count(b" ") for tree in trees if tree[b"threshold"]]
    if thresholds != (leaves[leaves > 1] - 2).tolist():
        raise ValueError("other thresholds than splits")
    _check_sets(trees, sets, leaves - 1, kinds & 1 == 1)
    for tree, most in zip(trees, leaves.tolist(), strict=True):
        if tree.get(b"is_linear", b"0") != b"0":
            _check_linear(tree, most, columns)


def integers(values: Sequence[bytes], counts: Integers) -> Integers:
    """The numbers of texts that state `counts` of them, one behind another. Raises: ValueError."""
    if [value.count(b" ") + 1 if value else 0 for value in values] != counts.tolist():
        raise ValueError("arrays of other lengths than the tree states")
    text = b" ".join([b"", *filter(None, values), b""])
    if text.translate(None, b"-0123456789 ") or text.count(b"-") != text.count(b" -") or b"- " in text:
        raise ValueError("something else where integers stand")
    found = np.fromstring(text, dtype=np.int64, sep=" ") if text.strip() else np.zeros(0, dtype=np.int64)
    if len(found) != counts.sum():  # two spaces beside each other
        raise ValueError("something else where integers stand")
    return found


def _of_nodes(trees: Sequence[Tree], name: bytes, leaves: Integers) -> Integers:
    return integers([tree[name] for tree in trees], leaves - 1)


def _are_within(found: Integers, least: int, end: Integers | int) -> bool:
    return bool(((found >= least) & (found < end)).all())


def _check_branches(trees: Sequence[Tree], leaves: Integers, columns: int) -> None:
    """All trees at once: their nodes stand in one row, each tree's from its root on; a leaf is ~its place."""
    left, right, features = (
        _of_nodes(trees, name, leaves) for name in (b"left_child", b"right_child", b"split_feature")
    )
    nodes = leaves - 1
    to, most = np.concatenate([left, right]), np.tile(np.repeat(leaves, nodes), 2)
    is_leaf = to < 0
    if not _are_within(~to[is_leaf], 0, most[is_leaf]) or not _are_within(
        to[~is_leaf], 1, most[~is_leaf] - 1
    ):
        raise ValueError("a branch to no node")
    if not _are_within(features, 0, columns):
        raise ValueError("a split by no column")
    roots = np.tile(np.repeat(nodes.cumsum() - nodes, nodes), 2)
    # Where every node but the root has at most one branch to it, no walk from the root meets a node twice.
    if (np.bincount(to[~is_leaf] + roots[~is_leaf]) > 1).any():
        raise ValueError("two branches to one node")


def _check_sets(
    trees: Sequence[Tree], sets: Integers, nodes: Integers, by_category: NDArray[np.bool_]
) -> None:
    """A split by category names one of the tree's sets, as its threshold; sets stand one behind another."""
    tokens = b" ".join([tree[b"threshold"] for tree in trees if tree[b"threshold"]]).split(b" ")
    named = [tokens[at] for at in np.flatnonzero(by_category)]
    most = np.repeat(sets, nodes)[by_category]
    if not _are_within(integers(named, np.ones(len(named), dtype=np.int64)), 0, most):
        raise ValueError("a split by a set of categories that is not there")
    having, counts = [trees[at] for at in np.flatnonzero(sets).tolist()], sets[sets > 0] + 1
    words = [tree[b"cat_threshold"] for tree in having]
    lengths = np.array([value.count(b" ") + 1 if value else 0 for value in words], dtype=np.int64)
    bounds = integers([tree[b"cat_boundaries"] for tree in having], counts)
    ends = counts.cumsum()
    rises = np.delete(np.diff(bounds), ends[:-1] - 1)  # but not from one tree to the next
    if bounds[ends - counts].any() or (bounds[ends - 1] != lengths).any() or (rises < 0).any():
        raise ValueError("sets of categories that do not stand one behind another")
    if not _are_within(integers(words, lengths), 0, _WORDS):
        raise ValueError("a set of no categories")


def _check_linear(tree: Tree, leaves: int, columns: int) -> None:
    counts = integers([tree[b"num_features"]], np.array([leaves]))
    features = b" ".join(tree[b"leaf_features"].split())
    if tree[b"is_linear"] != b"1" or not _are_within(counts, 0, columns + 1):
        raise ValueError("a leaf of no known sum")
    if not _are_within(integers([features], counts.sum(keepdims=True)), 0, columns):
        raise ValueError("a leaf's sum over no column")
    if len(tree[b"leaf_coeff"].split()) != counts.sum() or len(tree[b"leaf_const"].split()) != leaves:
        raise ValueError("a leaf's sum of other terms than it has columns")
