"""Rows that are pushed are in their table for good, online at once, and equal offline afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.features.histories import LAST, World, events_of
from tests.features.test_materialize import KNOWN, PLAIN, TIMELESS

from esteira.base.clock import from_micros
from esteira.base.errors import BadInput, NaiveTime, ServiceUnreachable, UnknownName
from esteira.data.tables.schema import SchemaChanged
from esteira.features.keys import WrongKey
from esteira.features.latest import WrongFeature
from esteira.features.push import Pushed, push
from esteira.features.stores.memory import MemoryStore
from esteira.features.stores.port import ViewChanged
from esteira.features.times import NullTime

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from esteira.features.views import FeatureView

VIEWS = (PLAIN, TIMELESS, KNOWN)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def pushed(
    world: World, rows: pa.Table, token: str, *, source: str = "t", views: Sequence[FeatureView] = VIEWS
) -> Pushed:
    return push(world.tables, world.store, views, source, rows, token=token, clock=world.clock)


def assert_exact(world: World) -> None:
    for view in VIEWS:
        world.materialize(view, LAST)
        assert world.online(view, LAST) == world.offline(view, LAST)


def test_a_pushed_row_is_online_at_once_and_in_its_table(world: World) -> None:
    done = pushed(world, events_of([("a", 5, 5, 1), ("b", 6, 6, 2)]), "one")
    assert (done.version, done.rows) == (world.tables.version("t", 0), 4)
    for view in (PLAIN, TIMELESS):
        assert world.online(view, LAST) == world.offline(view, LAST)
    assert_exact(world)


def test_the_same_token_is_one_push_whatever_comes_with_it(world: World) -> None:
    pushed(world, events_of([("a", 5, 5, 1)]), "one")
    again = pushed(world, events_of([("a", 5, 5, 9)]), "one")
    assert (again.version.version, again.rows) == (0, 0)
    assert world.tables.version("t").rows == 1
    assert_exact(world)


def test_a_push_stores_its_own_rows_and_reads_no_older_ones(world: World) -> None:
    pushed(world, events_of([("a", 5, 5, 1)]), "one")
    world.store = MemoryStore()
    assert pushed(world, events_of([("b", 6, 6, 2)]), "two").rows == 2
    assert world.store.read("plain", ("a",)) is None


def test_of_two_equal_times_the_later_push_is_the_truth(world: World) -> None:
    for token, x in (("one", 1), ("two", 2), ("three", 3)):
        pushed(world, events_of([("a", 5, 5, x)]), token)
    assert next(row["plain__x"] for row in world.online(PLAIN, 9)) == 3.0
    pushed(world, events_of([("a", 5, 5, 1)]), "one")  # an old one is sent again
    assert_exact(world)


def test_a_row_of_the_future_hides_no_present_one(world: World) -> None:
    later = world.clock.micros() + 60
    pushed(world, events_of([("a", 5, 5, 1), ("a", later, later, 2), ("a", 6, later, 3)]), "one")
    assert next(row["plain__x"] for row in world.online(PLAIN, 9)) == 1.0
    world.clock.set(from_micros(later))
    assert_exact(world)
    world.materialize(PLAIN, later)
    assert world.online(PLAIN, later) == world.offline(PLAIN, later)


def test_a_store_that_is_down_keeps_no_row_out_of_the_table(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> int:
        raise ServiceUnreachable("Redis", "here", "down")

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "write_many", down)
        with pytest.raises(ServiceUnreachable):
            pushed(world, events_of([("a", 5, 5, 1)]), "one")
    assert world.tables.version("t").rows == 1
    assert_exact(world)
    assert pushed(world, events_of([("a", 5, 5, 1)]), "one").rows == 0


def test_pushes_between_materializations_stay_exact(world: World) -> None:
    for at in range(0, 60, 4):
        pushed(world, events_of([("a", at, at + 1, at), ("b", max(0, at - 9), at, at)]), f"push {at}")
        if at % 12 == 0:
            assert_exact(world)
    assert_exact(world)


def test_a_source_of_no_view_is_refused_with_the_nearest(world: World) -> None:
    with pytest.raises(UnknownName, match="unknown source of views 'tt'; did you mean 't'"):
        pushed(world, events_of([("a", 5, 5, 1)]), "one", source="tt")
    assert world.tables.names() == []


def test_a_push_without_token_is_refused(world: World) -> None:
    with pytest.raises(BadInput, match="needs a token"):
        pushed(world, events_of([("a", 5, 5, 1)]), "")


def changed(name: str, values: Any) -> pa.Table:
    rows = events_of([("a", 5, 5, 1), ("a", 6, 6, 2)])
    return rows.set_column(rows.column_names.index(name), name, pa.array(values))


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        (changed("event_ts", pa.array([1, 2], pa.timestamp("us"))), NaiveTime),
        (changed("event_ts", pa.array([1, None], pa.timestamp("us", "UTC"))), NullTime),
        (changed("k", [0.5, 1.5]), WrongKey),
        (changed("x", [[1], [2]]), WrongFeature),
        (events_of([("a", 5, 5, 1)]).drop_columns(["x"]), UnknownName),
    ],
)
def test_rows_that_a_view_cannot_use_are_refused_before_anything_is_written(
    world: World, rows: pa.Table, error: type[BadInput]
) -> None:
    with pytest.raises(error):
        pushed(world, rows, "one", views=(PLAIN, TIMELESS))
    assert world.tables.names() == []
    assert world.store.layout("plain") is None


def test_a_row_that_could_not_be_stored_is_refused_though_a_later_one_hides_it(world: World) -> None:
    """Materialized in another portion than the later one, it would be stored."""
    hidden = changed("x", [2**60 + 1, 2])
    with pytest.raises(WrongFeature):
        pushed(world, hidden, "one", views=(PLAIN, TIMELESS))
    assert world.tables.names() == []


def test_another_schema_than_the_tables_is_refused_whole(world: World) -> None:
    pushed(world, events_of([("a", 5, 5, 1)]), "one")
    more = events_of([("a", 6, 6, 2)]).append_column("extra", pa.array([1]))
    with pytest.raises(SchemaChanged, match="extra is new"):
        pushed(world, more, "two")
    assert_exact(world)


def test_a_view_that_is_stored_otherwise_is_refused_before_anything_is_written(world: World) -> None:
    pushed(world, events_of([("a", 5, 5, 1)]), "one", views=(PLAIN,))
    other = replace(PLAIN, keys=("x",), features=("k",))
    with pytest.raises(ViewChanged, match="raise the view's version"):
        pushed(world, events_of([("a", 6, 6, 2)]), "two", views=(other,))
    assert world.tables.version("t").rows == 1
