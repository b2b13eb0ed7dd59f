from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from esteira.base.errors import BadInput, UnknownName
from esteira.data.checks import Fresh, NotNull
from esteira.features.views import FeatureView
from esteira.pipelines.step import step
from esteira.project.definition import (
    Project,
    Rehearsal,
    TableSource,
    drift,
    performance,
)

if TYPE_CHECKING:
    from datetime import datetime


@step
def train() -> int:
    return 1


@step
def holdout() -> int:
    return 1


@step
def model() -> int:
    return 1


def nothing(since: datetime, until: datetime) -> pa.Table:
    return pa.table({})


def project(**parts: Any) -> Project:
    return Project(**{"name": "late", "steps": [train, holdout, model], **parts})


FLIGHTS = TableSource("flights", nothing)
WEATHER = FeatureView("weather", ("origin",), ("temp",), "flights")
PAST = Rehearsal(lambda: pa.table({}), "id", "at", "flights", "late", "landed", timedelta(hours=1))


def test_a_project_needs_no_more_than_its_three_steps() -> None:
    found = project()
    assert (found.model, found.holdout, found.training_set, found.baseline) == (
        "model",
        "holdout",
        "train",
        "",
    )
    assert found.retrain.on == "alert"
    assert found.rollout.steps == 3


def test_without_steps_there_are_features_alone() -> None:
    found = project(steps=[], tables=[FLIGHTS], views=[WEATHER])
    assert [view.name for view in found.views] == ["weather"]
    with pytest.raises(UnknownName, match="table"):
        project(steps=[], tables=[], views=[WEATHER])


@pytest.mark.parametrize("name", ["", "two words", "é", "../up", "a/b"])
def test_a_name_that_no_store_could_keep_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="only letters, digits"):
        project(name=name)


@pytest.mark.parametrize("role", ["model", "holdout", "training_set", "baseline"])
def test_a_role_that_no_step_plays_is_named_with_its_neighbour(role: str) -> None:
    with pytest.raises(UnknownName, match="unknown step 'modle'; did you mean 'model'"):
        project(**{role: "modle"})


def test_a_view_over_a_table_that_nobody_fills_is_refused() -> None:
    with pytest.raises(UnknownName, match=r"table \(source of view 'weather'\) 'flights'; known: none"):
        project(views=[WEATHER])


def test_answers_that_nobody_publishes_are_refused() -> None:
    with pytest.raises(UnknownName, match="answers of the rehearsal"):
        project(rehearsal=PAST)
    assert project(rehearsal=PAST, tables=[FLIGHTS]).rehearsal == PAST


@pytest.mark.parametrize("name", ["predictions", "labels", "flights_quarantine"])
def test_a_table_that_the_ring_keeps_itself_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="choose another name"):
        project(tables=[TableSource(name, nothing)])


def test_a_table_without_source_takes_pushes_and_needs_a_schema() -> None:
    schema = pa.schema({"at": pa.timestamp("us", "UTC")})
    assert TableSource("readings", schema=schema, checks=(NotNull(("at",)),)).read is None
    with pytest.raises(BadInput, match="needs a `read`, or a `schema`"):
        TableSource("readings")
    with pytest.raises(BadInput, match="drop Fresh, which judges whole batches"):
        TableSource("readings", schema=schema, checks=(Fresh("at", timedelta(hours=1)),))


def test_nothing_is_named_twice() -> None:
    with pytest.raises(BadInput, match="two are the table 'flights'"):
        project(tables=[FLIGHTS, FLIGHTS])
    with pytest.raises(BadInput, match="two are the view 'weather'"):
        project(tables=[FLIGHTS], views=[WEATHER, WEATHER])
    assert project(tables=[FLIGHTS], views=[WEATHER, replace(WEATHER, version=2)]).views


def test_a_metric_is_watched_once_and_drift_is_watched_once() -> None:
    assert project(monitors=[drift(), performance("roc_auc"), performance("brier")]).monitors
    with pytest.raises(BadInput, match="two are the monitor of 'brier'"):
        project(monitors=[performance("brier"), performance("brier", window=timedelta(days=1))])
    with pytest.raises(BadInput, match="two are the monitor of 'drift'"):
        project(monitors=[drift(), drift()])


def test_an_unknown_metric_is_refused_where_it_is_written() -> None:
    with pytest.raises(UnknownName, match="did you mean 'roc_auc'"):
        performance("rocauc")
