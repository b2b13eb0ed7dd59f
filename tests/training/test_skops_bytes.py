"""Canonical skops files."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from esteira.training.skops_bytes import canonical_skops

MATRIX = np.random.default_rng(0).normal(size=(60, 3))


def pipeline() -> object:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(MATRIX, MATRIX[:, 0] > 0)


def test_two_dumps_of_equal_models_are_equal_bytes() -> None:
    first, second = skops.io.dumps(pipeline()), skops.io.dumps(pipeline())
    assert first != second
    assert canonical_skops(first) == canonical_skops(second)


def test_what_is_loaded_predicts_the_same_to_the_bit() -> None:
    fitted = pipeline()
    loaded = skops.io.loads(canonical_skops(skops.io.dumps(fitted)))
    assert np.array_equal(loaded.predict_proba(MATRIX), fitted.predict_proba(MATRIX))


def test_a_canonical_file_is_its_own_canonical_file() -> None:
    once = canonical_skops(skops.io.dumps(pipeline()))
    assert canonical_skops(once) == once


def test_an_object_held_twice_is_still_one_object() -> None:
    shared = np.arange(3.0)
    loaded = skops.io.loads(canonical_skops(skops.io.dumps({"a": shared, "b": [shared], "file": "x.npy"})))
    assert loaded["a"] is loaded["b"][0]
    assert loaded["file"] == "x.npy"


def test_the_zip_holds_no_time() -> None:
    with zipfile.ZipFile(io.BytesIO(canonical_skops(skops.io.dumps(pipeline())))) as made:
        assert {entry.date_time for entry in made.infolist()} == {(1980, 1, 1, 0, 0, 0)}
