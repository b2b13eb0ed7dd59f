from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc
import pytest
from tests.project.worlds import answer

from esteira.base.errors import NotFound
from esteira.monitoring.prediction_log import vectors_of
from esteira.project.rescoring import Rescorer
from esteira.registry.columns import Column
from esteira.serving.combining import average, fallback
from esteira.serving.runtimes import open_runtime

if TYPE_CHECKING:
    from esteira.project.station import Station


def test_the_version_that_answered_says_the_same_again(station: Station) -> None:
    answer(station, 1)
    rows = station.tables.read("predictions")
    assert Rescorer(station).scores(rows, 1).tolist() == rows["score"].to_pylist()


def test_another_version_says_what_it_would_have_said(two: Station) -> None:
    answer(two, 1)
    rows, rescorer = two.tables.read("predictions"), Rescorer(two)
    model = rescorer.model(2)
    expected = open_runtime(model).predict(vectors_of(rows, len(model.signature.columns)))
    np.testing.assert_array_equal(rescorer.scores(rows, 2), expected)
    assert (rescorer.scores(rows, 2) != rescorer.scores(rows, 1)).any()


@pytest.mark.slow
def test_categories_that_only_one_version_knows_keep_their_meaning(played: Station) -> None:
    rows, rescorer = played.tables.read("predictions"), Rescorer(played)
    assert [rescorer.model(n).signature.columns[1].categories for n in (1, 3)] == [("a",), ("a", "b")]
    scores = rescorer.scores(rows, 3)
    own = pc.equal(rows["version"], 3).to_numpy()
    assert own.any()
    assert not own.all()
    np.testing.assert_array_equal(scores[own], rows["score"].to_numpy()[own])
    assert np.isfinite(rescorer.scores(rows, 1)).all()  # to the first, new firmware is missing


def test_a_version_with_deadlines_may_vary_and_is_waited_for_here(station: Station) -> None:
    answer(station, 1)
    rescorer, rows = Rescorer(station), station.tables.read("predictions")
    plain = rescorer.model(1)
    rescorer._models[2] = fallback({"a": plain, "b": plain}, deadlines_ms={"a": 1e-6})
    rescorer._models[3] = fallback({"a": plain, "b": plain})
    assert [rescorer.may_vary(number) for number in (1, 2, 3)] == [False, True, False]
    strict = average({"a": plain}, deadlines_ms={"a": 1e-6})
    rescorer._models[4] = strict  # without its member it has no answer at all
    assert rescorer.scores(rows, 4).tolist() == rescorer.scores(rows, 1).tolist()


def test_an_unknown_version_is_not_found(station: Station) -> None:
    with pytest.raises(NotFound, match="version '9"):
        Rescorer(station).model(9)


def test_a_version_that_asks_for_more_cannot_score_what_the_other_saw(two: Station) -> None:
    rescorer = Rescorer(two)
    model = rescorer.model(2)
    columns = (*model.signature.columns, Column("new"))
    rescorer._models[2] = replace(model, signature=replace(model.signature, columns=columns))
    assert rescorer.can_score(2, 1)
    assert not rescorer.can_score(1, 2)
