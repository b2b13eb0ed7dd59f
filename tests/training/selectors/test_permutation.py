"""What a fitted model loses when a column is shuffled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from esteira.base.errors import BadInput, UnknownName
from esteira.registry.signature import infer_signature
from esteira.serving.runtimes import open_runtime
from esteira.training.encodings import Target
from esteira.training.examples import UnusableTarget, read_examples
from esteira.training.selectors.permutation import Permutation
from esteira.training.trainers import fit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from esteira.training.selectors.port import ColumnScore

COLUMNS = ("miles", "carrier", *(f"noise{at}" for at in range(5)))


def flights(rows: int, seed: int) -> pa.Table:
    drawn = np.random.default_rng(seed)
    miles, carrier = drawn.normal(size=rows), drawn.choice(["AA", "UA", "WN"], size=rows)
    chance = 1 / (1 + np.exp(-(2 * miles + 2 * (carrier == "WN") - 1)))
    noise = {f"noise{at}": drawn.normal(size=rows) for at in range(5)}
    return pa.table({"miles": miles, "carrier": carrier, **noise, "late": drawn.random(rows) < chance})


TRAIN, HOLDOUT = flights(1500, 1), flights(800, 2)
SIGNATURE = infer_signature(TRAIN, "late", columns=COLUMNS)


def by_miles(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    scores: NDArray[np.float64] = 1 / (1 + np.exp(-matrix[:, 0]))
    return scores


def judged(seed: int = 5, **options: Any) -> dict[str, ColumnScore]:
    selector = Permutation(**{"predict": by_miles, "holdout": HOLDOUT, **options})
    examples = read_examples(TRAIN, SIGNATURE)
    return {score.column: score for score in selector.judge(examples, SIGNATURE, seed)}


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "brier"])
def test_a_column_that_the_model_uses_is_worth_what_the_metric_loses_without_it(metric: str) -> None:
    scores = judged(metric=metric)
    assert scores["miles"].keep
    assert scores["miles"].score > 0.05
    assert (scores["miles"].spread or 0) > 0


def test_a_column_that_the_model_does_not_look_at_is_worth_nothing() -> None:
    scores = judged()
    assert (scores["carrier"].score, scores["carrier"].keep) == (0.0, False)
    assert "19 of 19 shuffles of it do as well" in scores["carrier"].reason


@pytest.mark.parametrize("url", ["lightgbm:", "sklearn:"])
def test_a_fitted_model_loses_by_what_matters_and_seldom_by_noise(url: str) -> None:
    model = fit(url, TRAIN, SIGNATURE, seed=1, threads=1, encode={"carrier": Target()})
    scores = judged(predict=open_runtime(model).predict)
    best = sorted(scores.values(), key=lambda each: -each.score)[:2]
    assert {each.column for each in best} == {"miles", "carrier"}
    assert all(each.keep for each in best)
    assert sum(scores[f"noise{at}"].keep for at in range(5)) <= 3  # 99.9 % of binomial draws


def test_of_many_holdout_rows_some_are_drawn_by_the_seed() -> None:
    seen: list[int] = []

    def counting(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        seen.append(len(matrix))
        return by_miles(matrix)

    first = judged(predict=counting, rows=300, shuffles=2)
    assert set(seen) == {300}
    assert first == judged(rows=300, shuffles=2)
    assert first != judged(rows=300, shuffles=2, seed=6)


def test_holdout_rows_of_one_class_are_refused() -> None:
    with pytest.raises(UnusableTarget, match="same class"):
        judged(holdout=HOLDOUT.filter(HOLDOUT["late"]))


def test_options_that_tell_nothing_are_refused() -> None:
    with pytest.raises(UnknownName, match="unknown metric"):
        Permutation(by_miles, HOLDOUT, metric="auc")
    with pytest.raises(BadInput, match="rows must be 2 or more"):
        Permutation(by_miles, HOLDOUT, rows=1)
    with pytest.raises(BadInput, match="shuffles must be 2 or more"):
        Permutation(by_miles, HOLDOUT, shuffles=1)
