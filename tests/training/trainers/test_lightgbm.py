"""The LightGBM trainer: the contract, and what only trees have."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import lightgbm
import pyarrow as pa
import pytest
from tests.contracts.trainer import ENCODE, TrainerContract, flights

from esteira.base.errors import BadInput
from esteira.training.encodings import OneHot, Robust, Standard
from esteira.training.trainers.lightgbm import PAYLOAD, LightgbmOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from esteira.registry.bundle import Model


class TestLightgbmTrainer(TrainerContract):
    url = "lightgbm:"
    options = frozenset(each.name for each in fields(LightgbmOptions))

    def score(self, model: Model, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = lightgbm.Booster(model_str=model.files[PAYLOAD].decode()).predict(
            matrix
        )
        return scores

    def test_the_text_holds_no_parameters(self, model: Model) -> None:
        assert b"num_threads" not in model.files[PAYLOAD]
        assert model.files[PAYLOAD].startswith(b"tree\nversion=")

    def test_as_many_trees_are_kept_as_the_newest_rows_asked_for(self, model: Model) -> None:
        kept = lightgbm.Booster(model_str=model.files[PAYLOAD].decode()).num_trees()
        assert kept == model.facts["rounds"] < model.facts["max_rounds"]

    def test_the_newest_rows_choose_how_many_trees_are_kept(self, model: Model, table: pa.Table) -> None:
        oldest = table.num_rows - model.facts["validation_rows"]
        labels = table["late"].to_numpy().copy()
        labels[oldest:] = ~labels[oldest:]
        deceived = self.fit(table.set_column(table.column_names.index("late"), "late", pa.array(labels)))
        assert deceived.facts["rounds"] < model.facts["rounds"]

    def test_plain_column_names_are_told_to_people_who_read_the_file(self, table: pa.Table) -> None:
        assert b"feature_names=miles carrier\n" in self.fit(table, ("miles", "carrier")).files[PAYLOAD]

    def test_encoded_column_names_are_told_too(self, table: pa.Table) -> None:
        encode = {"miles": Robust(), "carrier": OneHot(), "wind gust": Standard()}
        model = self.fit(table, ("miles", "carrier"), encode={"miles": Robust(), "carrier": OneHot()})
        names = b"feature_names=miles~robust carrier=AA carrier=UA carrier=WN\n"
        assert names in model.files[PAYLOAD]
        assert b"feature_names=Column_0 " in self.fit(table, encode=encode).files[PAYLOAD]

    def test_encodings_have_not_seen_the_rows_that_choose_how_many_trees_are_kept(
        self, table: pa.Table
    ) -> None:
        model = self.fit(table, encode=ENCODE)
        oldest = table.num_rows - model.facts["validation_rows"]
        labels, miles = table["late"].to_numpy().copy(), table["miles"].to_numpy().copy()
        labels[oldest:], miles[oldest:] = ~labels[oldest:], miles[oldest:] * 1000
        changed = table.set_column(0, "miles", pa.array(miles)).set_column(4, "late", pa.array(labels))
        assert self.fit(changed, encode=ENCODE).encodings == model.encodings

    def test_too_few_rows_to_validate_on_are_refused(self) -> None:
        table = flights(2).set_column(4, "late", pa.array([True, False]))
        with pytest.raises(BadInput, match="leaves none"):
            self.fit(table)
