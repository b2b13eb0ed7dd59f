"""Models as training makes them, served: no test of one file, but of the hand-over between two rooms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
import skops.io

from esteira.registry.bundle import SKOPS_TYPES, Model
from esteira.registry.signature import infer_signature
from esteira.serving.runtimes import open_runtime
from esteira.training.encodings import OneHot, Robust, Standard, Target
from esteira.training.trainers import fit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esteira.training.encodings import Encoding

COLUMNS = ("miles", "gust", "carrier", "empty")
ENCODE = {"miles": Robust(), "gust": Standard(), "carrier": Target(), "empty": Standard(impute=True)}


def rows(count: int = 400) -> pa.Table:
    drawn = np.random.default_rng(3)
    miles = drawn.normal(500, 100, count)
    miles[drawn.random(count) < 0.1] = np.nan
    carriers = [("AA", "UA", "DL", None)[at] for at in drawn.integers(0, 4, count)]
    return pa.table(
        {
            "miles": pa.array(miles, from_pandas=True),
            "gust": drawn.normal(size=count),
            "carrier": carriers,
            "empty": pa.array([None] * count, pa.float64()),
            "late": np.nan_to_num(miles, nan=500.0) + drawn.normal(0, 50, count) > 500,
        }
    )


def trained(
    url: str, columns: tuple[str, ...] = COLUMNS, encode: Mapping[str, Encoding] | None = None
) -> tuple[Model, np.ndarray]:
    table = rows()
    signature = infer_signature(table, "late", columns=columns)
    return fit(url, table, signature, seed=1, encode=encode), signature.encode_table(table)


@pytest.mark.parametrize("url", ["lightgbm:", "sklearn:"])
@pytest.mark.parametrize(
    ("columns", "encode"),
    [
        (COLUMNS, {}),
        (COLUMNS, ENCODE),
        (COLUMNS, {"carrier": OneHot()}),
        (COLUMNS, {"miles": Robust()}),
        (("miles", "gust"), {}),
        (("carrier",), {}),
        (("carrier",), {"carrier": OneHot()}),
    ],
)
def test_a_trained_model_serves_a_row_as_a_batch_to_the_bit(
    url: str, columns: tuple[str, ...], encode: Mapping[str, Encoding]
) -> None:
    model, matrix = trained(url, columns, encode)
    runtime = open_runtime(model)
    scores = runtime.predict(matrix).tolist()
    assert [runtime.predict_row(row) for row in matrix.tolist()] == scores
    assert len(set(scores)) >= (4 if columns == ("carrier",) else 10)


@pytest.mark.parametrize("columns", [COLUMNS, ("miles", "gust"), ("carrier",)])
def test_the_baseline_is_served_as_a_sum_that_agrees_with_scikit_learn(columns: tuple[str, ...]) -> None:
    model, matrix = trained("sklearn:", columns)
    runtime = open_runtime(model)
    classifier = skops.io.loads(model.files["model.skops"], trusted=list(SKOPS_TYPES))
    assert getattr(runtime, "_sum", None) is not None
    np.testing.assert_allclose(runtime.predict(matrix), classifier.predict_proba(matrix)[:, 1], rtol=1e-12)
