"""A runtime behind encodings owes what every runtime owes: it takes raw rows, alone or in company."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import lightgbm
import numpy as np
import pytest
import skops.io
from tests.contracts.runtime import RuntimeContract
from tests.contracts.trainer import flights, signature_of

from esteira.base.digest import digest_folder
from esteira.base.errors import BadInput
from esteira.registry.bundle import SKOPS_TYPES, Model
from esteira.registry.encodings import Encodings
from esteira.serving.live.arms import load_arm
from esteira.serving.routes import Arm
from esteira.serving.runtimes import open_runtime
from esteira.serving.runtimes.encoded import EncodedRuntime
from esteira.training.encodings import OneHot, Ordinal, Robust, Standard, Target
from esteira.training.trainers import fit

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from esteira.training.encodings import Encoding


@cache
def trained(url: str) -> Model:
    table = flights()
    texts: dict[str, Encoding] = {"carrier": OneHot(), "dest[3]": Target()}
    if url == "lightgbm:":
        texts = {"carrier": Target(), "dest[3]": Ordinal()}
    numbers = {"miles": Robust(), "wind gust": Standard(impute=True)}
    return fit(url, table, signature_of(table), seed=7, threads=1, encode={**numbers, **texts})


def encoded(model: Model, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    assert model.encodings is not None
    return model.encodings.encode_matrix(matrix)


class TestEncodedTrees(RuntimeContract):
    def model(self) -> Model:
        return trained("lightgbm:")

    def scores_of_the_library(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        booster = lightgbm.Booster(model_str=self.model().files["model.txt"].decode())
        return np.asarray(booster.predict(encoded(self.model(), matrix), num_threads=1))


class TestEncodedSum(RuntimeContract):
    def model(self) -> Model:
        return trained("sklearn:")

    def scores_of_the_library(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        classifier = skops.io.loads(self.model().files["model.skops"], trusted=[*SKOPS_TYPES])
        return np.asarray(classifier.predict_proba(encoded(self.model(), matrix))[:, 1])


def test_a_model_without_encodings_is_served_by_its_own_runtime() -> None:
    table = flights(200)
    plain = fit("sklearn:", table, signature_of(table), seed=7)
    assert not isinstance(open_runtime(plain), EncodedRuntime)
    assert isinstance(open_runtime(trained("sklearn:")), EncodedRuntime)


def test_encodings_of_other_columns_are_refused_before_any_file_is_read() -> None:
    model = trained("sklearn:")
    assert model.encodings is not None
    shorter = replace(model, encodings=Encodings(model.encodings.fitted[:-1]), files={})
    with pytest.raises(BadInput, match="expected one encoding for each of"):
        open_runtime(shorter)


def test_the_gateway_keeps_raw_vectors_of_a_model_with_encodings(tmp_path: Path) -> None:
    model = trained("lightgbm:")
    model.save(tmp_path)
    arm = Arm("champion", 1, digest_folder(tmp_path), 1.0)
    loaded = load_arm(arm, lambda _: tmp_path, lambda _: pytest.fail("no views"))
    vector = loaded.encode({"miles": 0.5, "wind gust": None, "carrier": "WN", "dest[3]": "BOS"}, at=0)
    assert np.array_equal(vector, [0.5, np.nan, 2.0, 0.0], equal_nan=True)
    assert loaded.runtime.predict_row(vector) == open_runtime(model).predict(np.array([vector]))[0]
