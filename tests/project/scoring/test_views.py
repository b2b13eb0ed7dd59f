from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.project.scored import lay_late
from tests.serving.worlds import VIEWED, tree_model

from esteira.base.clock import to_micros
from esteira.base.errors import BadInput, NaiveTime, UnknownName
from esteira.features.online import OnlineReader
from esteira.features.point_in_time import ClashingNames
from esteira.features.stores import open_store
from esteira.features.transforms.on_demand import on_demand
from esteira.project.scoring.job import ScoreWanted, score_table
from esteira.project.scoring.run import UnscorableRow
from esteira.project.scoring.views import ViewsNeedATime, joined, pin_views
from esteira.project.station import Station, open_station
from esteira.registry.signature import infer_signature
from esteira.serving.live.arms import load_arm
from esteira.serving.runtimes import open_runtime
from esteira.training.trainers import fit

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PROJECT = """
from datetime import timedelta
from esteira import FeatureView, Project, TableSource
weather = FeatureView("weather", ("origin",), ("visib", "temp"), "weather", event_time="hour")
source = TableSource("weather", lambda since, until: None)
project = Project("late", steps=[], tables=[source], views=[weather])
"""


def hours(*after: int | None) -> pa.Array:
    moments = [None if each is None else NOON + each * HOUR for each in after]
    return pa.array(moments, pa.timestamp("us", tz="UTC"))


@pytest.fixture
def late(tmp_path: Path) -> Station:
    """A model that reads how far one sees at the origin, and rows that were asked at several hours."""
    station = lay_late(tmp_path / "late", tree_model(0.5, VIEWED), project=PROJECT)
    weather = {"origin": ["JFK", "JFK", "LGA"], "visib": [10.0, 0.5, 7.0], "temp": [1, 2, 3]}
    station.tables.append("weather", pa.table({**weather, "hour": hours(0, 2, 1)}))
    asked = {"miles": [400.0, 600.0, 700.0, 800.0], "origin": ["JFK", "JFK", "LGA", None]}
    station.tables.append("flights", pa.table({**asked, "at": hours(1, 3, 0, 3)}))
    return station


def test_each_row_sees_what_was_known_at_its_time(late: Station) -> None:
    views = joined(pin_views(late, VIEWED, None), "at")
    rows, wrong = views.join(late.tables.read("flights"))
    assert rows["weather__visib"].to_pylist() == [10.0, 0.5, None, None]
    assert "weather__temp" not in rows.column_names  # the model does not ask for it
    assert wrong == {}


def test_a_table_is_scored_with_its_views_and_keeps_its_own_columns(late: Station) -> None:
    made = score_table(late, ScoreWanted("flights", "scores", at="at", chunk=2))
    rows, _ = joined(pin_views(late, VIEWED, None), "at").join(late.tables.read("flights"))
    right = open_runtime(tree_model(0.5, VIEWED)).predict(VIEWED.encode_table(rows)).tolist()
    found = late.tables.read("scores")
    assert (made.scored, found["score"].to_pylist()) == (4, right)
    assert found.column_names == ["miles", "origin", "at", "score", "version", "scored_at"]


def test_a_model_with_views_asks_for_the_time_of_the_rows(late: Station) -> None:
    with pytest.raises(ViewsNeedATime, match=r"weather.*--at COLUMN"):
        score_table(late, ScoreWanted("flights", "scores"))


def test_a_row_without_a_time_cannot_be_scored_and_the_others_can(late: Station) -> None:
    late.tables.append("odd", pa.table({"miles": [1.0, 2.0], "origin": ["JFK", "JFK"], "at": hours(None, 1)}))
    with pytest.raises(UnscorableRow, match="row 0 of odd@0: column 'at' must be a time, found nothing"):
        score_table(late, ScoreWanted("odd", "scores", at="at"))
    made = score_table(late, ScoreWanted("odd", "kept", at="at", keep_bad=True))
    assert (made.scored, made.set_aside) == (1, 1)


@pytest.mark.parametrize(
    ("column", "values", "kind", "said"),
    [
        ("at", pa.array([0], pa.timestamp("us")), NaiveTime, "time zone"),
        ("at", pa.array(["noon"]), BadInput, "must hold timestamps"),
        ("weather__visib", pa.array([1.0]), ClashingNames, "rename the spine's column"),
        ("origin", pa.array([1.5]), BadInput, "origin"),
    ],
)
def test_columns_that_no_view_can_be_joined_to_are_refused_at_once(
    late: Station, column: str, values: pa.Array, kind: type[Exception], said: str
) -> None:
    columns = {"miles": pa.array([1.0]), "origin": pa.array(["JFK"]), "at": hours(1), column: values}
    wanted = ScoreWanted("rows.parquet", "scores", at="at")
    path = late.settings.root / "rows.parquet"
    pq.write_table(pa.table(columns), path)
    with pytest.raises(kind, match=said):
        score_table(late, replace(wanted, source=str(path)))
    assert "scores" not in late.tables.names()


def test_a_view_over_a_pinned_version_stays_as_it_was(late: Station) -> None:
    pinned = [each.identity for each in pin_views(late, VIEWED, None)]
    late.tables.append(
        "weather", pa.table({"origin": ["JFK"], "visib": [3.0], "temp": [1], "hour": hours(3)})
    )
    rows = late.tables.read("flights")
    then, now = (joined(pin_views(late, VIEWED, each), "at").join(rows)[0] for each in (pinned, None))
    assert then["weather__visib"].to_pylist() == [10.0, 0.5, None, None]
    assert now["weather__visib"].to_pylist() == [10.0, 3.0, None, None]


def changed(late: Station, before: str, after: str) -> Station:
    path = late.settings.root / "late.py"
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")
    return open_station(late.settings.root)


def test_a_view_that_changed_on_the_way_is_refused(late: Station) -> None:
    pinned = [each.identity for each in pin_views(late, VIEWED, None)]
    other = changed(late, 'event_time="hour"', 'event_time="hour", created_time="hour"')
    with pytest.raises(BadInput, match=r"changed since the scoring began.*another target"):
        pin_views(other, VIEWED, pinned)


def test_a_view_that_is_no_longer_what_the_model_reads_is_refused(late: Station) -> None:
    with pytest.raises(
        BadInput, match=r"the model asks by \('origin',\); give the changed view a new version"
    ):
        pin_views(changed(late, '("origin",)', '("airport",)'), VIEWED, None)
    with pytest.raises(UnknownName, match="feature view of the project 'weather'"):
        pin_views(changed(late, '"weather", ("airport"', '"sky", ("airport"'), VIEWED, None)


def test_rows_hold_as_long_as_they_do_for_the_model(late: Station) -> None:
    short = replace(VIEWED, views=(replace(VIEWED.views[0], ttl_us=0),))
    rows, _ = joined(pin_views(late, short, None), "at").join(late.tables.read("flights"))
    assert rows["weather__visib"].to_pylist() == [None, None, None, None]


@on_demand(inputs={"miles": float, "weather__visib": float, "carrier": str})
def rush(miles: float, weather__visib: float, carrier: str) -> dict[str, Any]:
    return {"load": log1p(miles) / (1 + weather__visib), "is_ua": carrier == "UA"}  # noqa: F821 - words of the subset


def test_what_transforms_compute_of_views_is_what_a_gateway_computes(late: Station, tmp_path: Path) -> None:
    drawn = np.random.default_rng(7)
    seen = {
        "miles": drawn.uniform(0, 1000, 200),
        "carrier": drawn.choice(["AA", "UA"], 200),
        "weather__visib": pa.array(drawn.uniform(0, 10, 200), mask=drawn.random(200) < 0.2),
    }
    columns = ("rush__load", "rush__is_ua", "miles")
    signature = infer_signature(
        pa.table(seen), "late", columns=columns, views=VIEWED.views, on_demand=(rush.ref(),)
    )
    trained = fit("lightgbm:", pa.table({**seen, "late": seen["miles"] > 500}), signature, seed=1)
    station = lay_late(tmp_path / "other", trained, project=PROJECT)
    station.tables.append("weather", late.tables.read("weather"))
    asked = {"miles": [400.0, 600.0, 700.0], "origin": ["JFK", "LGA", "MIA"], "carrier": ["UA", "AA", "UA"]}
    station.tables.append("flights", pa.table({**asked, "at": hours(3, 3, 3)}))
    score_table(station, ScoreWanted("flights", "scores", at="at"))
    store, (view,) = open_store("memory:"), station.project.views
    store.write(view, station.tables.read("weather").slice(1))  # of each key the newest row
    arms = station.routes.get("late")
    assert arms is not None
    arm = load_arm(arms.arms[0], station.artifacts.folder, lambda views: OnlineReader(store, views))
    rows = [dict(zip(asked, values, strict=True)) for values in zip(*asked.values(), strict=True)]
    online = [arm.runtime.predict_row(arm.encode(row, to_micros(NOON + 3 * HOUR))) for row in rows]
    assert station.tables.read("scores")["score"].to_pylist() == online
    unsaid = {"miles": [1.0], "origin": ["JFK"], "carrier": pa.array([None], pa.string()), "at": hours(3)}
    station.tables.append("odd", pa.table(unsaid))
    with pytest.raises(UnscorableRow, match="row 0 of odd@0: column 'carrier' must be"):
        score_table(station, ScoreWanted("odd", "none", at="at"))
