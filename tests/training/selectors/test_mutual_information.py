"""What a column alone tells of the target, against scikit-learn and against chance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_selection import mutual_info_classif

from esteira.base.errors import BadInput
from esteira.registry.columns import Column
from esteira.registry.signature import Signature
from esteira.training.examples import Examples
from esteira.training.selectors.mutual_information import MutualInformation, mutual_information

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from esteira.training.selectors.port import ColumnScore


def judged(columns: dict[str, NDArray[np.float64]], labels: NDArray[np.float64]) -> list[ColumnScore]:
    """Columns whose name starts with c are categories."""
    kinds = [
        Column(name, "category", tuple(map(str, range(int(np.nanmax(values)) + 1))))
        if name.startswith("c")
        else Column(name)
        for name, values in columns.items()
    ]
    rows = Examples(np.column_stack(list(columns.values())), labels)
    return MutualInformation().judge(rows, Signature(tuple(kinds), "late"), seed=5)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=60))
def test_it_is_the_mutual_information_of_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    cells, labels = np.array([each[0] for each in rows]), np.array([float(each[1]) for each in rows])
    (theirs,) = mutual_info_classif(cells[:, np.newaxis], labels.astype(int), discrete_features=True)
    assert mutual_information(cells, labels) == pytest.approx(theirs, abs=1e-12)


def test_every_way_of_telling_is_seen() -> None:
    drawn = np.random.default_rng(1)
    labels = (drawn.random(2000) < 0.3).astype(float)
    noise = drawn.normal(size=2000)
    scores = judged(
        {
            "shifted": noise + labels,
            "u-shaped": np.where(labels, 3 * noise, noise),  # equal means: no correlation
            "missing": np.where(drawn.random(2000) < 0.3 + 0.3 * labels, math.nan, noise),
            "category": (drawn.random(2000) < 0.5 + 0.2 * labels).astype(float),
        },
        labels,
    )
    assert [score.keep for score in scores] == [True] * 4
    assert all(score.noise is not None and score.score > score.noise for score in scores)


def test_noise_of_any_kind_is_kept_once_in_twenty_columns() -> None:
    drawn = np.random.default_rng(2)
    labels = (drawn.random(400) < 0.3).astype(float)
    columns = {f"n{at}": drawn.normal(size=400) for at in range(150)}
    columns |= {f"c{at}": drawn.integers(0, 2 + at, 400).astype(float) for at in range(150)}
    kept = [score.column for score in judged(columns, labels) if score.keep]
    assert 4 <= len(kept) <= 29  # 15 expected; 99.9 % of binomial draws


def test_many_categories_score_nothing_of_their_own() -> None:
    drawn = np.random.default_rng(3)
    labels = (drawn.random(500) < 0.5).astype(float)
    levels = drawn.integers(0, 250, 500).astype(float)
    (score,) = judged({"c": levels}, labels)
    assert mutual_information(levels.astype(np.intp), labels) > 0.2
    assert abs(score.score) < 0.03


def test_an_empty_and_a_constant_column_tell_nothing() -> None:
    labels = np.array([0.0, 1.0] * 20)
    scores = judged({"empty": np.full(40, math.nan), "same": np.ones(40)}, labels)
    assert [(score.score, score.keep) for score in scores] == [(0.0, False)] * 2


@pytest.mark.parametrize(("bins", "shuffles"), [(1, 19), (20, 1)])
def test_options_that_tell_nothing_are_refused(bins: int, shuffles: int) -> None:
    with pytest.raises(BadInput, match="must be 2 or more, found 1"):
        MutualInformation(bins, shuffles)
