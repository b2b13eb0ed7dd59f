"""Columns that hardly vary."""

from __future__ import annotations

import math

import numpy as np
import pytest

from esteira.base.errors import BadInput
from esteira.registry.columns import Column
from esteira.registry.signature import Signature
from esteira.training.examples import Examples
from esteira.training.selectors.variance import Variance


@pytest.mark.parametrize(
    ("values", "share"),
    [
        ([5.0] * 10, 0.0),
        ([5.0] * 9 + [6.0], 0.1),
        ([math.nan] * 10, 0.0),
        ([5.0] * 8 + [math.nan] * 2, 0.2),
        ([1e9 + at for at in range(10)], 0.9),
    ],
)
def test_the_score_is_the_share_of_rows_that_differ_from_the_commonest_value(
    values: list[float], share: float
) -> None:
    rows = Examples(np.array(values)[:, np.newaxis], np.zeros(10))
    (score,) = Variance(least=0.1).judge(rows, Signature((Column("x"),), "late"), seed=1)
    assert score.score == pytest.approx(share)
    assert score.keep is (share >= 0.1)
    assert score.noise is None


def test_a_dropped_column_is_told_how_constant_it_is() -> None:
    rows = Examples(np.zeros((10, 1)), np.zeros(10))
    (score,) = Variance().judge(rows, Signature((Column("x"),), "late"), seed=1)
    assert score.reason == "nearly constant: 10 of 10 rows hold one value"


@pytest.mark.parametrize("least", [0.0, 1.0, -1.0, math.nan])
def test_a_share_that_is_none_is_refused(least: float) -> None:
    with pytest.raises(BadInput, match="between 0 and 1"):
        Variance(least)
