"""What a write brings, and what it does to the layouts."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pytest
from tests.features.oracle import micros

from esteira.features.stores.batch import Batch, pack_batch, settle
from esteira.features.stores.packing import pack_keys, unpack_rows
from esteira.features.stores.port import Layout, StoredRow, ViewChanged
from esteira.features.views import FeatureView

UNKNOWN, TEXT = Layout(("k",), ("f",), ("unknown",)), Layout(("k",), ("f",), ("text",), 5)


def test_a_batch_holds_the_latest_row_of_each_key_in_the_order_of_their_bytes() -> None:
    view = FeatureView("v", ("k",), ("f",), "t", ttl=timedelta(microseconds=5))
    rows = pa.table({"k": ["b", "a", "b"], "event_ts": micros([1, 2, 3]), "f": ["x", "y", "z"]})
    batch = pack_batch(view, rows, 511)
    assert (batch.view, batch.layout) == ("v", TEXT)
    keys, packed = zip(*batch.rows, strict=True)
    assert [*keys] == pack_keys([("v", ("a",)), ("v", ("b",))], 511)
    assert unpack_rows(packed) == [StoredRow(2, 2, ("y",)), StoredRow(3, 3, ("z",))]


def test_only_layouts_that_change_are_written() -> None:
    assert settle({"v": TEXT}, [Batch("v", TEXT, [])]) == {}
    assert settle({"v": UNKNOWN}, [Batch("v", TEXT, []), Batch("w", UNKNOWN, [])]) == {
        "v": TEXT,
        "w": UNKNOWN,
    }


def test_batches_of_one_view_must_fit_each_other() -> None:
    assert settle({}, [Batch("v", UNKNOWN, []), Batch("v", TEXT, []), Batch("v", UNKNOWN, [])]) == {
        "v": Layout(("k",), ("f",), ("text",))
    }
    with pytest.raises(ViewChanged, match=r"\(f: text\), found .* → \(f\)"):
        settle({}, [Batch("v", TEXT, []), Batch("v", Layout(("k",), ("f",)), [])])
