"""Encodings are learnt from the training rows alone, and no training row is told its own label."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput, UnknownName
from esteira.monitoring.metrics import difference, roc_auc
from esteira.registry.encodings import Encodings, Kept, Mapped, Marked, Scaled, UnfitEncoding
from esteira.registry.signature import Column, Signature, infer_signature
from esteira.serving.runtimes import open_runtime
from esteira.training.encodings import (
    Encoding,
    Keep,
    OneHot,
    Ordinal,
    Robust,
    Standard,
    Target,
    fit_encodings,
    prepare,
)
from esteira.training.examples import Examples, UnusableTarget, read_examples
from esteira.training.split import time_split
from esteira.training.trainers import fit

NUMBER = Signature((Column("x"),), "late")
TEXT = Signature((Column("x", "category", ("a", "b", "c")),), "late")


def examples(values: list[float], labels: list[int] | None = None) -> Examples:
    given_labels = labels or [0, 1] * (len(values) // 2) + [0] * (len(values) % 2)
    return Examples(np.array(values)[:, np.newaxis], np.array(given_labels, dtype=np.float64))


def only(signature: Signature, encoding: Encoding, rows: Examples) -> Any:
    """The one fitted encoding of a signature of one column."""
    encodings = prepare(rows, signature, {"x": encoding}).encodings
    assert encodings is not None
    return encodings.fitted[0]


# Numbers


def test_standard_takes_mean_and_deviation_of_what_is_there() -> None:
    assert only(NUMBER, Standard(), examples([1.0, 3.0, math.nan])) == Scaled(
        "standard", 2.0, 1.0, impute=False
    )


def test_robust_takes_median_and_quartiles_so_that_one_wild_value_moves_little() -> None:
    fitted = only(NUMBER, Robust(impute=True), examples([1.0, 2.0, 3.0, 4.0, 1e9]))
    assert fitted == Scaled("robust", 3.0, 2.0, impute=True)


@pytest.mark.parametrize("encoding", [Standard(), Robust()])
@pytest.mark.parametrize(("value", "center"), [(0.1, 0.1), (math.nan, 0.0)])
def test_a_constant_or_empty_column_is_divided_by_one(
    encoding: Encoding, value: float, center: float
) -> None:
    fitted = only(NUMBER, encoding, examples([value] * 10))
    assert (fitted.center, fitted.scale) == (center, 1.0)


@pytest.mark.parametrize("encoding", [Standard(), Robust()])
@pytest.mark.parametrize("values", [[1.0, math.inf], [-math.inf, math.inf], [-1e308, 1e308] * 4])
def test_numbers_without_a_finite_spread_are_refused(encoding: Encoding, values: list[float]) -> None:
    with pytest.raises(UnfitEncoding, match="infinite or too large; mend them or keep it"):
        only(NUMBER, encoding, examples(values))


# Categories


def test_ordinal_is_the_place_in_the_order() -> None:
    rows = examples([0.0, 1.0, 2.0])
    assert only(TEXT, Ordinal(), rows) == Mapped("ordinal", (0.0, 1.0, 2.0), None)
    assert only(TEXT, Ordinal(("c", "new", "a", "b")), rows) == Mapped("ordinal", (2.0, 3.0, 0.0), None)


def test_one_hot_marks_the_categories_with_enough_rows() -> None:
    rows = examples([0.0, 0.0, 2.0, math.nan, math.nan, math.nan])
    assert only(TEXT, OneHot(), rows) == Marked((0, 2))
    assert only(TEXT, OneHot(min_count=2), rows) == Marked((0,))
    with pytest.raises(UnfitEncoding, match="no category has 3 rows; lower min_count or leave"):
        only(TEXT, OneHot(min_count=3), rows)


def test_target_is_the_share_of_positives_pulled_to_the_overall_share() -> None:
    rows = examples([0.0, 0.0, 1.0, math.nan], [1, 1, 0, 0])
    fitted = only(TEXT, Target(folds=2, smoothing=2.0), rows)
    assert fitted == Mapped("target", ((2 + 1) / 4, (0 + 1) / 3, 1 / 2), (0 + 1) / 3)


def test_without_missing_training_rows_a_missing_category_is_the_overall_share() -> None:
    assert only(TEXT, Target(folds=2), examples([0.0, 1.0], [1, 0])).missing == 0.5


@given(
    rows=st.lists(
        st.tuples(st.sampled_from([0.0, 1.0, 2.0, math.nan]), st.booleans()), min_size=6, max_size=60
    ),
    folds=st.integers(2, 6),
    smoothing=st.floats(0.1, 100),
)
def test_a_training_row_is_encoded_by_the_other_folds_alone(
    rows: list[tuple[float, bool]], folds: int, smoothing: float
) -> None:
    rows = rows[len(rows) % folds :]
    values, labels = np.array([each[0] for each in rows]), np.array([float(each[1]) for each in rows])
    encoding = Target(folds, smoothing)
    encoded = encoding.out_of_fold(TEXT.columns[0], values, labels)
    for stretch in np.split(np.arange(len(rows)), folds):
        others = np.setdiff1d(np.arange(len(rows)), stretch)
        fitted = Encodings((encoding.fit(TEXT.columns[0], values[others], labels[others]),))
        assert encoded[stretch].tolist() == [fitted.encode_row([value])[0] for value in values[stretch]]


def test_folds_are_stretches_of_time() -> None:
    codes, labels = np.zeros(6), np.array([1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    encoded = Target(folds=3, smoothing=1e-9).out_of_fold(TEXT.columns[0], codes, labels)
    assert encoded == pytest.approx([0.0, 0.0, 0.5, 0.5, 0.5, 0.5])


# What stands beside


def test_only_named_columns_are_encoded_and_the_others_kept() -> None:
    signature = Signature((*NUMBER.columns, Column("y", "category", ("a",))), "late")
    rows = pa.table({"x": [1.0, 3.0], "y": ["a", None], "late": [0, 1]})
    assert fit_encodings(rows, signature, {"x": Standard()}).fitted[1] == Kept()
    assert prepare(read_examples(rows, signature), signature, {"y": Keep()}).encodings is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: only(TEXT, Standard(), examples([0.0, 1.0])), "it is a category; take OneHot, Ordinal or"),
        (lambda: only(TEXT, Robust(), examples([0.0, 1.0])), "it is a category"),
        (lambda: only(NUMBER, OneHot(), examples([0.0, 1.0])), "it is a number; take Standard or Robust"),
        (lambda: only(NUMBER, Ordinal(), examples([0.0, 1.0])), "it is a number"),
        (lambda: only(NUMBER, Target(), examples([0.0] * 9)), "it is a number"),
        (lambda: only(TEXT, Target(), examples([0.0] * 4)), "4 rows make no 5 folds; take fewer"),
        (lambda: only(TEXT, Ordinal(("a", "c")), examples([0.0, 1.0])), "its order lacks 'b'"),
        (lambda: only(TEXT, Ordinal(("a", "b", "c", "a")), examples([0.0, 1.0])), "a category twice"),
        (lambda: only(TEXT, OneHot, examples([0.0, 1.0])), "must be one such as OneHot()"),
        (lambda: Target(folds=1), "2 folds or more and a smoothing above 0, found 1 and 20.0"),
        (lambda: Target(smoothing=0.0), "a smoothing above 0"),
        (lambda: Target(smoothing=math.nan), "a smoothing above 0"),
        (lambda: OneHot(min_count=0), "min_count must be at least 1 row, found 0"),
    ],
)
def test_what_cannot_be_fitted_says_why(make: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message.replace("(", r"\(").replace(")", r"\)")):
        make()


def test_a_column_that_is_not_in_the_signature_is_named() -> None:
    with pytest.raises(UnknownName, match="unknown column to encode 'y'"):
        prepare(examples([0.0, 1.0]), NUMBER, {"y": Standard()})


def test_the_shares_of_a_target_of_one_class_are_refused() -> None:
    rows = pa.table({"x": ["a"] * 10, "late": [1] * 10})
    with pytest.raises(UnusableTarget, match="all 10 rows have the same class"):
        fit_encodings(rows, TEXT, {"x": Target()})


# Leaks

START = datetime(2013, 1, 1, tzinfo=UTC)


@given(
    wild=st.lists(st.tuples(st.floats(-1e9, 1e9), st.sampled_from("abc"), st.booleans()), min_size=5),
    seed=st.integers(0, 99),
)
def test_encodings_do_not_change_when_holdout_rows_do(wild: list[tuple[float, str, bool]], seed: int) -> None:
    drawn = np.random.default_rng(seed)
    past = [(x, "abc"[at % 3], at % 2 == 0) for at, x in enumerate(drawn.normal(size=30).tolist())]

    def encodings(newest: list[tuple[float, str, bool]]) -> Encodings:
        rows = past + newest
        at = [START + timedelta(hours=hour) for hour in range(30)] + [START + timedelta(days=9)] * len(newest)
        columns = {name: [row[place] for row in rows] for place, name in enumerate(("x", "y", "late"))}
        train, _ = time_split(pa.table({"at": at, **columns}), "at", timedelta(days=5))
        signature = infer_signature(train, "late", columns=("x", "y"))
        return fit_encodings(train, signature, {"x": Robust(), "y": Target()})

    assert encodings(wild) == encodings([(0.0, "a", True)] * 5)


def noisy(seed: int, rows: int = 6000, levels: int = 2000) -> pa.Table:
    """Late depends on x alone; the category has so many levels that each has but a few rows."""
    drawn = np.random.default_rng(seed)
    x = drawn.normal(size=rows)
    return pa.table(
        {
            "x": x,
            "noise": [f"n{level}" for level in drawn.integers(0, levels, rows)],
            "late": drawn.random(rows) < 1 / (1 + np.exp(1 - x)),
        }
    )


def judged(url: str, table: pa.Table, columns: tuple[str, ...], encode: dict[str, Encoding]) -> Any:
    """Labels and scores of the newest third of the rows, which the model has not seen."""
    train, newest = table.slice(0, 4000), table.slice(4000)
    model = fit(url, train, infer_signature(train, "late", columns=columns), seed=7, threads=1, encode=encode)
    scores = open_runtime(model).predict(model.signature.encode_table(newest))
    return newest["late"].cast("float64").to_numpy(), scores


def naive(table: pa.Table, seen: int) -> pa.Table:
    """The noise as shares of the first `seen` rows, which are part of those shares."""
    signature = infer_signature(table, "late", columns=("noise",))
    shares = fit_encodings(table.slice(0, seen), signature, {"noise": Target()})
    encoded = shares.encode_matrix(signature.encode_table(table))[:, 0]
    return table.set_column(1, "noise", pa.array(encoded))


@pytest.mark.parametrize("url", ["lightgbm:", "sklearn:"])
def test_a_noise_category_gives_nothing_when_encoded_out_of_fold_and_much_when_naively(url: str) -> None:
    table = noisy(3)
    honest = roc_auc(*judged(url, table, ("noise",), {"noise": Target()}))
    assert honest.low <= 0.5 <= honest.high
    assert roc_auc(*judged(url, naive(table, seen=6000), ("noise",), {})).low > 0.7


@pytest.mark.parametrize("url", ["lightgbm:", "sklearn:"])
def test_a_model_does_not_trust_a_noise_category_that_was_encoded_out_of_fold(url: str) -> None:
    table = noisy(3)
    labels, honest = judged(url, table, ("x", "noise"), {"noise": Target()})
    _, clean = judged(url, table, ("x",), {})
    _, deceived = judged(url, naive(table, seen=4000), ("x", "noise"), {})
    lost = difference("roc_auc", labels, honest, clean)
    assert lost.low <= 0 <= lost.high
    assert difference("roc_auc", labels, deceived, honest).high < 0


def test_out_of_fold_the_encoding_of_noise_does_not_tell_the_label_of_its_row() -> None:
    honest, deceived = [], []
    for seed in range(10):
        table = noisy(seed)
        signature = infer_signature(table, "late", columns=("noise",))
        prepared = prepare(read_examples(table, signature), signature, {"noise": Target()})
        labels = prepared.examples.labels
        honest.append(roc_auc(labels, prepared.examples.matrix[:, 0]).value)
        deceived.append(roc_auc(labels, prepared.encode(signature.encode_table(table))[:, 0]).value)
    assert np.mean(honest) == pytest.approx(0.5, abs=0.01)
    assert min(deceived) > 0.8
