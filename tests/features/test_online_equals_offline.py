"""The law of the online stores: what is read at a moment is what the contract says of that moment."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.features.oracle import KEYS, answer, micros, plain, rows_of, view_of

from esteira.features.online import OnlineReader
from esteira.features.stores import open_store
from esteira.features.views import BoundView
from esteira.registry.signature import ViewRef

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.features.redis_server import RedisServer

    from esteira.features.stores.port import OnlineStore
    from esteira.features.views import FeatureView

times = st.integers(0, 6)
cells = st.tuples(st.sampled_from(KEYS[:5]), times, st.none() | times, st.none() | st.floats(-9, 9))
worlds = st.lists(
    st.tuples(st.lists(cells, max_size=12), st.none() | st.integers(0, 4), st.booleans()),
    min_size=1,
    max_size=3,
)


@pytest.fixture(params=["memory", "sqlite", "lmdb", pytest.param("redis", marks=pytest.mark.slow)])
def new_store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], OnlineStore]]:
    """Opens an empty store whenever it is called."""
    opened: list[OnlineStore] = []

    def open_another() -> OnlineStore:
        folder = tmp_path_factory.mktemp("online")
        url = f"{request.param}:{folder / 'store'}"
        if request.param == "redis":
            server: RedisServer = request.getfixturevalue("redis_server")
            url = f"{server.address}?prefix={quote(str(folder))}"
        opened.append(open_store(url))
        return opened[-1]

    yield open_another
    for store in opened:
        store.close()


def bound_view(number: int, rows: list[Any], ttl_us: int | None, *, created: bool) -> BoundView:
    """A view of a number and a text that says the number."""
    view = replace(view_of(name=f"v{number}", ttl_us=ttl_us, created=created), features=("value", "note"))
    table = rows_of(rows)
    notes = pc.if_else(pc.greater(table["value"], 0), pc.cast(table["value"], pa.string()), None)
    return BoundView(view, table.append_column("note", notes))


def expected(bound: BoundView, question: dict[str, Any]) -> tuple[list[Any], list[str]]:
    status, row = answer(bound.view, plain(bound.rows), question)
    values = [None if row is None else row[feature] for feature in bound.view.features]
    return values, ["null" if row is not None and value is None else status for value in values]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(worlds=worlds)
def test_read_and_fill_give_what_the_oracle_gives_at_every_moment(
    new_store: Callable[[], OnlineStore], worlds: list[tuple[list[Any], int | None, bool]]
) -> None:
    bounds = [bound_view(n, rows, ttl, created=created) for n, (rows, ttl, created) in enumerate(worlds)]
    store = new_store()
    reader = OnlineReader.of(store, [bound.view for bound in bounds])
    for at in range(-1, 12):
        for bound in bounds:
            store.write(bound.view, known(bound, at))
        entities = [dict(zip("ab", key, strict=True)) for key in KEYS]
        found = reader.read(entities, at)
        for entity, values, status in zip(entities, found.values, found.status, strict=True):
            cells = defaultdict(list)
            for bound in bounds:
                for place, part in enumerate(expected(bound, entity | {"at": at})):
                    cells[place] += part
            assert (values, status) == (cells[0], cells[1])
            request: dict[str, Any] = dict(entity)
            reader.fill(request, at)
            assert request == entity | dict(zip(found.columns, values, strict=True))


def known(bound: BoundView, at: int) -> pa.Table:
    """The rows that had happened and were known by a moment, with their places in the whole table."""
    places = []
    for number, row in enumerate(plain(bound.rows)):
        created = row[bound.view.created_time or "event_ts"]
        if created is not None and max(row["event_ts"], created) <= at:
            places.append(number)
    numbers = pa.array(places, pa.int64())
    return bound.rows.take(numbers).append_column("_seq", numbers)


@pytest.mark.parametrize("width", [1, 5])
def test_some_features_in_another_order_are_the_same_features(
    new_store: Callable[[], OnlineStore], width: int
) -> None:
    view: FeatureView = replace(view_of(), features=tuple(f"f{n}" for n in range(6)), keys=())
    columns = {f"f{n}": [f"text {n}"] if n % 2 else [float(n)] for n in range(6)}
    store = new_store()
    store.write(view, pa.table(columns | {"event_ts": micros([1]), "created_ts": micros([1])}))
    wanted = tuple(f"f{n}" for n in range(6))[::-1][:width]
    found = OnlineReader(store, (ViewRef("v", (), wanted),)).read([{}], 9)
    assert found.values == [[columns[name][0] for name in wanted]]
