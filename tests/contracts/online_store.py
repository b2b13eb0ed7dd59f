"""What every OnlineStore must do."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from esteira.base.errors import BadInput, NaiveTime, StorageUnwritable, UnknownName
from esteira.features.keys import WrongKey
from esteira.features.latest import WrongFeature
from esteira.features.stores.port import Layout, StoredRow, ViewChanged
from esteira.features.times import UTC_MICROS, NullTime
from esteira.features.views import FeatureView

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from esteira.features.stores.port import OnlineStore

WEATHER = FeatureView("weather", ("origin", "hour"), ("temp", "visib"), "weather", created_time="known_at")
PLAIN = replace(WEATHER, name="plain", created_time=None)
Cells = tuple[str | None, int | None, int, int | None, float | None, float | None]


def batch(*rows: Cells) -> pa.Table:
    """Rows of (origin, hour, event, created, temp, visib)."""
    kinds = [
        ("origin", pa.string()),
        ("hour", pa.int64()),
        ("event_ts", pa.int64()),
        ("known_at", pa.int64()),
        ("temp", pa.float64()),
        ("visib", pa.float64()),
    ]
    columns = {name: pa.array([row[at] for row in rows], kind) for at, (name, kind) in enumerate(kinds)}
    return pa.table(columns | {name: columns[name].cast(UTC_MICROS) for name in ("event_ts", "known_at")})


def noted(columns: dict[str, Any], keys: int, at: int = 1) -> pa.Table:
    """Rows of the keys "0", "1", … at one moment, with other columns of any type."""
    times = pa.array([at] * keys, pa.int64()).cast(UTC_MICROS)
    return pa.table({"k": [str(key) for key in range(keys)], "event_ts": times, **columns})


origins = st.sampled_from(["JFK", "", "é", None])
versions = st.integers(0, 3)
cells = st.tuples(
    origins,
    st.integers(0, 1),
    versions,
    st.none() | versions,
    st.none() | st.floats(allow_nan=False),
    st.none(),
)


class OnlineStoreContract:
    """Subclass it and give `open`, which opens the same store again when it is given the same folder."""

    def open(self, folder: Path, *, readonly: bool = False) -> OnlineStore:
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[OnlineStore]:
        store = self.open(tmp_path)
        yield store
        store.close()

    def test_a_key_that_was_never_written_is_not_there(self, store: OnlineStore) -> None:
        assert store.read("weather", ("JFK", "6")) is None
        assert store.layout("weather") is None
        assert store.read_many([]) == []

    def test_a_row_is_read_as_it_was_written_with_its_nulls(self, store: OnlineStore) -> None:
        assert store.write(WEATHER, batch(("JFK", 6, 10, 12, 0.1, None))) == 1
        assert store.read("weather", ("JFK", "6")) == StoredRow(10, 12, (0.1, None))
        assert store.layout("weather") == Layout(("origin", "hour"), ("temp", "visib"))

    def test_many_keys_of_many_views_are_read_in_the_order_asked(self, store: OnlineStore) -> None:
        store.write(WEATHER, batch(("JFK", 6, 10, 12, 1.0, 2.0), ("EWR", 6, 11, 12, 3.0, 4.0)))
        store.write(PLAIN, batch(("JFK", 6, 9, None, 5.0, None)))
        wanted = [("plain", ("JFK", "6")), ("weather", ("LGA", "6")), ("weather", ("EWR", "6"))]
        assert store.read_many(wanted) == [StoredRow(9, 9, (5.0, None)), None, StoredRow(11, 12, (3.0, 4.0))]

    @pytest.mark.parametrize(
        ("first", "second", "stays"),
        [((5, 5), (6, 6), 2.0), ((6, 6), (5, 9), 1.0), ((5, 5), (5, 6), 2.0), ((5, 6), (5, 5), 1.0)],
    )
    def test_a_row_replaces_only_an_older_truth(
        self, store: OnlineStore, first: tuple[int, int], second: tuple[int, int], stays: float
    ) -> None:
        store.write(WEATHER, batch(("JFK", 6, *first, 1.0, None)))
        assert store.write(WEATHER, batch(("JFK", 6, *second, 2.0, None))) == int(stays == 2.0)
        found = store.read("weather", ("JFK", "6"))
        assert found is not None
        assert found.values[0] == stays

    def test_a_sync_changes_nothing_that_is_read(self, store: OnlineStore) -> None:
        store.sync()
        store.write(WEATHER, batch(("JFK", 6, 5, 5, 1.0, None)))
        store.sync()
        assert store.read("weather", ("JFK", "6")) == StoredRow(5, 5, (1.0, None))

    def test_writing_the_same_again_keeps_nothing(self, store: OnlineStore) -> None:
        rows = batch(("JFK", 6, 5, 5, 1.0, None), ("JFK", 6, 5, 5, 2.0, None))
        assert [store.write(WEATHER, rows), store.write(WEATHER, rows)] == [1, 0]
        assert store.read("weather", ("JFK", "6")) == StoredRow(5, 5, (2.0, None))

    def test_a_tie_between_batches_is_decided_by_the_sequence(self, store: OnlineStore) -> None:
        rows = batch(("JFK", 6, 5, 5, 1.0, None)).append_column("_seq", pa.array([7]))
        store.write(WEATHER, rows)
        later = batch(("JFK", 6, 5, 5, 2.0, None))
        assert store.write(WEATHER, later.append_column("_seq", pa.array([6]))) == 0
        assert store.write(WEATHER, later.append_column("_seq", pa.array([8]))) == 1

    @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(
        rows=st.lists(cells, max_size=12), cuts=st.lists(st.integers(0, 12), max_size=3), chance=st.randoms()
    )
    def test_parts_in_any_order_and_twice_end_in_the_same_state(
        self, tmp_path_factory: pytest.TempPathFactory, rows: list[Any], cuts: list[int], chance: Any
    ) -> None:
        whole = batch(*rows).append_column("_seq", pa.array(range(len(rows)), pa.int64()))
        edges = sorted({0, len(rows), *(cut for cut in cuts if cut <= len(rows))})
        parts = [whole.slice(low, high - low) for low, high in pairwise(edges)] * 2
        chance.shuffle(parts)
        wanted = [("weather", (origin, hour)) for origin in ("JFK", "", "é") for hour in ("0", "1")]
        found = []
        for batches in ([whole], parts):
            store = self.open(tmp_path_factory.mktemp("store"))
            for each in batches:
                store.write(WEATHER, each)
            found.append(store.read_many(wanted))
            store.close()
        assert found[0] == found[1]

    def test_rows_about_nobody_or_never_known_are_passed_over(self, store: OnlineStore) -> None:
        rows = batch(
            (None, 6, 5, 5, 1.0, None), ("JFK", None, 5, 5, 1.0, None), ("JFK", 6, 5, None, 1.0, None)
        )
        assert store.write(WEATHER, rows) == 0
        assert store.write(WEATHER, rows.slice(0, 0)) == 0
        assert store.read("weather", ("JFK", "6")) is None

    def test_parts_of_a_key_never_flow_into_each_other(self, store: OnlineStore) -> None:
        texts = FeatureView("t", ("a", "b"), ("f",), "t")
        pairs = [
            ("1", "23"),
            ("12", "3"),
            ("123", ""),
            ("", "123"),
            ("1\x00", "23"),
            ("1", "\x0023"),
            ("a" * 999, "b"),
        ]
        columns = {"a": [a for a, _ in pairs], "b": [b for _, b in pairs], "f": list(range(len(pairs)))}
        times = pa.array([1] * len(pairs), pa.int64()).cast(UTC_MICROS)
        assert store.write(texts, pa.table(columns | {"event_ts": times})) == len(pairs)
        found = store.read_many([("t", pair) for pair in pairs])
        assert [row and row.values for row in found] == [(float(n),) for n in range(len(pairs))]
        assert store.read("t", ("a" * 999, "c")) is None
        assert store.read("t", ("\ud800", "no text that was ever written")) is None

    def test_views_of_similar_names_and_their_versions_do_not_meet(self, store: OnlineStore) -> None:
        views = [replace(PLAIN, name=name) for name in ("a", "ab", "b")] + [
            replace(PLAIN, name="a", version=2)
        ]
        for number, view in enumerate(views):
            store.write(view, batch(("JFK", 6, 5, None, float(number), None)))
        found = store.read_many([(name, ("JFK", "6")) for name in ("a", "ab", "b", "a_v2")])
        assert [row and row.values[0] for row in found] == [0.0, 1.0, 2.0, 3.0]

    def test_a_view_without_keys_has_one_row(self, store: OnlineStore) -> None:
        everybody = replace(PLAIN, keys=())
        assert (
            store.write(everybody, batch(("JFK", 6, 5, None, 1.0, None), ("EWR", 6, 6, None, 2.0, None))) == 1
        )
        assert store.read("plain", ()) == StoredRow(6, 6, (2.0, None))

    @pytest.mark.parametrize("changed", [{"features": ("temp",)}, {"keys": ("hour", "origin")}])
    def test_a_view_cannot_change_under_its_rows(self, store: OnlineStore, changed: dict[str, Any]) -> None:
        store.write(WEATHER, batch(("JFK", 6, 5, 5, 1.0, 2.0)))
        with pytest.raises(ViewChanged, match="raise the view's version"):
            store.write(replace(WEATHER, **changed), batch(("JFK", 6, 9, 9, 3.0, 4.0)))
        assert store.read("weather", ("JFK", "6")) == StoredRow(5, 5, (1.0, 2.0))
        assert store.write(replace(WEATHER, ttl=timedelta(1)), batch(("JFK", 6, 9, 9, 3.0, 4.0))) == 1

    @pytest.mark.parametrize(
        ("name", "column", "error"),
        [
            ("event_ts", None, UnknownName),
            ("temp", None, UnknownName),
            ("origin", None, UnknownName),
            ("origin", pa.array([1.5, 2.5]), WrongKey),
            ("temp", pa.array([b"mild", b"cold"]), WrongFeature),
            ("event_ts", pa.array([1, 2], pa.timestamp("us")), NaiveTime),
            ("event_ts", pa.array([1, None], UTC_MICROS), NullTime),
        ],
    )
    def test_a_bad_batch_is_refused_whole(
        self, store: OnlineStore, name: str, column: pa.Array | None, error: type[BadInput]
    ) -> None:
        rows = batch(("JFK", 6, 5, 5, 1.0, 2.0), ("EWR", 6, 5, 5, 1.0, 2.0)).drop_columns([name])
        with pytest.raises(error):
            store.write(WEATHER, rows if column is None else rows.append_column(name, column))
        assert store.read_many([("weather", ("JFK", "6")), ("weather", ("EWR", "6"))]) == [None, None]

    def test_texts_and_numbers_are_read_as_they_were_written(self, store: OnlineStore) -> None:
        columns = {
            "note": pa.array(["", "é\x00\n|,", None, "x" * 100_000]),
            "n": [0.5, None, 2.0, 3.0],
            "city": pa.array(["São Paulo", None, None, "東京"]).dictionary_encode(),
            "flag": [True, False, None, True],
        }
        view = FeatureView("t", ("k",), ("note", "n", "city", "flag"), "t")
        store.write(view, noted(columns, 4))
        found = store.read_many([("t", (str(number),)) for number in range(4)])
        assert [row and row.values for row in found] == [
            ("", 0.5, "São Paulo", 1.0),
            ("é\x00\n|,", None, None, 0.0),
            (None, 2.0, None, None),
            ("x" * 100_000, 3.0, "東京", 1.0),
        ]
        assert store.views() == {"t": Layout(("k",), view.features, ("text", "number", "text", "number"))}

    @pytest.mark.parametrize(("column", "kind"), [(pa.array(["x"]), "text"), (pa.array([7.0]), "number")])
    def test_a_feature_of_nulls_without_a_type_may_become_either(
        self, store: OnlineStore, column: pa.Array, kind: str
    ) -> None:
        view = FeatureView("t", ("k",), ("f", "g"), "t")
        store.write(view, noted({"f": pa.nulls(2), "g": [1.0, 2.0]}, 2))
        assert store.views()["t"].kinds == ("unknown", "number")
        store.write(view, noted({"f": column, "g": [3.0]}, 1, at=2))
        store.write(view, noted({"f": pa.nulls(1), "g": [4.0]}, 1, at=1))
        assert store.views()["t"].kinds == (kind, "number")
        found = store.read_many([("t", ("0",)), ("t", ("1",))])
        assert found == [StoredRow(2, 2, (column[0].as_py(), 3.0)), StoredRow(1, 1, (None, 2.0))]

    def test_a_number_cannot_become_text_under_its_rows_nor_text_a_number(self, store: OnlineStore) -> None:
        view = FeatureView("t", ("k",), ("f", "g"), "t")
        store.write(view, noted({"f": ["x"], "g": [1.0]}, 1))
        for changed in ({"f": [1.0], "g": [1.0]}, {"f": ["x"], "g": ["y"]}):
            with pytest.raises(ViewChanged, match=r"stored as \(k\) → \(f: text, g\)"):
                store.write(view, noted(changed, 1, at=9))
        assert store.read("t", ("0",)) == StoredRow(1, 1, ("x", 1.0))

    def test_the_layouts_of_all_views_are_known_with_their_last_ttl(self, store: OnlineStore) -> None:
        assert store.views() == {}
        long = replace(PLAIN, name="n" * 600)
        for view in (WEATHER, replace(WEATHER, version=2, ttl=timedelta(0)), long):
            store.write(view, batch(("JFK", 6, 5, 5, 1.0, 2.0)))
        store.write(replace(WEATHER, ttl=timedelta(1)), batch(("JFK", 6, 4, 4, 1.0, 2.0)))
        ttls = {name: layout.ttl_us for name, layout in store.views().items()}
        assert ttls == {"weather": 86_400_000_000, "weather_v2": 0, long.name: None}
        assert store.layout("weather") == store.views()["weather"]

    def test_many_views_are_written_together_or_not_at_all(self, store: OnlineStore) -> None:
        store.write(PLAIN, batch(("JFK", 6, 5, None, 1.0, None)))
        newer = batch(("JFK", 6, 9, 9, 2.0, 2.0), ("EWR", 6, 9, 9, 2.0, 2.0))
        with pytest.raises(ViewChanged):
            store.write_many([(WEATHER, newer), (replace(PLAIN, features=("temp",)), newer)])
        assert store.read("weather", ("JFK", "6")) is None
        assert [*store.views()] == ["plain"]
        older = batch(("JFK", 6, 8, 8, 3.0, 3.0))
        assert store.write_many([(WEATHER, newer), (PLAIN, newer), (PLAIN, older)]) == 4
        assert store.read("plain", ("JFK", "6")) == StoredRow(9, 9, (2.0, 2.0))
        assert store.write_many([]) == 0

    def test_versions_compare_as_whole_numbers_of_any_size_and_sign(self, store: OnlineStore) -> None:
        edges = [-(2**62), -(2**33), -(2**32) - 1, -1, 0, 2**31, 2**32 - 1, 2**32, 2**53, 2**53 + 1, 2**62]
        versions = [(event, 0) for event in edges] + [(2**62, edge) for edge in edges[5:]]
        for number, (event, sequence) in enumerate(versions):
            rows = batch(("JFK", 6, event, None, float(number), None))
            assert store.write(PLAIN, rows.append_column("_seq", pa.array([sequence]))) == int(
                versions.index((event, sequence)) == number
            )
        for number, (event, sequence) in enumerate(versions[:-1]):
            rows = batch(("JFK", 6, event, None, float(number), None))
            assert store.write(PLAIN, rows.append_column("_seq", pa.array([sequence]))) == 0

    def test_huge_and_strange_keys_are_told_apart(self, store: OnlineStore) -> None:
        keys = ["k" * 200_000, "k" * 199_999 + "l", "é" * 300, "\n", "'; DROP TABLE", "{x}", "*", "%", "🛫"]
        view = FeatureView("t", ("k",), ("f",), "t")
        times = pa.array([1] * len(keys), pa.int64()).cast(UTC_MICROS)
        store.write(view, pa.table({"k": keys, "event_ts": times, "f": range(len(keys))}))
        found = store.read_many([("t", (key,)) for key in keys])
        assert [row and row.values for row in found] == [(float(n),) for n in range(len(keys))]

    def test_ten_thousand_keys_are_written_and_read_at_once(self, store: OnlineStore) -> None:
        view = FeatureView("t", ("k",), ("f", "g"), "t")
        start = time.monotonic()
        assert store.write(view, noted({"f": range(10_000), "g": ["x"] * 10_000}, 10_000)) == 10_000
        found = store.read_many([("t", (str(number),)) for number in range(10_000)])
        assert time.monotonic() - start < 20  # a tenth of a second on an idle machine
        assert [row and row.values for row in found] == [(float(n), "x") for n in range(10_000)]

    def test_a_store_that_is_opened_to_read_is_not_written(self, tmp_path: Path) -> None:
        store = self.open(tmp_path, readonly=True)
        assert store.read("weather", ("JFK", "6")) is None
        with pytest.raises(StorageUnwritable, match="to be read only"):
            store.write(WEATHER, batch(("JFK", 6, 5, 5, 1.0, 2.0)))
        store.close()

    def test_threads_read_whole_writes_while_one_writes(self, store: OnlineStore) -> None:
        wanted = [("weather", ("JFK", "6")), ("weather", ("EWR", "6"))]
        torn: list[object] = []
        is_done = threading.Event()

        def read() -> None:
            while not is_done.is_set():
                first, second = store.read_many(wanted)
                if first != second:
                    torn.append((first, second))

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for at in range(40):
            store.write(WEATHER, batch(*((origin, 6, at, at, float(at), None) for origin in ("JFK", "EWR"))))
        is_done.set()
        for reader in readers:
            reader.join()
        assert torn == []

    def test_closing_twice_is_closing(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        store.close()
        store.close()
