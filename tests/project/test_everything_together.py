"""A project of late events in a window, a view of text, a transform, encodings and a choice of columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.project.worlds import DAY, HOUR, LIVE, Days, answer, copy_of, lay

from esteira.base.digest import digest_folder
from esteira.monitoring.prediction_log import vectors_of
from esteira.project.datasets import find_manifest
from esteira.project.feed import OnlineFeed
from esteira.project.parity import Parity, compare_logged
from esteira.project.proofs import find_leaks, verify_features
from esteira.project.rebuilding import compare, rebuild
from esteira.project.release import judge_and_register, load_model, train
from esteira.project.reproduce import reproduce
from esteira.project.rescoring import Rescorer
from esteira.project.ring import Ring
from esteira.project.rollouts.rolling import deploy
from esteira.project.station import open_station
from esteira.project.tracing import trace_prediction
from esteira.project.watch import watch

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.project.station import Station

EFFORT = """
@on_demand(inputs={"load": float, "climate__heat": float, "climate__sky": str, "pump": str})
def effort(load, climate__heat, climate__sky, pump):
    if climate__sky == "red" and load > 50:
        strain = load * coalesce(climate__heat, 20)
    else:
        strain = -load
    return {"per_degree": load / climate__heat, "strain": strain, "is_first": pump in ("P0", "P1")}


@step
def worth(train: pa.Table, seed: int = 7) -> SelectionReport:
    return select_features(train, signature_of(train), seed=seed)


def signature_of(train: pa.Table, columns: tuple[str, ...] = COLUMNS) -> Signature:"""
SKY = 'np.array(["red", "grey: b", None], object)[chance.integers(0, 3, len(at))]'
WORTHY = 'tuple(name for name in COLUMNS if name in worth.kept or "__" in name)'  # firmware never varies
ENCODE = 'encode={"climate__sky": Target(), "load": Robust()}'
PLAIN_ENCODE = 'encode={"climate__sky": OneHot(), "effort__strain": Robust(impute=True)}'
LIGHTGBM = 'return fit("lightgbm:", train, signature_of(train)'
SKLEARN = 'return fit("sklearn:", train, signature_of(train), '
SERVED = "*(column for view in VIEWS for column in view.columns))"
CHANGES = (
    ("from esteira.features import BoundView,", "from esteira.features import on_demand, BoundView,"),
    (
        "from esteira.training import fit,",
        "from esteira.training import OneHot, Robust, SelectionReport, Target, fit, select_features,",
    ),
    (SERVED, f'{SERVED[:-1]}, "effort__per_degree", "effort__strain", "effort__is_first")'),
    ("def signature_of(train: pa.Table) -> Signature:", EFFORT.lstrip()),
    (
        "columns=COLUMNS, views=tuple(view.ref() for view in VIEWS)",
        "columns=columns, views=tuple(v.ref() for v in VIEWS), on_demand=(effort.ref(),)",
    ),
    ('features=("heat",)', 'features=("heat", "sky")'),
    ('"heat": pa.array(heat,', f'"sky": {SKY}, "heat": pa.array(heat,'),
    ('"fail_share": Mean("failed")})', '"fail_share": Mean("failed")}, created="published_at")'),
    ("def model(train: pa.Table,", "def model(train: pa.Table, worth: SelectionReport,"),
    (LIGHTGBM, f"columns = {WORTHY}\n    {LIGHTGBM[:-1]}, columns)"),
    ("threads=1, max_rounds=40)", f"threads=1, max_rounds=40, {ENCODE})"),
    (SKLEARN, f"{SKLEARN}{PLAIN_ENCODE}, "),
    ("holdout, model, baseline]", "holdout, worth, model, baseline]"),
)
ASKED = 96  # in a day
SERVED_COLUMNS = 7  # climate: heat, sky; pump_day: runs, fail_share; effort: three


@pytest.fixture(scope="module")
def asked(empty_registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Station:
    """Trained, deployed, and asked through a gateway for a day."""
    folder = lay(tmp_path_factory.mktemp("together") / "pump", *CHANGES)
    (folder / ".esteira").mkdir()
    (folder / ".esteira" / "mlflow.db").write_bytes(empty_registry.read_bytes())
    station = open_station(folder)
    ring = Ring(station)
    ring.ingest(LIVE - HOUR)
    ring.first_model()
    with Days(station, LIVE + DAY) as days:
        days.pass_by()
        days.all_drained()
        assert days.client.answers.failed == 0
    feed = OnlineFeed(station.project.views, station.online, station.ledger)
    feed.catch_up(station.tables, station.clock.now())
    return station


@pytest.mark.slow
def test_what_was_served_is_what_the_tables_say_to_the_bit(asked: Station) -> None:
    assert compare_logged(asked) == Parity(ASKED, ASKED * SERVED_COLUMNS, 0, ())
    assert verify_features(asked).passed
    rows = asked.tables.read("predictions")
    np.testing.assert_array_equal(Rescorer(asked).scores(rows, 1), rows["score"].to_numpy())


@pytest.mark.slow
def test_drift_is_watched_in_raw_values_whatever_the_encodings(asked: Station, tmp_path: Path) -> None:
    station = copy_of(asked.settings.root, tmp_path / "pump")
    answer(station, 3)
    watched = {alert.subject for alert, _ in watch(station, station.clock.now()) if alert.monitor == "drift"}
    assert {*load_model(station, station.version(1)).signature.names} <= watched


@pytest.mark.slow
def test_nothing_leaks_and_no_view_shows_what_was_not_published(asked: Station) -> None:
    found = find_leaks(asked, cutoffs=3)
    assert (found.passed, found.risks) == (True, ())


@pytest.mark.slow
def test_the_training_set_and_the_model_are_made_again_with_equal_bytes(asked: Station) -> None:
    manifest = find_manifest(asked)
    assert {name: view.as_known for name, view in manifest.views.items()} == {
        "climate": True,
        "pump_day": True,
    }
    assert rebuild(asked, manifest).equal
    assert reproduce(asked, 1).equal
    assert load_model(asked, asked.version(1)).signature.names[:2] == ("load", "climate__heat")
    prediction = asked.tables.read("predictions")["id"][0].as_py()
    saw = trace_prediction(asked, prediction).features
    assert saw["climate__sky"] in ("red", "grey: b", None)
    assert saw["effort__is_first"] in (0.0, 1.0)


@pytest.mark.slow
def test_versions_of_other_encodings_score_each_others_predictions(asked: Station, tmp_path: Path) -> None:
    copied = copy_of(asked.settings.root, tmp_path / "pump")
    path = copied.settings.root / "pumps.py"
    path.write_text(path.read_text().replace(ENCODE, 'encode={"climate__sky": OneHot()}'))
    station = open_station(copied.settings.root, actor="test")
    judge_and_register(station, train(station))
    deploy(station, 2, "other encodings")
    one, other = (load_model(station, station.version(number)) for number in (1, 2))
    assert (one.native_signature.names, one.signature) != (other.native_signature.names, other.signature)
    rows, rescorer = station.tables.read("predictions"), Rescorer(station)
    matrix = vectors_of(rows, len(one.signature.columns))
    again = other.signature.recode(one.signature.recode(matrix, other.signature), one.signature)
    np.testing.assert_array_equal(again, matrix)
    assert np.isfinite(rescorer.scores(rows, 2)).all()
    for model, number in ((one, 1), (other, 2)):
        (tmp_path / str(number)).mkdir()
        model.save(tmp_path / str(number))
        assert digest_folder(tmp_path / str(number)) == station.version(number).digest
    moved = compare(station, find_manifest(station, "1"), find_manifest(station, "2")).moved
    assert moved.equal or moved.tables  # the same rows, or those of newer tables
