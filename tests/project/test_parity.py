from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from tests.project.worlds import DAY, HOUR, LIVE, Days, answer, rehearsal_of, rewrite

from esteira.features.point_in_time import point_in_time_join
from esteira.monitoring.prediction_log import vectors_of
from esteira.project.ingesting import ingest_new
from esteira.project.parity import TOO_LATE, Parity, _decoded, compare_logged
from esteira.project.release import load_model
from esteira.project.ring import Ring
from esteira.project.running import bind
from esteira.project.station import open_station
from esteira.registry.columns import Column, numbers_in

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from esteira.project.station import Station

SERVED = "*(column for view in VIEWS for column in view.columns))"
EFFORT = """
@on_demand(inputs={"load": float, "climate__heat": float})
def effort(load, climate__heat):
    return {"per_degree": load / climate__heat}
"""
WITH_TRANSFORM = (
    ("from esteira.features import BoundView,", "from esteira.features import on_demand, BoundView,"),
    (SERVED, f'{SERVED[:-1]}, "effort__per_degree")\n{EFFORT}'),
    (
        "views=tuple(view.ref() for view in VIEWS)",
        "views=tuple(v.ref() for v in VIEWS), on_demand=(effort.ref(),)",
    ),
)
VIEW_COLUMNS = 3  # climate__heat, pump_day__runs, pump_day__fail_share


def compared(station: Station, **options: int) -> Parity:
    keys = rehearsal_of(station).questions().select(["event_id", "pump", "site"])
    return compare_logged(station, keys, id_column="event_id", **options)


@pytest.mark.slow
def test_what_served_is_what_training_sees_to_the_bit(played: Station) -> None:
    found = compared(played)
    asked = played.tables.version("predictions").rows
    assert found == Parity(asked, asked * VIEW_COLUMNS, 0, ())
    versions = set(played.tables.read("predictions")["version"].to_pylist())
    assert versions == {1, 3}


@pytest.mark.slow
def test_a_sample_is_enough_and_repeats(played: Station) -> None:
    found = compared(played, sample=100)
    assert (found.predictions, found.cells) == (100, 300)
    assert compared(played, sample=100) == found


@pytest.mark.slow
def test_a_tampered_online_store_is_found(station: Station) -> None:
    climate = station.project.views[0]
    with Days(station, LIVE + DAY) as days:
        forged = pa.table(
            {
                "site": ["S1"],
                "observed_at": pa.array([LIVE + 10 * HOUR], pa.timestamp("us", tz="UTC")),
                "published_at": pa.array([LIVE - HOUR], pa.timestamp("us", tz="UTC")),
                "heat": [99.0],
            }
        )
        station.online.write(climate, forged)
        days.pass_by()
        days.all_drained()
    found = compared(station)
    assert found.predictions == 96
    assert 0 < found.differing < found.cells
    assert found.columns == ("climate__heat",)


def test_one_wrong_value_is_one_differing_cell(station: Station) -> None:
    answer(station, 1)
    ingest_new(station, LIVE + DAY)
    assert compared(station).differing == 0
    rows = station.tables.read("predictions").slice(0, 1)
    vector = rows["vector"][0].as_py()
    wrong = [*vector[:2], np.nextafter(vector[2], np.inf), *vector[3:]]
    at = rows.column_names.index("vector")
    station.tables.append("predictions", rows.set_column(at, "vector", [pa.array([wrong])]))
    found = compared(station)
    assert (found.differing, found.columns) == (1, ("climate__heat",))


def test_the_first_differences_are_shown_with_both_values(station: Station) -> None:
    answer(station, 1)
    ingest_new(station, LIVE + DAY)
    rows = station.tables.read("predictions").slice(0, 1)
    vector = rows["vector"][0].as_py()
    at = rows.column_names.index("vector")
    lost = pa.array([[*vector[:2], math.nan, *vector[3:]]])
    station.tables.append("predictions", rows.set_column(at, "vector", lost))
    found = compared(station)
    assert not found.passed
    (example,) = found.examples
    assert (example.prediction, example.asked_at) == (rows["id"][0].as_py(), rows["at"][0].as_py())
    assert (example.column, example.logged, example.offline) == ("climate__heat", None, vector[2])
    assert example.cause == TOO_LATE


def test_the_questions_of_the_rehearsal_give_the_keys(station: Station) -> None:
    answer(station, 1)
    ingest_new(station, LIVE + DAY)
    assert compare_logged(station) == compared(station)
    assert compare_logged(station).predictions == 96


def without_rehearsal(station: Station) -> Station:
    station.__dict__["project"] = replace(station.project, rehearsal=None)
    return station


def test_keys_that_neither_log_nor_rehearsal_has_leave_columns_unchecked(station: Station) -> None:
    answer(station, 1)
    ingest_new(station, LIVE + DAY)
    found = compare_logged(without_rehearsal(station))
    assert (found.predictions, found.cells, found.passed) == (96, 0, True)
    assert found.unchecked == ("climate__heat", "pump_day__fail_share", "pump_day__runs")


@pytest.mark.slow
def test_keys_that_the_model_was_given_are_read_from_the_log(fresh: Path) -> None:
    rewrite(fresh, ('COLUMNS = ("load",', 'COLUMNS = ("pump", "site", "load",'))
    station = open_station(fresh)
    ring = Ring(station)
    ring.ingest(LIVE - HOUR)
    ring.first_model()
    answer(station, 1)
    ingest_new(station, LIVE + DAY)
    found = compare_logged(without_rehearsal(station))
    assert (found.predictions, found.cells, found.differing) == (96, 96 * VIEW_COLUMNS, 0)
    assert found.unchecked == ()
    rows = station.tables.read("predictions").slice(0, 1)
    vector = rows["vector"][0].as_py()
    new_pump = rows.set_column(
        rows.column_names.index("vector"), "vector", [pa.array([[math.nan, *vector[1:]]])]
    )
    station.tables.append("predictions", new_pump.set_column(0, "id", pa.array(["new"])))
    found = compare_logged(without_rehearsal(station))
    about_the_site_alone = 1
    assert (found.cells, found.differing) == (96 * VIEW_COLUMNS + about_the_site_alone, 0)


@pytest.mark.parametrize("numbers", [[1.0, 2.0], [1.5, 2.0], [1e300, -(2.0**63), 2.0**63], [math.nan, -0.0]])
def test_logged_numbers_come_back_as_they_were(numbers: list[float]) -> None:
    found = _decoded(Column("load", optional=True), np.array(numbers))
    np.testing.assert_array_equal(numbers_in(pa.table({"load": found}), Column("load")), numbers)


@pytest.mark.slow
def test_what_a_transform_computed_is_computed_again(fresh: Path) -> None:
    rewrite(fresh, *WITH_TRANSFORM)
    station = open_station(fresh)
    ring = Ring(station)
    ring.ingest(LIVE - HOUR)
    ring.first_model()
    answer(station, 1)
    ingest_new(station, LIVE + DAY)
    found = compare_logged(station)
    assert (found.predictions, found.cells, found.differing) == (96, 96 * (VIEW_COLUMNS + 1), 0)
    rows = station.tables.read("predictions").slice(5, 1)
    vector = rows["vector"][0].as_py()
    wrong = pa.array([[*vector[:-1], vector[-1] + 1]])
    at = rows.column_names.index("vector")
    station.tables.append("predictions", rows.set_column(at, "vector", wrong))
    assert compare_logged(station).columns == ("effort__per_degree",)


def test_predictions_without_known_keys_are_passed_over(station: Station) -> None:
    answer(station, 1)
    keys = rehearsal_of(station).questions().select(["event_id", "pump", "site"]).slice(0, 0)
    assert compare_logged(station, keys, id_column="event_id") == Parity(0, 0, 0, ())


# the leak test: what comes after a prediction has no part in it


def _known_at(station: Station, moment: datetime) -> dict[str, pa.Table]:
    """The tables as they would be had everything that was published later been deleted."""
    return {
        table.name: station.tables.read(table.name, where=[("published_at", "<=", moment)])
        for table in station.project.tables
    }


@pytest.mark.slow
def test_deleting_everything_after_a_prediction_leaves_its_features_unchanged(played: Station) -> None:
    rows = played.tables.read("predictions")
    chosen = rows.take(np.random.default_rng(3).choice(rows.num_rows, 20, replace=False))
    keys = rehearsal_of(played).questions().select(["event_id", "pump", "site"])
    for at in range(chosen.num_rows):
        row = chosen.slice(at, 1)
        moment = row["at"][0].as_py()
        spine = keys.filter(pc.equal(keys["event_id"], row["id"][0])).append_column("at", row["at"])
        known = _known_at(played, moment)
        views = [bind(view, known[view.source]) for view in played.project.views]
        signature = load_model(played, played.version(row["version"][0].as_py())).signature
        joined = point_in_time_join(spine, views, at="at")
        for place, column in enumerate(signature.columns):
            if column.view:
                then = joined[column.name].cast(pa.float64()).to_numpy()
                np.testing.assert_array_equal(then, vectors_of(row, len(signature.columns))[:, place])


def test_what_happens_later_changes_no_feature_of_the_training_set(station: Station) -> None:
    questions = station.tables.read("events", where=[("asked_at", "<", LIVE - 5 * DAY)])
    known = _known_at(station, LIVE - 5 * DAY)
    everything = {table.name: station.tables.read(table.name) for table in station.project.tables}
    joined = [
        point_in_time_join(
            questions, [bind(view, rows[view.source]) for view in station.project.views], at="asked_at"
        )
        for rows in (known, everything)
    ]
    assert joined[0].num_rows > 1_000
    assert joined[0].equals(joined[1])
    assert joined[0]["climate__heat"].null_count < joined[0].num_rows / 5
    assert timedelta(0) < max(questions["asked_at"].to_pylist()) - LIVE + 6 * DAY
