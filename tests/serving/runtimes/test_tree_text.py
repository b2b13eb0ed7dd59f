from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.worlds import tree_text

from esteira.base.errors import CorruptArtifact
from esteira.serving.runtimes.tree_text import check_classes, check_columns, sound_text

TEXT = tree_text(-1.0, 3)


def test_a_whole_text_keeps_what_scoring_reads() -> None:
    kept = sound_text(TEXT)
    assert b"left_child=-1\nright_child=-2\nleaf_value=-1.0 3.0\n" in kept
    assert b"feature_names=c0 c1 c2\n" in kept
    assert b"internal_count" not in kept


@given(st.integers(0, TEXT.index(b"end of trees") + 12))
def test_a_text_cut_before_its_end_is_refused(keep: int) -> None:
    with pytest.raises(CorruptArtifact, match=r"model\.txt"):
        sound_text(TEXT[:keep])


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (b"left_child=-1\n", b"left_child=-1\nleft_child=7\n", "twice"),
        (b"num_class=1\n", b"num_class=1\nnum_class=1\n", "twice"),
        (b"num_leaves=2\n", b"num_leaves\n", "a line that is none"),
        (b"leaf_value=-1.0", b"leaf_value=-1.0\r", "ends a line"),
        (b"leaf_value=-1.0", b"leaf_value=-1.0\0", "ends a line"),
        (b"num_class=1", b"num_class=3", "one score per row"),
        (b"num_tree_per_iteration=1", b"num_tree_per_iteration=0", "one score per row"),
        (b"objective=binary sigmoid:1", b"objective=multiclass num_class:9", "one score per row"),
        (b"objective=binary sigmoid:1", b"objective=", "one score per row"),
        (b"max_feature_idx=2", b"max_feature_idx=3", "other columns"),
        (b"max_feature_idx=2", b"max_feature_idx=99999999999999999999", "32 bits"),
        (b"feature_infos=[0:1000] ", b"feature_infos=", "other columns"),
        (b"label_index=0", b"label_index=x", "integers"),
        (b"tree_sizes=", b"tree_sizes=-", "no tree 0"),
        (b"tree_sizes=", b"tree_sizes=9999999999999999999", "no tree 0"),
    ],
)
def test_a_text_that_two_could_read_otherwise_is_refused(old: bytes, new: bytes, fault: str) -> None:
    text = resized(TEXT.replace(old, new, 1)) if b"tree_sizes" not in old else TEXT.replace(old, new, 1)
    with pytest.raises(CorruptArtifact, match=fault):
        sound_text(text)


def resized(text: bytes) -> bytes:
    head, tree = text.split(b"\nTree=0\n")
    size = tree.index(b"end of trees") + len(b"Tree=0\n")
    return b"%btree_sizes=%d\n\nTree=0\n%b" % (head[: head.index(b"tree_sizes=")], size, tree)


def test_other_columns_and_several_classes_are_refused_by_number() -> None:
    check_columns(3, 3)
    check_classes(1)
    with pytest.raises(CorruptArtifact, match="expected 3 columns, found 4"):
        check_columns(3, 4)
    with pytest.raises(CorruptArtifact, match="one score per row"):
        check_classes(3)
