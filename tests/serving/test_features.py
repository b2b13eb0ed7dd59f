"""Readers that are kept between questions."""

from __future__ import annotations

import pyarrow as pa
import pytest

from esteira.base.clock import SystemClock
from esteira.base.errors import NotFound
from esteira.features.stores import open_store
from esteira.features.times import UTC_MICROS
from esteira.features.views import FeatureView
from esteira.serving import features
from esteira.serving.features import FeatureReads

VIEW = FeatureView("v", ("k",), ("f", "g"), "t")
ROWS = pa.table({"k": ["x"], "event_ts": pa.array([1], UTC_MICROS), "f": [5.0], "g": [6.0]})


def test_a_reader_is_made_once_for_the_same_features(monkeypatch: pytest.MonkeyPatch) -> None:
    store, made = open_store("memory:"), []
    store.write(VIEW, ROWS)
    make = features.reader_of
    monkeypatch.setattr(features, "reader_of", lambda *asked: made.append(asked) or make(*asked))
    monkeypatch.setattr(features, "_READERS", 2)
    reads = FeatureReads(lambda: store, SystemClock())
    for names in (("v",), ("v",), ("v__f",), ("v__g", "v__f"), ("v",)):
        assert reads.read(names, [{"k": "x"}]).status == [
            ["present"] * len(reads.read(names, [{"k": "x"}]).columns)
        ]
    assert [names for _, names in made] == [("v",), ("v__f",), ("v__g", "v__f"), ("v",)]


def test_a_store_without_views_says_what_fills_it() -> None:
    with pytest.raises(NotFound, match="esteira features materialize"):
        FeatureReads(lambda: open_store("memory:"), SystemClock()).read(["v"], [{}])
