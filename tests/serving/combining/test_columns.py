from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.registry.columns import Column, WrongInput
from esteira.registry.signature import Signature
from esteira.serving.combining.columns import MemberColumns
from esteira.serving.combining.signatures import joint_signature

SIGNATURES = st.lists(
    st.sampled_from("abcd").flatmap(
        lambda name: st.lists(st.sampled_from("xyz"), unique=True).map(
            lambda known: Column(name, "category", tuple(known)) if name in "ab" else Column(name)
        )
    ),
    max_size=4,
    unique_by=lambda column: column.name,
).map(lambda columns: Signature(tuple(columns), "late"))
VALUES = {name: st.sampled_from("xyz?") if name in "ab" else st.floats(-9, 9) for name in "abcd"}


@given(st.lists(SIGNATURES, min_size=1, max_size=3), st.lists(st.fixed_dictionaries(VALUES), max_size=4))
def test_a_member_sees_what_it_would_see_if_it_were_asked_alone(
    members: list[Signature], rows: list[dict[str, object]]
) -> None:
    joint = joint_signature({str(n): each for n, each in enumerate(members)}, "late")
    encoded = [joint.encode_row(row) for row in rows]
    for own in members:
        columns = MemberColumns(joint, own)
        alone = [own.encode_row(row) for row in rows]
        assert repr([columns.of_row(row) for row in encoded]) == repr(alone)
        together = columns.of_rows(np.array(encoded).reshape(len(rows), len(joint.columns)))
        assert np.array_equal(together, np.array(alone).reshape(together.shape), equal_nan=True)


def test_a_member_that_asks_for_all_gets_the_row_itself() -> None:
    signature = Signature((Column("a"), Column("b")), "late")
    columns, row, matrix = MemberColumns(signature, signature), [1.0, math.nan], np.ones((2, 2))
    assert columns.of_row(row) is row
    assert columns.of_rows(matrix) is matrix


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(WrongInput, match="'b'"):
        MemberColumns(Signature((Column("a"),), "late"), Signature((Column("b"),), "late"))
