from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from esteira.base.errors import BadInput
from esteira.registry.columns import Column
from esteira.registry.signature import infer_signature
from esteira.serving.combining.stacking import UnevenScores, final_inputs


def test_scores_become_columns_named_for_their_members_and_what_is_not_there_is_null() -> None:
    table = final_inputs({"a": np.array([0.25, np.nan]), "b": [1, 0]}, "late", [True, False])
    assert table.schema == pa.schema({"a": pa.float64(), "b": pa.float64(), "late": pa.bool_()})
    assert table.to_pydict() == {"a": [0.25, None], "b": [1.0, 0.0], "late": [True, False]}
    signature = infer_signature(table, "late", columns=("a", "b"))
    assert signature.columns == (Column("a", optional=True), Column("b"))


def test_scores_of_other_rows_are_refused() -> None:
    with pytest.raises(UnevenScores, match=r"a \(2,\), b \(3,\), late \(2,\)"):
        final_inputs({"a": [1, 2], "b": [1, 2, 3]}, "late", [0, 1])
    with pytest.raises(UnevenScores):
        final_inputs({"a": [[1, 2]]}, "late", [[0, 1]])
    with pytest.raises(BadInput, match="named 'late', as the target is"):
        final_inputs({"late": [1, 2]}, "late", [0, 1])
