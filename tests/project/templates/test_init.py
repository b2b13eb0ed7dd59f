from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from esteira.base.clock import EPOCH, to_micros
from esteira.base.settings import load_settings
from esteira.data.checks import validate
from esteira.features.point_in_time import point_in_time_join
from esteira.project.loader import load_project
from esteira.project.running import bind
from esteira.project.templates import FLIGHTS, FolderNotEmpty, lay_down, write_template
from esteira.serving.runtimes import open_runtime

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.project.definition import Project, Rehearsal

HOUR = timedelta(hours=1)
FEBRUARY = datetime(2013, 2, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return load_project(lay_down(tmp_path_factory.mktemp("flights") / "delay") / "flights.py")


def rehearsal(project: Project) -> Rehearsal:
    assert project.rehearsal is not None
    return project.rehearsal


# laying down


def test_a_template_is_a_project_folder(tmp_path: Path) -> None:
    folder = lay_down(tmp_path / "delay")
    assert sorted(path.name for path in folder.iterdir()) == ["esteira.toml", "flights.py", "sources.py"]
    settings = load_settings(folder, {})
    assert settings.project.name == "flight-delay"
    assert (folder / settings.project.file).is_file()
    assert (FLIGHTS / "flights.py").read_bytes() == (folder / "flights.py").read_bytes()


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(FolderNotEmpty, match="is not empty; choose another name"):
        lay_down(tmp_path)
    with pytest.raises(FolderNotEmpty):
        lay_down(tmp_path / "mine.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_settings_come_last_so_that_half_a_template_is_no_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(
        "esteira.project.templates.write_atomic", lambda path, content: written.append(path.name)
    )
    write_template(tmp_path)
    assert written == ["flights.py", "sources.py", "esteira.toml"]


# the flights' sources


def test_each_source_publishes_what_satisfies_its_checks_but_for_a_few(flights: Project) -> None:
    for source in flights.tables:
        rows = source.read(FEBRUARY, FEBRUARY + timedelta(days=3))
        if source.name in {"planes", "airports"}:
            assert rows.num_rows == 0  # known before the year began
            rows = source.read(EPOCH, FEBRUARY)
        checked = validate(rows, source.checks, FEBRUARY)
        assert checked.good.num_rows > 0.9 * rows.num_rows > 0, source.name


def test_a_row_is_published_in_one_range_only(flights: Project) -> None:
    source = flights.tables[0]
    day = [source.read(FEBRUARY + hour * HOUR, FEBRUARY + (hour + 1) * HOUR) for hour in range(24)]
    whole = source.read(FEBRUARY, FEBRUARY + 24 * HOUR)
    assert pa.concat_tables(day).equals(whole)
    assert whole.num_rows > 500


def test_a_landing_is_published_on_the_full_hour_after_it(flights: Project) -> None:
    rows = flights.tables[0].read(EPOCH, FEBRUARY)
    late = np.asarray(rows["published_at"].cast(pa.int64())) - np.asarray(rows["landed_at"].cast(pa.int64()))
    assert late.min() >= 0
    assert late.max() < 3_600_000_000
    assert not (np.asarray(rows["published_at"].cast(pa.int64())) % 3_600_000_000).any()


def test_a_flight_is_asked_about_one_to_two_hours_before_it_should_leave(flights: Project) -> None:
    rows = rehearsal(flights).questions()
    ahead = pc.subtract(rows["scheduled_at"].cast(pa.int64()), rows["asked_at"].cast(pa.int64())).to_numpy()
    assert ahead.min() >= 3_600_000_000
    assert ahead.max() < 2 * 3_600_000_000
    assert rows.num_rows == 336_776


def test_the_weather_of_an_hour_is_known_one_hour_later(flights: Project) -> None:
    rows = flights.tables[1].read(EPOCH, FEBRUARY)
    assert pc.all(pc.equal(rows["published_at"], pc.add(rows["observed_at"], pa.scalar(HOUR)))).as_py()


# a tiny run of its steps


def known(flights: Project, until: datetime) -> dict[str, pa.Table]:
    return {
        table.name: validate(table.read(EPOCH, until), table.checks, until).good for table in flights.tables
    }


@pytest.fixture(scope="module")
def made(flights: Project) -> dict[str, Any]:
    """What each step makes of a week of January."""
    until = datetime(2013, 1, 8, tzinfo=UTC)
    tables = known(flights, until)
    values: dict[str, Any] = {**tables, "until": until}
    values |= {view.name: bind(view, tables[view.source]) for view in flights.views}
    for step in flights.steps:
        given = {name: values[name] for name in step.parameters if name in values}
        if "holdout_days" in step.parameters:
            given["holdout_days"] = 2
        values[step.name] = step(**given)
    return values


def test_the_steps_make_models_that_tell_late_flights_from_others(
    flights: Project, made: dict[str, Any]
) -> None:
    rows = made["holdout"]
    for name in (flights.model, flights.baseline):
        scores = open_runtime(made[name]).predict(made[name].signature.encode_table(rows))
        assert ((scores > 0) & (scores < 1)).all()
    late = rows["late"].cast("int8").to_numpy() > 0
    scores = open_runtime(made["model"]).predict(made["model"].signature.encode_table(rows))
    assert scores[late].mean() > scores[~late].mean()


def test_no_row_is_in_both_parts_and_none_is_lost(made: dict[str, Any]) -> None:
    parts = made["train"]["flight_id"].to_pylist() + made["holdout"]["flight_id"].to_pylist()
    assert sorted(parts) == sorted(made["questions"]["flight_id"].to_pylist())
    assert max(made["train"]["asked_at"].to_pylist()) < min(made["holdout"]["asked_at"].to_pylist())


def test_every_view_supplies_its_features(flights: Project, made: dict[str, Any]) -> None:
    questions = made["questions"]
    for view in flights.views:
        for column in view.columns:
            assert questions[column].null_count < questions.num_rows, column
    assert {column.view for column in made["model"].signature.columns} == {
        "",
        *(view.name for view in flights.views),
    }


def test_deleting_all_that_comes_after_a_question_leaves_its_features_unchanged(
    flights: Project, made: dict[str, Any]
) -> None:
    questions = made["questions"]
    columns = [column for view in flights.views for column in view.columns]
    for at in np.random.default_rng(5).choice(questions.num_rows, 6, replace=False).tolist():
        row = questions.slice(at, 1)
        tables = known(flights, row["asked_at"][0].as_py())
        views = [bind(view, tables[view.source]) for view in flights.views]
        alone = point_in_time_join(row.drop_columns(columns), views, at="asked_at")
        assert alone.select(columns).to_pylist() == row.select(columns).to_pylist()
        assert to_micros(row["asked_at"][0].as_py()) % 3_600_000_000 == 0
