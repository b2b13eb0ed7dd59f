from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.worlds import tree_text

from esteira.base.errors import CorruptArtifact
from esteira.serving.runtimes.tree_text import check_classes, check_columns, check_whole

TEXT = tree_text(-1.0, 3)


def test_a_whole_text_passes() -> None:
    check_whole(TEXT)


@given(st.integers(0, TEXT.index(b"end of trees") + 12))
def test_a_text_cut_before_its_end_is_refused(keep: int) -> None:
    with pytest.raises(CorruptArtifact, match=r"model\.txt"):
        check_whole(TEXT[:keep])


def test_other_columns_and_several_classes_are_refused_by_number() -> None:
    check_columns(3, 3)
    check_classes(1)
    with pytest.raises(CorruptArtifact, match="expected 3 columns, found 4"):
        check_columns(3, 4)
    with pytest.raises(CorruptArtifact, match="one score per row"):
        check_classes(3)
