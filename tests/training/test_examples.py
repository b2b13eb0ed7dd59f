"""Tables as matrix and labels."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from esteira.registry.signature import Column, Signature
from esteira.training.examples import UnusableTarget, read_examples

SIGNATURE = Signature((Column("miles"), Column("carrier", "category", ("AA", "UA"))), "late")


def table(late: pa.Array) -> pa.Table:
    return pa.table({"miles": [10, 20], "carrier": ["UA", "AA"], "late": late})


def test_a_table_becomes_the_matrix_of_its_signature_and_labels_of_zero_and_one() -> None:
    examples = read_examples(table(pa.array([True, False])), SIGNATURE)
    assert examples.matrix.tolist() == [[10.0, 1.0], [20.0, 0.0]]
    assert examples.labels.tolist() == [1.0, 0.0]
    assert examples.labels.dtype == np.float64


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint32(), pa.float32(), pa.bool_()])
def test_labels_of_any_number_type_are_the_same(kind: pa.DataType) -> None:
    examples = read_examples(table(pa.array([1, 0], pa.int64()).cast(kind)), SIGNATURE)
    assert examples.labels.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("late", "reason"),
    [
        (pa.array([1, None]), "1 of 2 rows have none; drop those rows"),
        (pa.array([1.0, float("nan")]), "found also nan"),
        (pa.array([0.0, 0.5]), "found also 0.5"),
        (pa.array(["1", "0"]), "found string"),
        (pa.array([0, 0]), "all 2 rows have the same class"),
    ],
)
def test_labels_from_which_nothing_can_be_learnt_are_refused(late: pa.Array, reason: str) -> None:
    with pytest.raises(UnusableTarget, match=reason) as refused:
        read_examples(table(late), SIGNATURE)
    assert refused.value.target == "late"
