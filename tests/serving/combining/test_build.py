from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.serving.combining.models import line, summing
from tests.serving.worlds import tree_model, tree_score

from esteira.base.errors import BadInput, UnknownName
from esteira.registry.columns import Column
from esteira.serving import combining
from esteira.serving.combining import Average, average, cascade, fallback, graph, stacked, vote, weighted
from esteira.serving.runtimes import open_runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    from esteira.registry.bundle import Model

TWO = {"low": line(0.25), "high": line(0.75)}
FINAL = summing([Column("high"), Column("low")], 1.0, 10.0)


def score(model: Model, miles: float) -> float:
    return open_runtime(model).predict_row([miles])


def test_each_kind_is_a_model_that_scores() -> None:
    assert score(average(TWO), 1.0) == 0.5
    assert score(weighted(TWO, {"high": 0.75, "low": 0.25}), 1.0) == 0.625
    assert score(vote(TWO, {"high": 0.7, "low": 0.3}), 1.0) == 0.5
    assert score(vote(TWO, 0.2, majority=True), 1.0) == 1.0
    assert score(stacked(TWO, FINAL), 1.0) == 3.25
    assert score(cascade(TWO, {"low": (0.2, 0.8)}), 1.0) == 0.75
    assert score(cascade(TWO, {"low": (0.2, 0.8)}), 4.0) == 1.0
    assert score(fallback(TWO, deadlines_ms={"low": 5000}), 1.0) == 0.25
    assert score(graph(TWO, [Average("n", ("high", "low"))]), 1.0) == 0.5


def test_a_combination_may_be_a_member() -> None:
    both = average(TWO)
    assert score(cascade({"low": TWO["low"], "both": both}, {"low": (0.2, 0.8)}), 1.0) == 0.5


def test_members_may_ask_for_different_columns() -> None:
    model = average({"trees": tree_model(-1.0), "gust": line(1.0, "gust")})
    assert model.signature.names == ("miles", "carrier", "gust")
    asked = model.signature.encode_row({"miles": 100, "carrier": "UA", "gust": 0.5})
    assert open_runtime(model).predict_row_parts(asked)[1] == [tree_score(-1.0), 0.5]


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: average({}), BadInput, "needs 1 or more members"),
        (lambda: average({"answer": TWO["low"]}), BadInput, "two members or nodes are named 'answer'"),
        (lambda: weighted(TWO, {"low": 0.5}), BadInput, "one finite weight for each of low, high"),
        (lambda: weighted(TWO, {"low": 0.5, "hihg": 0.5}), UnknownName, "did you mean 'high'"),
        (lambda: weighted(TWO, {"low": 0.5, "high": 0.6}), BadInput, "sum to 1"),
        (lambda: vote(TWO, {"low": 0.5}), BadInput, "one finite threshold"),
        (lambda: cascade(TWO, {}), BadInput, "an unsure band for each of low, in their order, found none"),
        (lambda: cascade(TWO, {"high": (0.2, 0.8)}), BadInput, "for each of low, in their order, found high"),
        (lambda: cascade(TWO, {"low": (0.2, 0.8), "high": (0.2, 0.8)}), BadInput, "found low, high"),
        (lambda: cascade(TWO, {"law": (0.2, 0.8)}), UnknownName, "did you mean 'low'"),
        (lambda: cascade(TWO, {"low": (0.8, 0.2)}), BadInput, "from a low score to a higher"),
        (lambda: fallback({"low": TWO["low"]}), BadInput, "2 or more"),
        (lambda: fallback(TWO, deadlines_ms={"law": 5}), UnknownName, "did you mean 'low'"),
        (lambda: stacked(TWO, line(1.0)), BadInput, "must take the scores of low, high, it takes miles"),
    ],
)
def test_what_cannot_be_combined_is_refused_with_the_mend(
    make: Callable[[], Model], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        make()


def test_no_file_of_the_package_is_named_as_what_its_face_shows() -> None:
    files = {path.stem for path in Path(combining.__file__).parent.glob("*.py")}
    assert files & {*combining.__all__} == set()  # importing the file would put it in the other's place
