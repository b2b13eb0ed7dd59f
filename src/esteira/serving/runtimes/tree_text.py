"""LightGBM's text of trees: whole and sound, before a library reads it.

The libraries believe a text: one that is cut, or whose numbers lead elsewhere, ends the process or never
ends. They get a text that is written anew from what was checked, so that neither can read it otherwise, and
without what only training and reports ask for, which is half of it.
Source: LightGBM 4, src/boosting/gbdt_model_text.cpp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from esteira.base.errors import CorruptArtifact
from esteira.serving.runtimes.lightgbm_trees import check_trees, integers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from esteira.serving.runtimes.lightgbm_trees import Tree

PAYLOAD = "model.txt"

_OF_MODEL = (b"num_class", b"num_tree_per_iteration", b"label_index", b"max_feature_idx", b"objective")
_OF_COLUMNS = (b"feature_names", b"feature_infos")
_OF_TREE = (b"num_leaves", b"num_cat", b"split_feature", b"threshold", b"decision_type")
_OF_BRANCHES = (b"left_child", b"right_child", b"leaf_value")
_OF_SETS = (b"cat_boundaries", b"cat_threshold")
_OF_LINEAR = (b"is_linear", b"leaf_const", b"num_features", b"leaf_features", b"leaf_coeff")
# Objectives that write one number; those of several classes would write behind it.
_OBJECTIVES = frozenset(
    b"regression regression_l1 quantile huber fair poisson binary lambdarank rank_xendcg cross_entropy"
    b" xentropy cross_entropy_lambda xentlambda mape gamma tweedie custom".split()
)
_LARGEST = 2**31 - 1


def sound_text(text: bytes) -> bytes:
    """What scoring reads of a text, all of it checked. Raises: CorruptArtifact."""
    try:
        start = text.index(b"\nTree=0\n") + 1
        head = _head(text[:start])
        columns = _number(head[b"max_feature_idx"]) + 1
        trees = [*_trees(text, start, head[b"tree_sizes"])]
        _check_head(head, columns)
        check_trees(trees, columns)
        written = _written(head, trees)
        if b"\r" in written or b"\0" in written:
            raise ValueError("a character that ends a line or the text")
    except (KeyError, IndexError, ValueError) as broken:
        raise CorruptArtifact(PAYLOAD, "a whole LightGBM model", str(broken)[:200]) from broken
    return written


def check_columns(expected: int, found: int) -> None:
    """Hold the columns of a model against its signature's. Raises: CorruptArtifact."""
    if found != expected:
        raise CorruptArtifact(PAYLOAD, f"{expected} columns", f"{found}")


def check_classes(found: int) -> None:
    """Hold a model to one score a row: each class writes one. Raises: CorruptArtifact."""
    if found != 1:
        raise CorruptArtifact(PAYLOAD, "one score per row", f"{found}")


def _number(text: bytes) -> int:
    found = int(integers([text], np.ones(1, dtype=np.int64))[0])
    if abs(found) > _LARGEST:
        raise ValueError(f"{found} where a number of 32 bits stands")
    return found


def _head(text: bytes) -> dict[bytes, bytes]:
    lines = [line.partition(b"=") for line in text.split(b"\n") if line]
    head = {key: value for key, _, value in lines}
    if len(head) != len(lines):
        raise ValueError("a key that stands twice")
    return head


def _check_head(head: Mapping[bytes, bytes], columns: int) -> None:
    check_classes(_number(head[b"num_class"]))
    check_classes(_number(head.get(b"num_tree_per_iteration", b"1")))
    _number(head[b"label_index"])
    if head.get(b"objective", b"custom").split(b" ")[0] not in _OBJECTIVES:
        raise ValueError("an objective that is not known to give one score per row")
    if any(len([*filter(None, head[name].split(b" "))]) != columns for name in _OF_COLUMNS) or columns < 1:
        raise ValueError("other columns than their number")


def _trees(text: bytes, start: int, sizes: bytes) -> Iterator[Tree]:
    """Each tree's keys and values, in the places that the sizes of the trees state."""
    at = start
    for number, size in enumerate(integers([sizes], np.array([sizes.count(b" ") + 1])).tolist()):
        parts = text[at : at + size].rstrip(b"\n").replace(b"\n", b"=").split(b"=")
        if size < 1 or parts[:2] != [b"Tree", b"%d" % number] or text[at + size - 1 : at + size] != b"\n":
            raise ValueError(f"no tree {number} at byte {at}")
        tree = dict(zip(parts[::2], parts[1::2], strict=False))
        if 2 * len(tree) != len(parts):
            raise ValueError(f"a key that stands twice in tree {number}, or a line that is none")
        yield tree
        at += size
    if not text.startswith(b"end of trees\n", at):
        raise ValueError(f"{len(text)} bytes without its last tree")


def _written(head: Mapping[bytes, bytes], trees: Sequence[Tree]) -> bytes:
    blocks = [b"Tree=%d\n%b\n\n" % (number, _lines(tree, _keys(tree))) for number, tree in enumerate(trees)]
    kept = [name for name in (*_OF_MODEL, *_OF_COLUMNS) if name in head]
    averaged = b"average_output\n" if b"average_output" in head else b""
    # Without the sizes of its trees LightGBM reads them on one thread: on several, a number that is none
    # ends the process.
    return b"".join([b"tree\nversion=v4\n", _lines(head, kept), averaged, b"\n", *blocks, b"end of trees\n"])


def _keys(tree: Tree) -> tuple[bytes, ...]:
    sets = _OF_SETS if tree[b"num_cat"] != b"0" else ()
    linear = _OF_LINEAR if tree.get(b"is_linear", b"0") != b"0" else ()
    return _OF_TREE + _OF_BRANCHES + sets + linear


def _lines(values: Mapping[bytes, bytes], names: Sequence[bytes]) -> bytes:
    return b"".join([b"%b=%b\n" % (name, values[name]) for name in names])
