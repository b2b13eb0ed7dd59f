"""What every trainer owes: a model that learns, native bytes that repeat, and clear answers to bad input."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from esteira.base.errors import BadInput, UnknownName
from esteira.monitoring.metrics import roc_auc
from esteira.registry.bundle import Model
from esteira.registry.encodings import UnfitEncoding
from esteira.registry.signature import Signature, WrongInput, infer_signature
from esteira.training.encodings import Keep, OneHot, Ordinal, Robust, Standard, Target
from esteira.training.examples import UnusableTarget
from esteira.training.trainers import open_trainer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from esteira.training.trainers.port import Trainer

COLUMNS = ("miles", "wind gust", "carrier", "dest[3]")
ENCODE = {
    "miles": Robust(),
    "wind gust": Standard(impute=True),
    "carrier": Target(),
    "dest[3]": OneHot(),
}


def flights(rows: int = 1500, seed: int = 3) -> pa.Table:
    """Late when it is far or windy, and more so with one carrier; a tenth of the gusts is missing."""
    draw = np.random.default_rng(seed)
    miles, gust = draw.normal(size=rows), draw.normal(size=rows)
    carrier = draw.choice(["AA", "UA", "WN"], size=rows)
    chance = 1 / (1 + np.exp(-(2 * miles + gust + 2 * (carrier == "WN") - 1)))
    return pa.table(
        {
            "miles": miles,
            "wind gust": pa.array(gust, mask=draw.random(rows) < 0.1),
            "carrier": carrier,
            "dest[3]": draw.choice(["BOS", "MIA"], size=rows),
            "late": draw.random(rows) < chance,
        }
    )


def signature_of(table: pa.Table, columns: tuple[str, ...] = COLUMNS) -> Signature:
    return infer_signature(table, "late", columns=columns)


class TrainerContract:
    """Subclass it; say the URL and how the native files are scored by the vendor itself."""

    url: str
    options: frozenset[str]

    def score(self, model: Model, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        raise NotImplementedError

    def fit(self, table: pa.Table, columns: tuple[str, ...] = COLUMNS, **options: object) -> Model:
        chosen: dict[str, Any] = {"threads": 1, **options}
        return open_trainer(self.url).fit(table, signature_of(table, columns), seed=7, **chosen)

    @pytest.fixture(scope="class")
    @classmethod
    def table(cls) -> pa.Table:
        return flights()

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, table: pa.Table) -> Model:
        return cls().fit(table)

    def open(self) -> Trainer:
        return open_trainer(self.url)

    def test_it_learns_what_can_be_learnt(self, model: Model) -> None:
        unseen = flights(seed=4)
        scores = self.score(model, model.signature.encode_table(unseen))
        assert roc_auc(unseen["late"].cast("float64").to_numpy(), scores).low > 0.8

    def test_equal_training_gives_equal_bytes(self, model: Model, table: pa.Table) -> None:
        again = self.fit(table)
        assert again.files == model.files
        assert again.facts == model.facts

    def test_the_number_of_threads_changes_no_byte(self, model: Model, table: pa.Table) -> None:
        assert self.fit(table, threads=2).files == model.files

    @pytest.mark.slow
    def test_another_process_gives_equal_bytes(self, model: Model, tmp_path: Path) -> None:
        code = (
            "import sys; from pathlib import Path; from tests.contracts.trainer import *;"
            "t = flights(); open_trainer(sys.argv[1]).fit(t, signature_of(t), seed=7).save(Path(sys.argv[2]))"
        )
        root = Path(__file__).parents[2]
        environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": "1"}
        subprocess.run(
            [sys.executable, "-c", code, self.url, str(tmp_path)], cwd=root, env=environment, check=True
        )
        assert Model.load(tmp_path).files == model.files

    def test_other_rows_give_other_bytes(self, model: Model) -> None:
        assert self.fit(flights(seed=5)).files != model.files

    def test_a_saved_model_loads_as_it_was(self, model: Model, tmp_path: Path) -> None:
        model.save(tmp_path)
        assert Model.load(tmp_path) == model

    def test_the_files_name_no_machine_and_no_day(self, model: Model) -> None:
        content = b"".join(model.files.values()) + json.dumps(model.facts).encode()
        for trace in (str(Path.home()), str(Path.cwd()), os.uname().nodename, "2026-", "2027-"):
            assert trace.encode() not in content

    def test_the_facts_say_how_it_was_made(self, model: Model) -> None:
        assert model.facts["seed"] == 7
        assert model.facts["rows"] == 1500
        assert model.facts["library_version"]
        assert json.loads(json.dumps(model.facts)) == model.facts

    def test_missing_numbers_and_unknown_categories_get_a_probability(self, model: Model) -> None:
        matrix = np.array([[math.nan] * 4, [0.1, math.nan, 0.0, math.nan]])
        scores = self.score(model, matrix)
        assert ((scores > 0) & (scores < 1)).all()

    def test_one_row_scores_as_it_does_among_many(self, model: Model, table: pa.Table) -> None:
        matrix = model.signature.encode_table(table.slice(0, 50))
        alone = np.concatenate([self.score(model, matrix[at : at + 1]) for at in range(50)])
        assert np.allclose(alone, self.score(model, matrix), rtol=1e-12, atol=0)

    @pytest.mark.parametrize("columns", [("miles",), ("carrier",), ("miles", "wind gust")])
    def test_columns_of_one_kind_are_enough(self, columns: tuple[str, ...], table: pa.Table) -> None:
        model = self.fit(table, columns)
        assert len(set(self.score(model, model.signature.encode_table(table)))) > 1

    def test_a_constant_and_an_empty_column_do_no_harm(self, table: pa.Table) -> None:
        rows = table.num_rows
        table = table.append_column("same", pa.array([1.0] * rows))
        table = table.append_column("empty", pa.array([None] * rows, pa.float64()))
        model = self.fit(table, (*COLUMNS, "same", "empty"))
        assert np.isfinite(self.score(model, model.signature.encode_table(table))).all()

    def test_more_columns_than_rows_still_make_a_model(self) -> None:
        draw = np.random.default_rng(0)
        columns = {f"x{at}": draw.normal(size=20) for at in range(40)}
        table = pa.table({**columns, "late": [False, True] * 10})
        model = self.fit(table, tuple(columns))
        assert np.isfinite(self.score(model, model.signature.encode_table(table))).all()

    def test_labels_may_be_true_and_false_or_one_and_zero(self, table: pa.Table, model: Model) -> None:
        at = table.column_names.index("late")
        assert self.fit(table.set_column(at, "late", table["late"].cast("int64"))).files == model.files

    @pytest.mark.parametrize(
        ("labels", "reason"),
        [
            ([True] * 40, "same class"),
            ([True, None] * 20, "20 of 40 rows have none"),
            ([0, 1, 2, 3] * 10, "found also 2"),
            (["yes", "no"] * 20, "found string"),
        ],
    )
    def test_a_target_that_cannot_be_learnt_is_named(self, labels: list[object], reason: str) -> None:
        table = flights(40).drop_columns(["late"]).append_column("late", pa.array(labels))
        with pytest.raises(UnusableTarget, match=reason):
            self.fit(table)

    def test_a_table_without_the_target_says_what_it_has(self, table: pa.Table) -> None:
        with pytest.raises(UnusableTarget, match="only miles"):
            self.open().fit(table.drop_columns(["late"]), signature_of(table), seed=7)

    def test_a_table_without_a_column_names_it(self, table: pa.Table) -> None:
        with pytest.raises(WrongInput, match="'miles' must be in the table"):
            self.open().fit(table.drop_columns(["miles"]), signature_of(table), seed=7)

    def test_a_model_with_encodings_learns_and_repeats(self, table: pa.Table) -> None:
        model = self.fit(table, encode=ENCODE)
        unseen = flights(seed=4)
        assert model.encodings is not None
        matrix = model.encodings.encode_matrix(model.signature.encode_table(unseen))
        assert roc_auc(unseen["late"].cast("float64").to_numpy(), self.score(model, matrix)).low > 0.8
        assert self.fit(table, encode=ENCODE, threads=2) == model

    def test_encodings_leave_the_signature_raw_and_are_told_in_the_facts(self, table: pa.Table) -> None:
        model = self.fit(table, ("miles", "carrier"), encode={"carrier": Target(folds=3)})
        assert model.signature == signature_of(table, ("miles", "carrier"))
        assert model.native_signature.names == ("miles", "carrier~target")
        assert model.facts["encode"] == {"carrier": "Target(folds=3, smoothing=20.0)"}

    @pytest.mark.parametrize("encode", [None, {}, {"carrier": Keep()}])
    def test_without_encodings_a_model_is_what_it_always_was(
        self, encode: dict[str, Keep] | None, table: pa.Table, model: Model
    ) -> None:
        assert self.fit(table, encode=encode) == model
        assert model.encodings is None

    def test_an_encoding_of_another_kind_of_column_is_refused(self, table: pa.Table) -> None:
        with pytest.raises(UnfitEncoding, match="'carrier' cannot be encoded by standard: it is a category"):
            self.fit(table, encode={"carrier": Standard()})
        with pytest.raises(UnfitEncoding, match="'miles' cannot be encoded by ordinal: it is a number"):
            self.fit(table, encode={"miles": Ordinal()})

    def test_an_encoding_of_an_unknown_column_is_refused(self, table: pa.Table) -> None:
        with pytest.raises(UnknownName, match="did you mean 'carrier'"):
            self.fit(table, encode={"carier": OneHot()})

    def test_an_unknown_option_is_refused(self, table: pa.Table) -> None:
        with pytest.raises(UnknownName, match="option of"):
            self.fit(table, no_such_option=1)

    def test_an_option_of_another_kind_is_refused(self, table: pa.Table) -> None:
        for name in self.options:
            for wrong in ("many", -1, True):
                with pytest.raises(BadInput, match=f"option {name} of .* greater than zero, found {wrong!r}"):
                    self.fit(table, **{name: wrong})
