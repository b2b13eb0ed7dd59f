"""A request is filled as a row of the training set is."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from tests.features.oracle import KEYS, micros, plain, rows_of, some_rows, spine_of, view_of

from esteira.base.errors import UnknownName
from esteira.features.keys import WrongKey
from esteira.features.online import MissingKey, OnlineReader
from esteira.features.point_in_time import point_in_time_join
from esteira.features.stores import open_store
from esteira.features.stores.lmdb import LmdbStore
from esteira.features.stores.memory import MemoryStore
from esteira.features.stores.port import ViewChanged
from esteira.features.views import BoundView, FeatureView
from esteira.features.windows.measures import Count, Mean
from esteira.features.windows.sliding import SlidingWindow, Window, window_rows
from esteira.registry.signature import Signature, ViewRef, infer_signature

if TYPE_CHECKING:
    from pathlib import Path

X = ("x", "y")
US = timedelta(microseconds=1)


def filled(reader: OnlineReader, at: int, **values: Any) -> dict[str, Any]:
    reader.fill(values, at)
    return values


def reader_of(rows: pa.Table, view: FeatureView) -> OnlineReader:
    store = MemoryStore()
    store.write(view, rows)
    return OnlineReader(store, (view.ref(),))


@pytest.mark.parametrize("seed", range(3))
def test_online_equals_the_join_to_the_bit_at_every_moment_of_a_replay(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    views = [
        BoundView(view_of(name=f"v{n}", created=n % 3 > 0, ttl_us=ttl), some_rows(chance, 150, latest=30))
        for n, ttl in enumerate((None, 0, 3, 9))
    ]
    refs = tuple(bound.view.ref() for bound in views)
    moments = range(-1, 40)
    spine = spine_of([(key, at) for at in moments for key in KEYS])
    offline = point_in_time_join(spine, views, at="at")
    signature = infer_signature(offline, "late", columns=tuple(f"v{n}__value" for n in range(4)), views=refs)
    expected = iter(signature.encode_table(offline))
    store = LmdbStore(f"lmdb:{tmp_path}")
    reader = OnlineReader(store, refs)
    for at in moments:
        for bound in views:
            store.write(bound.view, just_known(bound, at))
        for a, b in KEYS:
            row = signature.encode_row(filled(reader, at, a=a, b=b))
            assert np.array(row).tobytes() == next(expected).tobytes()
    assert next(expected, None) is None
    store.close()


def just_known(bound: BoundView, at: int) -> pa.Table:
    """The rows that become available at one moment, with their places in the table."""
    fresh = []
    for number, row in enumerate(plain(bound.rows)):
        created = row[bound.view.created_time or "event_ts"]
        if created is not None and max(row["event_ts"], created) == at:
            fresh.append(number)
    numbers = pa.array(fresh, pa.int64())
    return bound.rows.take(numbers).append_column("_seq", numbers)


def test_windows_online_equal_the_join_over_windows_at_every_moment(tmp_path: Path) -> None:
    chance = random.Random(4)
    window = Window(("k",), "at", 12 * US, 3 * US, {"n": Count(), "late": Mean("late")})
    view = FeatureView("w", ("k",), ("n", "late"), "flights", window=window)
    moments = sorted(chance.randint(0, 40) for _ in range(200))
    keys, late = [chance.choice("abc") for _ in moments], [chance.random() < 0.3 for _ in moments]
    events = pa.table({"at": micros(moments), "k": keys, "late": late})
    asked = pa.table({"k": ["a", "b", "z"] * 60, "at": micros([at for at in range(60) for _ in range(3)])})
    bound = BoundView(view, window_rows(events, window))
    expected = iter(point_in_time_join(asked, [bound], at="at").drop_columns(["at"]).to_pylist())
    sliding, store = SlidingWindow(window), LmdbStore(f"lmdb:{tmp_path}")
    reader = OnlineReader(store, (view.ref(),))
    for at in range(60):
        sliding.add(events.filter(pa.array([moment == at for moment in moments])))
        store.write(view, sliding.close(at))
        for key in ("a", "b", "z"):
            assert filled(reader, at, k=key) == next(expected)
    store.close()


def test_a_row_expires_online_as_offline_after_the_last_moment_of_its_ttl() -> None:
    reader = reader_of(rows_of([(X, 5, 5, 1.0)]), view_of(ttl_us=3))
    assert [filled(reader, at, a="x", b="y")["v__value"] for at in (5, 8, 9)] == [1.0, 1.0, None]


def test_what_happens_or_is_known_after_the_request_is_not_read() -> None:
    reader = reader_of(rows_of([(X, 5, 7, 1.0)]), view_of())
    assert [filled(reader, at, a="x", b="y")["v__value"] for at in (4, 6, 7)] == [None, None, 1.0]


@pytest.mark.parametrize("values", [{"a": "x"}, {"a": "x", "b": None}, {"a": "no", "b": "y"}])
def test_a_key_that_is_absent_null_or_unknown_finds_nothing(values: dict[str, Any]) -> None:
    reader = reader_of(rows_of([(X, 5, 5, 1.0)]), view_of())
    assert filled(reader, 9, **values) == values | {"v__value": None}


def test_a_key_of_numbers_is_found_by_the_number_and_by_its_text() -> None:
    view = FeatureView("v", ("flight",), ("value",), "t")
    reader = reader_of(pa.table({"flight": [15], "event_ts": micros([1]), "value": [2]}), view)
    assert filled(reader, 9, flight=15)["v__value"] == filled(reader, 9, flight="15")["v__value"] == 2.0
    with pytest.raises(WrongKey, match="'flight'"):
        filled(reader, 9, flight=15.0)


def test_a_model_may_read_some_of_the_features_in_an_order_of_its_own() -> None:
    view = FeatureView("v", (), ("f", "g", "h"), "t")
    store = MemoryStore()
    late = OnlineReader(store, (ViewRef("v", (), ("h", "f")),))
    assert filled(late, 9) == {"v__h": None, "v__f": None}
    store.write(view, pa.table({"event_ts": micros([1]), "f": [1], "g": [2], "h": [3]}))
    early = OnlineReader(store, (ViewRef("v", (), ("h", "f")),))
    assert filled(late, 9) == filled(early, 9) == {"v__h": 3.0, "v__f": 1.0}


@pytest.mark.parametrize("ref", [ViewRef("v", ("a", "b"), ("gone",)), ViewRef("v", ("b", "a"), ("value",))])
def test_a_view_that_is_stored_otherwise_is_refused_before_and_while_reading(ref: ViewRef) -> None:
    store = MemoryStore()
    early = OnlineReader(store, (ref,))
    store.write(view_of(), rows_of([(X, 5, 5, 1.0), (("y", "x"), 5, 5, 1.0)]))
    with pytest.raises(ViewChanged, match="view 'v' is stored as"):
        OnlineReader(store, (ref,))
    with pytest.raises(ViewChanged):
        early.fill({"a": "x", "b": "y"}, 9)


def test_versions_of_a_view_serve_side_by_side() -> None:
    store = open_store("memory:")
    old, new = view_of(), replace(view_of(), version=2)
    for view, value in ((old, 1.0), (new, 2.0)):
        store.write(view, rows_of([(X, 5, 5, value)]))
    reader = OnlineReader(store, (old.ref(), new.ref()))
    assert filled(reader, 9, a="x", b="y") == {"a": "x", "b": "y", "v__value": 1.0, "v_v2__value": 2.0}


def test_a_model_without_views_asks_nothing() -> None:
    assert filled(OnlineReader(MemoryStore(), ()), 9, a="x") == {"a": "x"}
    assert Signature((), "late").views == ()


def noted(*, ttl: timedelta | None = None) -> FeatureView:
    return FeatureView("noted", ("k",), ("note", "n"), "t", created_time="known_at", ttl=ttl)


def notes(cells: list[tuple[str, int, int, str | None, float | None]]) -> pa.Table:
    """Rows of (key, event, created, note, n)."""
    keys, events, created, texts, numbers = zip(*cells, strict=True)
    columns = {"k": keys, "note": pa.array(texts, pa.string()), "n": pa.array(numbers, pa.float64())}
    return pa.table(columns | {"event_ts": micros(events), "known_at": micros(created)})


def test_every_cell_of_an_answer_says_why_it_is_empty() -> None:
    rows = notes(
        [("a", 5, 5, "é", 1.0), ("b", 5, 5, None, 2.0), ("c", 1, 1, "old", 3.0), ("d", 5, 9, "x", 4.0)]
    )
    store = MemoryStore()
    store.write(noted(), rows)
    entities = [{"k": key, "other": 1} for key in ("a", "b", "c", "d", "nobody", None)]
    answer = OnlineReader.of(store, [noted(ttl=timedelta(microseconds=3))]).read(entities, at=8)
    assert answer.columns == ("noted__note", "noted__n")
    assert answer.values == [["é", 1.0], [None, 2.0], *[[None, None]] * 4]
    assert answer.status == [
        ["present", "present"],
        ["null", "present"],
        ["expired", "expired"],
        *[["missing", "missing"]] * 3,
    ]


def test_entities_and_views_keep_their_order_and_a_null_key_moves_nothing() -> None:
    store, at = MemoryStore(), 9
    one, other = FeatureView("one", ("k",), ("f",), "t"), FeatureView("other", ("l", "k"), ("f",), "t")
    for view, value in ((one, 1.0), (other, 2.0)):
        rows = {"k": ["x", "y"], "l": ["p", "p"], "event_ts": micros([1, 1]), "f": [value, value + 10]}
        store.write(view, pa.table(rows))
    reader = OnlineReader.of(store, [other, one])
    asked = [{"k": "x", "l": None}, {"k": "y", "l": "p"}, {"k": None, "l": "p"}, {"k": "x", "l": "p"}]
    assert reader.read(asked, at).values == [[None, 1.0], [12.0, 11.0], [None, None], [2.0, 1.0]]
    assert reader.read([], at).values == []
    assert OnlineReader(store, ()).read([{}, {}], at).values == [[], []]


def test_what_an_answer_holds_is_its_own() -> None:
    store = MemoryStore()
    store.write(noted(), notes([("a", 5, 5, "x", 1.0)]))
    reader = OnlineReader.of(store, [noted()])
    first = reader.read([{"k": "a"}, {"k": "b"}], 9)
    for cells in (*first.values, *first.status):
        cells.clear()
    assert reader.read([{"k": "a"}, {"k": "b"}], 9).values == [["x", 1.0], [None, None]]


def test_a_view_is_read_by_its_name_with_the_ttl_that_was_last_written() -> None:
    store = MemoryStore()
    store.write(noted(), notes([("a", 5, 5, "x", 1.0)]))
    assert OnlineReader.of(store, ["noted"]).read([{"k": "a"}], 99).status == [["present", "present"]]
    store.write(noted(ttl=timedelta(0)), notes([("b", 5, 5, "x", 1.0)]))
    by_name = OnlineReader.of(store, ["noted"])
    assert [by_name.read([{"k": "a"}], at).status[0][0] for at in (5, 6)] == ["present", "expired"]
    with pytest.raises(UnknownName, match="did you mean 'noted'"):
        OnlineReader.of(store, ["notes"])


def test_a_reader_that_is_older_than_the_view_reads_it_once_it_is_there() -> None:
    store = MemoryStore()
    some = OnlineReader(store, (ViewRef("noted", ("k",), ("n",)), ViewRef("noted", ("k",), ("n", "note"))))
    assert some.read([{"k": "a"}], 9).values == [[None, None, None]]
    store.write(noted(), notes([("a", 5, 5, "x", None)]))
    answer = some.read([{"k": "a"}], 9)
    assert (answer.values, answer.status) == ([[None, None, "x"]], [["null", "null", "present"]])


def test_an_entity_without_a_key_or_with_a_wrong_one_is_refused() -> None:
    reader = OnlineReader.of(MemoryStore(), [noted()])
    with pytest.raises(MissingKey, match="must give key 'k', null when unknown; found key") as refused:
        reader.read([{"k": "a"}, {"key": "a"}], 9)
    assert refused.value.key == "k"
    with pytest.raises(WrongKey, match="'k'"):
        reader.read([{"k": 1.5}], 9)
