"""The point-in-time join against brute force, and each line of its contract."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.features.oracle import (
    KEYS,
    joined,
    micros,
    plain,
    rows_of,
    some_questions,
    some_rows,
    spine_of,
    view_of,
)

from esteira.base.errors import BadInput, NaiveTime, UnknownName, UnknownScheme
from esteira.features.keys import WrongKey
from esteira.features.point_in_time import ClashingNames, point_in_time_join
from esteira.features.times import NotATime, NullTime
from esteira.features.views import BoundView, FeatureView

X = ("x", "y")
keys = st.sampled_from(KEYS)
moments = st.integers(0, 8)
cells = st.tuples(keys, moments, st.none() | st.integers(0, 10), st.none() | st.floats(allow_nan=False))
ttls = st.none() | st.integers(0, 9)


def ask(spine: pa.Table, *views: BoundView, **options: Any) -> pa.Table:
    return point_in_time_join(spine, views, at="at", **options)


def values(spine: pa.Table, *views: BoundView, **options: Any) -> list[Any]:
    return ask(spine, *views, **options)["v__value"].to_pylist()


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(cells, max_size=25),
    questions=st.lists(st.tuples(keys, st.integers(-1, 12)), max_size=12),
    ttl_us=ttls,
    created=st.booleans(),
    as_known=st.booleans(),
)
def test_any_world_is_answered_as_by_brute_force(
    rows: list[Any], questions: list[Any], ttl_us: int | None, *, created: bool, as_known: bool
) -> None:
    bound = BoundView(view_of(created=created, ttl_us=ttl_us), rows_of(rows))
    found = ask(spine_of(questions), bound, as_known=as_known, with_status=True)
    assert plain(found) == joined(spine_of(questions), [bound], as_known=as_known)


@pytest.mark.parametrize("engine", ["numpy:", "duckdb:", "polars:"])
@pytest.mark.parametrize("seed", range(8))
def test_twenty_thousand_cells_are_answered_as_by_brute_force(seed: int, engine: str) -> None:
    chance = random.Random(seed)
    spine = some_questions(chance, 210)
    views = [
        BoundView(view_of(created=created, ttl_us=ttl_us, name=name), some_rows(chance, 90))
        for name, created, ttl_us in (("u", True, None), ("v", True, 3), ("w", False, 0), ("x", False, 5))
    ]
    found = ask(spine, *views, as_known=seed % 3 > 0, with_status=True, engine=engine)
    assert plain(found) == joined(spine, views, as_known=seed % 3 > 0)


@pytest.mark.parametrize("seed", range(4))
def test_what_happens_or_is_learnt_after_the_question_changes_nothing(seed: int) -> None:
    chance = random.Random(seed)
    rows = some_rows(chance, 200)
    view = view_of(ttl_us=6)
    for at in range(0, 15, 2):
        spine = spine_of([(key, at) for key in KEYS])
        before = ask(spine, BoundView(view, rows), with_status=True)
        past, future = [], []
        for row in plain(rows):
            is_known = row["created_ts"] is not None and max(row["event_ts"], row["created_ts"]) <= at
            (past if is_known else future).append(row)
        lies = [row | {"value": -1.0, "event_ts": row["event_ts"] + 1} for row in future]
        for world in (past, [*lies, *past, *lies, *future]):
            cut = rows_of([((r["a"], r["b"]), r["event_ts"], r["created_ts"], r["value"]) for r in world])
            assert ask(spine, BoundView(view, cut), with_status=True).equals(before)


def test_every_question_comes_back_once_in_its_place_with_its_columns() -> None:
    fields = [pa.field("note", pa.string(), nullable=False, metadata={"k": "v"})]
    spine = spine_of([(X, 5), (X, 5), (("no", "one"), 5), (X, 5)])
    spine = spine.append_column(fields[0], pa.array(["n"] * 4)).replace_schema_metadata({"made": "by hand"})
    found = ask(spine, BoundView(view_of(), rows_of([(X, 5, 5, 1.0), (X, 5, 5, 2.0)])))
    assert found.select(spine.column_names).equals(spine, check_metadata=True)
    assert found.column_names == [*spine.column_names, "v__value"]
    assert found["v__value"].to_pylist() == [2.0, 2.0, None, 2.0]


def test_a_row_holds_from_its_event_to_the_last_moment_of_its_ttl() -> None:
    bound = BoundView(view_of(ttl_us=3), rows_of([(X, 5, 5, 1.0)]))
    spine = spine_of([(X, at) for at in (4, 5, 8, 9)])
    found = ask(spine, bound, with_status=True)
    assert found["v__value"].to_pylist() == [None, 1.0, 1.0, None]
    assert found["v__value__status"].to_pylist() == ["missing", "present", "present", "expired"]


def test_a_ttl_of_zero_asks_for_the_very_moment() -> None:
    bound = BoundView(view_of(ttl_us=0), rows_of([(X, 5, 5, 1.0)]))
    assert values(spine_of([(X, 5), (X, 6)]), bound) == [1.0, None]


def test_no_ttl_and_the_longest_ttl_hold_over_all_times() -> None:
    first, last = -(2**62) - (2**61), 2**62 + 2**61
    forever = timedelta.max // timedelta(microseconds=1)
    for ttl_us in (None, forever):
        bound = BoundView(view_of(ttl_us=ttl_us), rows_of([(X, first, first, 1.0)]))
        assert values(spine_of([(X, last)]), bound) == [1.0]
    short = BoundView(view_of(ttl_us=2**62), rows_of([(X, first, first, 1.0)]))
    assert values(spine_of([(X, last)]), short) == [None]


def test_an_expired_row_does_not_let_an_older_one_answer() -> None:
    rows = rows_of([(X, 4, 4, 1.0), (X, 5, 9, 2.0)])
    assert values(spine_of([(X, 9)]), BoundView(view_of(ttl_us=3), rows)) == [None]


def test_of_equal_times_the_later_created_then_the_later_row_answers() -> None:
    rows = rows_of([(X, 5, 7, 1.0), (X, 5, 6, 2.0), (X, 5, 6, 3.0)])
    assert values(spine_of([(X, 6), (X, 7)]), BoundView(view_of(), rows)) == [3.0, 1.0]


def test_the_sequence_decides_when_the_rows_are_part_of_a_table() -> None:
    rows = rows_of([(X, 5, 5, 1.0), (X, 5, 5, 2.0)]).append_column("_seq", pa.array([9, 8], pa.int64()))
    assert values(spine_of([(X, 6)]), BoundView(view_of(), rows)) == [1.0]
    broken = rows.set_column(5, "_seq", pa.array([9, None], pa.int64()))
    with pytest.raises(BadInput, match="_seq"):
        ask(spine_of([(X, 6)]), BoundView(view_of(), broken))


def test_a_row_of_the_past_that_is_learnt_late_is_not_joined_before() -> None:
    rows = rows_of([(X, 2, 2, 1.0), (X, 3, 10, 2.0), (X, 4, 4, 3.0), (X, 5, None, 4.0)])
    spine = spine_of([(X, 3), (X, 9), (X, 10)])
    assert values(spine, BoundView(view_of(), rows)) == [1.0, 3.0, 3.0]
    assert values(spine, BoundView(view_of(), rows), as_known=False) == [2.0, 4.0, 4.0]


def test_a_winning_row_that_holds_null_gives_null_and_says_so() -> None:
    found = ask(
        spine_of([(X, 9)]), BoundView(view_of(), rows_of([(X, 1, 1, 1.0), (X, 2, 2, None)])), with_status=True
    )
    assert plain(found)[0]["v__value"] is None
    assert found["v__value__status"].to_pylist() == ["null"]


def test_a_null_key_matches_nothing_not_even_a_null_key() -> None:
    nobody = (None, "y")
    assert values(spine_of([(nobody, 9), (X, 9)]), BoundView(view_of(), rows_of([(nobody, 1, 1, 1.0)]))) == [
        None,
        None,
    ]


def test_a_view_without_keys_answers_everybody() -> None:
    view = FeatureView("v", (), ("value",), "t")
    assert values(spine_of([(X, 9), ((None, None), 3)]), BoundView(view, rows_of([(X, 5, 5, 1.0)]))) == [
        1.0,
        None,
    ]


def test_empty_tables_give_empty_columns_of_the_right_type() -> None:
    nothing, rows = spine_of([]), rows_of([(X, 5, 5, 1.0)])
    assert ask(nothing, BoundView(view_of(), rows)).schema.field("v__value").type == pa.float64()
    found = ask(spine_of([(X, 9)]), BoundView(view_of(), rows_of([])), with_status=True)
    assert found["v__value"].to_pylist() == [None]
    assert found["v__value__status"].to_pylist() == ["missing"]
    assert ask(spine_of([(X, 9)])).equals(spine_of([(X, 9)]))


def test_features_of_any_type_pass_through_unchanged() -> None:
    odd = pa.table(
        {
            "k": ["x", "x"],
            "event_ts": micros([1, 2]),
            "text": pa.array(["a", "b"]).dictionary_encode(),
            "list": pa.array([[1], [2, None]]),
            "big": pa.array([2**63 - 1, 2**53 + 1]),
            "when": micros([5, 6]),
        }
    )
    view = FeatureView("o", ("k",), ("text", "list", "big", "when"), "t")
    spine = pa.table({"k": ["x"], "at": micros([2])})
    found = ask(spine, BoundView(view, odd)).drop_columns(["k", "at"])
    assert found.to_pylist() == [{f"o__{n}": odd[n][1].as_py() for n in view.features}]
    assert [f.type for f in found.schema] == [odd.schema.field(n).type for n in view.features]


def test_chunked_and_unsorted_tables_are_read_as_one() -> None:
    chance = random.Random(1)
    rows, spine = some_rows(chance, 50), some_questions(chance, 30)
    pieces = pa.concat_tables([rows.slice(0, 7), rows.slice(7, 0), rows.slice(7)])
    parts = pa.concat_tables([spine.slice(0, 11), spine.slice(11)])
    assert ask(parts, BoundView(view_of(), pieces)).equals(ask(spine, BoundView(view_of(), rows)))


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.int64(), pa.uint16(), pa.bool_(), pa.date32(), pa.large_string()]
)
def test_keys_may_be_whole_numbers_flags_dates_or_texts_of_any_width(kind: pa.DataType) -> None:
    spine = pa.table(
        {
            "k": pa.array([1, 0, None], pa.int32())
            .cast(pa.int32() if kind == pa.date32() else kind)
            .cast(kind),
            "at": micros([9, 9, 9]),
        }
    )
    wide = spine["k"].cast({pa.int8(): pa.int64(), pa.large_string(): pa.string()}.get(kind, kind))
    rows = pa.table({"k": wide, "event_ts": micros([1, 2, 3]), "value": [1.0, 2.0, 3.0]})
    assert values(spine, BoundView(FeatureView("v", ("k",), ("value",), "t"), rows)) == [1.0, 2.0, None]


@pytest.mark.parametrize("zone", ["UTC", "America/Sao_Paulo", "+05:30"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_any_zone_and_unit_are_the_same_moments(zone: str, unit: str) -> None:
    hour = datetime(2013, 11, 3, 6, tzinfo=UTC)  # New York's clocks showed 01:00 twice that night
    times = pa.array([hour, hour + timedelta(hours=1)], pa.timestamp(unit, zone))
    rows = pa.table(
        {"k": ["x", "x"], "event_ts": times.cast(pa.timestamp(unit, "America/New_York")), "value": [1.0, 2.0]}
    )
    spine = pa.table({"k": ["x", "x"], "at": times})
    assert values(spine, BoundView(FeatureView("v", ("k",), ("value",), "t"), rows)) == [1.0, 2.0]


def _with(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


SPINE, ROWS = spine_of([(X, 5)]), rows_of([(X, 5, 5, 1.0)])


@pytest.mark.parametrize(
    ("spine", "rows", "error", "said"),
    [
        (_with(SPINE, "at", pa.array([5], pa.timestamp("us"))), ROWS, NaiveTime, "'at' of the spine"),
        (
            SPINE,
            _with(ROWS, "event_ts", pa.array([5], pa.timestamp("us"))),
            NaiveTime,
            "'event_ts' of view 'v'",
        ),
        (SPINE, _with(ROWS, "created_ts", pa.array([5], pa.timestamp("us"))), NaiveTime, "'created_ts'"),
        (_with(SPINE, "at", pa.array([5])), ROWS, NotATime, "found int64"),
        (SPINE, _with(ROWS, "event_ts", pa.array([5], pa.date32())), NotATime, "found date32"),
        (_with(SPINE, "at", pa.array([5], pa.timestamp("ns", "UTC"))), ROWS, NotATime, "round"),
        (_with(SPINE, "at", micros([None])), ROWS, NullTime, "'at' of the spine is null in 1"),
        (SPINE, _with(ROWS, "event_ts", micros([None])), NullTime, "'event_ts'"),
        (SPINE.drop_columns(["at"]), ROWS, UnknownName, "'at'"),
        (SPINE.drop_columns(["a"]), ROWS, UnknownName, "'a'"),
        (SPINE, ROWS.drop_columns(["b"]), UnknownName, "'b'"),
        (SPINE, ROWS.drop_columns(["value"]), UnknownName, "'value'"),
        (SPINE, ROWS.drop_columns(["created_ts"]), UnknownName, "'created_ts'"),
        (SPINE, ROWS.append_column("value", ROWS["value"]), BadInput, "2 columns named 'value'"),
        (_with(SPINE, "a", pa.array([1])), ROWS, WrongKey, "large_string as in view 'v', found int64"),
        (_with(SPINE, "a", pa.array([1.0])), ROWS, WrongKey, "found double"),
        (_with(SPINE, "a", pa.array([2**64 - 1], pa.uint64())), ROWS, WrongKey, "found uint64"),
        (SPINE.append_column("v__value", SPINE["at"]), ROWS, ClashingNames, "v__value"),
        (SPINE.append_column("v__value__status", SPINE["at"]), ROWS, ClashingNames, "v__value__status"),
    ],
)
def test_what_cannot_be_joined_is_refused_with_its_name(
    spine: pa.Table, rows: pa.Table, error: type[BadInput], said: str
) -> None:
    with pytest.raises(error, match=said):
        ask(spine, BoundView(view_of(), rows), with_status=True)


def test_two_views_of_one_name_clash() -> None:
    with pytest.raises(ClashingNames) as clash:
        ask(SPINE, BoundView(view_of(), ROWS), BoundView(view_of(), ROWS))
    assert clash.value.names == ["v__value"]


def test_views_that_are_joined_side_by_side_give_what_one_after_the_other_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chance = random.Random(5)
    spine = some_questions(chance, 300)
    views = [BoundView(view_of(name=name, ttl_us=4), some_rows(chance, 100)) for name in ("u", "v", "w")]
    alone = ask(spine, *views, with_status=True)
    monkeypatch.setattr("esteira.features.point_in_time._MANY_ROWS", 1)
    assert ask(spine, *views, with_status=True).equals(alone)


@pytest.mark.slow
def test_shards_give_the_same_bytes() -> None:
    chance = random.Random(6)
    spine, rows = some_questions(chance, 500), some_rows(chance, 300)
    bound = BoundView(view_of(ttl_us=5), rows)
    assert ask(spine, bound, with_status=True, engine="shards:3").equals(ask(spine, bound, with_status=True))


def test_an_engine_is_opened_by_its_scheme() -> None:
    with pytest.raises(UnknownScheme, match="duckdb, numpy"):
        ask(SPINE, BoundView(view_of(), ROWS), engine="abacus:")
