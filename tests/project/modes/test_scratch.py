from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.project.modes.conftest import ROWS
from tests.project.scored import lay_late
from tests.serving.worlds import tree_model

from esteira.base.errors import BadInput, NotFound
from esteira.project.modes import batch, online, streaming
from esteira.project.modes.measured import compared
from esteira.project.modes.scratch import SOURCE, Scratch, choose, lay_scratch
from esteira.project.station import Station, open_station
from esteira.registry.bundle import Model
from esteira.registry.columns import Column
from esteira.registry.signature import Signature
from esteira.registry.tensors import TensorSignature, TensorSpec

if TYPE_CHECKING:
    from pathlib import Path


def made(folder: Path) -> dict[str, bytes]:
    """All that a project holds, but for the registry, which keeps its own counsel."""
    paths = (each for each in folder.rglob("*") if each.is_file())
    return {
        str(each): each.read_bytes()
        for each in paths
        if "mlflow" not in each.name and ".db-" not in each.name
    }


def aside(folder: Path, station: Station, version: int | None = None, rows: int = 20) -> Scratch:
    folder.mkdir()
    return lay_scratch(folder, station, choose(station, version), rows)


def test_the_project_aside_has_the_version_its_rows_and_stores_of_its_own(
    laid: Station, tmp_path: Path
) -> None:
    before = made(laid.settings.root)
    scratch = aside(tmp_path / "aside", laid, 2, ROWS)
    assert made(laid.settings.root) == before
    stores = {
        name: scratch.settings.store(name) for name in ("tables", "state", "artifacts", "online", "audit")
    }
    assert all(str(scratch.folder) in url for url in stores.values())
    assert scratch.settings.project.name == "late"
    table = scratch.tables.read(SOURCE)
    assert table.to_pylist() == [*scratch.rows]
    assert (len(scratch.rows), scratch.recorded, scratch.at) == (ROWS, 0, "")
    assert {*table["carrier"].to_pylist()} <= {"AA", "UA"}


def test_the_champion_is_chosen_or_the_version_that_is_named(laid: Station) -> None:
    assert choose(laid, None).version == 1
    assert choose(laid, 2).model.files != choose(laid, 1).model.files


def test_what_cannot_be_chosen_is_said_with_the_mend(laid: Station, fresh: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="9"):
        choose(laid, 9)
    with pytest.raises(NotFound, match="esteira deploy N"):
        choose(open_station(fresh), None)
    spec = TensorSpec("x", "FP32", (-1, 2))
    tensors = Model("onnx", Signature((), "y"), {}, tensors=TensorSignature((spec,), (spec,)))
    with pytest.raises(BadInput, match=r"takes tensors.*esteira bench serving"):
        choose(lay_late(tmp_path / "tensors", tensors), None)


@pytest.mark.slow
def test_a_model_with_views_finds_the_same_features_in_every_mode(
    station: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "_PACED_S", 0.1)
    before = made(station.settings.root)
    scratch = aside(tmp_path / "aside", station, rows=60)
    assert scratch.at == "asked_at"
    found = [batch.measure(scratch), online.measure(scratch, 1, 2), streaming.measure(scratch)]
    beside = compared(found)
    assert (beside.differing, [each.missing for each in beside.modes]) == (0, [0, 0, 0])
    assert len({*found[0].scores.tolist()}) > 5
    assert made(station.settings.root) == before
    columns = choose(station, None).model.signature.columns
    vectors = np.array(scratch.tables.read("bench_stream", columns=["vector"])["vector"].to_pylist())
    of_views = vectors[:, [bool(column.view) for column in columns]]
    assert of_views.shape[1] > 0
    assert np.isfinite(of_views).mean() > 0.5  # the features were found, and not missing alike everywhere


def test_a_column_that_scoring_adds_is_left_out_of_what_batch_keeps(
    tmp_path: Path, empty_registry: Path
) -> None:
    signature = Signature((Column("miles"), Column("score"), Column("version")), "late")
    station = lay_late(tmp_path / "late", tree_model(0.5, signature))
    (station.settings.home / "mlflow.db").write_bytes(empty_registry.read_bytes())
    found = batch.measure(aside(tmp_path / "aside", station))
    assert np.isfinite(found.scores).all()
