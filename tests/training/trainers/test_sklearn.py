"""The scikit-learn baseline: the contract, and that nothing untrusted is stored."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import skops.io
from tests.contracts.trainer import TrainerContract, flights

from esteira.registry.bundle import SKOPS_TYPES
from esteira.registry.terms import TERMS, Terms, read_terms
from esteira.training.encodings import OneHot, Robust, Standard, Target
from esteira.training.trainers.sklearn import PAYLOAD, SklearnOptions

if TYPE_CHECKING:
    import pyarrow as pa
    import pytest
    from numpy.typing import NDArray

    from esteira.registry.bundle import Model


class TestSklearnTrainer(TrainerContract):
    url = "sklearn:"
    options = frozenset(each.name for each in fields(SklearnOptions))

    def score(self, model: Model, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        pipeline = skops.io.loads(model.files[PAYLOAD], trusted=[*SKOPS_TYPES])
        scores: NDArray[np.float64] = pipeline.predict_proba(matrix)[:, 1]
        return scores

    def test_only_the_listed_types_are_beyond_what_skops_trusts(self, model: Model) -> None:
        assert set(skops.io.get_untrusted_types(data=model.files[PAYLOAD])) <= set(SKOPS_TYPES)

    def test_a_search_that_did_not_end_is_told(self, table: pa.Table, model: Model) -> None:
        assert model.facts["converged"] is True
        assert self.fit(table, max_iterations=1).facts["converged"] is False

    def test_what_an_encoding_makes_is_a_number_like_any_other(self, table: pa.Table) -> None:
        encode = {"miles": Robust(), "wind gust": Standard(), "carrier": Target(), "dest[3]": OneHot()}
        model = self.fit(table, encode=encode)
        pipeline = skops.io.loads(model.files[PAYLOAD], trusted=[*SKOPS_TYPES])
        (numbers, _, taken), (_, _, texts) = pipeline["columns"].transformers_
        assert numbers == "numbers"
        assert len(taken) == len(model.native_signature.columns) == 5
        assert texts == []

    def test_the_sum_stands_beside_the_pipeline_and_agrees_with_it(self, model: Model) -> None:
        assert set(model.files) == {PAYLOAD, TERMS}
        matrix = model.signature.encode_table(flights(seed=4))
        matrix[::7] = np.nan
        found = read_terms(model.files[TERMS])
        assert (found.columns, found.is_logistic) == (4, True)
        np.testing.assert_allclose(found.scores(matrix), self.score(model, matrix), rtol=1e-9)

    def test_the_sum_of_a_model_with_encodings_is_of_what_they_make(self, table: pa.Table) -> None:
        model = self.fit(table, encode={"dest[3]": OneHot(), "carrier": Target()})
        matrix = model.encodings.encode_matrix(model.signature.encode_table(table))
        found = read_terms(model.files[TERMS])
        np.testing.assert_allclose(found.scores(matrix), self.score(model, matrix), rtol=1e-9)

    def test_a_sum_that_does_not_agree_is_not_written(
        self, table: pa.Table, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Terms, "scores", lambda _, rows: np.full(len(rows), 0.5))
        assert set(self.fit(table).files) == {PAYLOAD}
