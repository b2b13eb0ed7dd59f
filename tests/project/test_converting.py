from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.project.worlds import answer

from esteira.base.errors import BadInput, NotFound
from esteira.monitoring.prediction_log import vectors_of
from esteira.project.converting import convert_version, recorded_rows
from esteira.project.registering import Papers, register_alone
from esteira.project.release import load_model
from esteira.project.rescoring import Rescorer
from esteira.serving.conversions.parity import Limits, ParityFailed, TooFewRows
from esteira.serving.conversions.port import NotConvertible
from esteira.training.trainers import fit

if TYPE_CHECKING:
    from esteira.project.station import Station


@pytest.fixture
def answered(station: Station) -> Station:
    """A station whose champion was asked for two days."""
    answer(station, 2)
    return station


def line_of(station: Station) -> int:
    """A straight line through what was recorded, registered beside the trees."""
    rows = station.tables.read("predictions")
    signature = load_model(station, station.version(1)).signature
    matrix = vectors_of(rows, len(signature.columns))
    import pyarrow as pa

    words = [signature.decode_row(row) for row in matrix.tolist()]
    table = pa.table({name: [row[name] for row in words] for name in signature.names})
    table = table.append_column(signature.target, pa.array((matrix[:, 0] > 50).astype("int8")))
    model = fit("sklearn:", table, signature, seed=7)
    return register_alone(station, "test", model, Papers("a line", {})).version


def test_trees_become_compiled_trees_that_serve_nothing_yet(answered: Station) -> None:
    before = answered.routes.get("pump")
    found = convert_version(answered, 1, "lleaves", Limits(), rows=150)
    version, source = found.version, answered.version(1)
    assert (version.version, found.source) == (2, 1)
    assert found.parity.rows == 150
    assert found.parity.greatest < 1e-12
    assert found.changed["runtime"] == ("lightgbm", "lleaves")
    assert answered.routes.get("pump") == before
    assert answered.routes.known("pump")[2] == version.digest
    model = load_model(answered, version)
    assert (model.runtime, model.facts["converted_from"]) == ("lleaves", source.digest)
    assert Rescorer(answered).can_score(1, 2)


def test_its_papers_are_those_of_the_version_and_say_where_it_comes_from(answered: Station) -> None:
    version, source = convert_version(answered, 1, "lleaves", Limits()).version, answered.version(1)
    own = {name: value for name, value in source.tags.items() if name.startswith("esteira.")}
    assert own.keys() >= {"esteira.reference", "esteira.gates", "esteira.dataset"}
    assert version.tags.items() >= own.items()
    assert version.tags["esteira.converted_from"] == "1"
    assert version.metrics == source.metrics
    reasons = [each.reason for each in answered.audit.events() if each.action == "model.register"]
    assert any(reason.startswith("version 1 converted to lleaves, 0 apart on") for reason in reasons)


def test_the_same_conversion_again_is_the_same_version(answered: Station) -> None:
    first = convert_version(answered, 1, "lleaves", Limits()).version
    assert convert_version(answered, 1, "lleaves", Limits()).version.version == first.version


def test_a_line_becomes_a_graph_judged_on_what_the_trees_were_asked(answered: Station) -> None:
    number = line_of(answered)
    found = convert_version(answered, number, "onnx", Limits())
    assert found.parity.greatest < 1e-12
    assert found.changed["runtime"] == ("sklearn", "onnx")


def test_the_newest_recorded_rows_are_taken_as_the_version_asks_for_them(answered: Station) -> None:
    rows = answered.tables.read("predictions").sort_by([("at", "descending"), ("id", "ascending")])
    width = len(load_model(answered, answered.version(1)).signature.columns)
    np.testing.assert_array_equal(recorded_rows(answered, 1, 10), vectors_of(rows.slice(0, 10), width))
    assert len(recorded_rows(answered, 1, 10**6)) == rows.num_rows


def test_a_version_that_was_asked_too_little_is_not_converted(station: Station) -> None:
    assert recorded_rows(station, 1, 10).shape[0] == 0
    with pytest.raises(TooFewRows, match="found 0; let the gateway answer more requests"):
        convert_version(station, 1, "lleaves", Limits())
    assert len(station.registry.versions("pump")) == 1


def test_what_cannot_be_converted_changes_nothing(answered: Station) -> None:
    before = len(answered.audit.events())
    with pytest.raises(NotConvertible, match="only scikit-learn"):
        convert_version(answered, 1, "onnx", Limits())
    with pytest.raises(BadInput, match="number of rows, found 0"):
        convert_version(answered, 1, "lleaves", Limits(), rows=0)
    with pytest.raises(NotFound):
        convert_version(answered, 9, "lleaves", Limits())
    with pytest.raises(ParityFailed):
        convert_version(answered, line_of(answered), "onnx", Limits(tolerance=0.0))
    assert [each.version for each in answered.registry.versions("pump")] == [1, 2]  # the line
    assert len(answered.audit.events()) == before + 1
