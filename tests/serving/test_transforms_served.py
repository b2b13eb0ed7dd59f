"""Models with transforms, trained and served: no test of one file, but of the way between two rooms."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from tests.serving.worlds import NOON, World

from esteira.base.clock import to_micros
from esteira.base.errors import UnknownName
from esteira.features.online import OnlineReader
from esteira.features.point_in_time import point_in_time_join
from esteira.features.stores import open_store
from esteira.features.transforms.on_demand import on_demand
from esteira.features.views import BoundView, FeatureView
from esteira.pipelines.artifacts import ArtifactStore
from esteira.registry.columns import WrongInput
from esteira.registry.signature import infer_signature
from esteira.serving.live.arms import ComputedByTransform, LoadedArm, SuppliedByView, load_arm
from esteira.serving.routes import Arm
from esteira.training.trainers import fit

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.registry.bundle import Model

ORIGINS = ("EWR", "JFK", "LGA")
WEATHER = FeatureView("weather", ("origin",), ("visib",), "weather", event_time="hour")


@on_demand(inputs={"minute": float, "weather__visib": float, "carrier": str})
def rush(minute: float, weather__visib: float, carrier: str) -> dict[str, Any]:
    late_hour = minute >= 960 and carrier != "B6"
    load = log1p(minute) / (1 + weather__visib)  # noqa: F821 - a word of the subset
    return {"is_rush": late_hour, "load": load, "unused": minute}


def weather_rows() -> pa.Table:
    hours = [NOON - timedelta(hours=1)] * len(ORIGINS)
    return pa.table({"origin": ORIGINS, "hour": hours, "visib": [0.1, 7.3, None]})


def training_set(rows: int = 300) -> pa.Table:
    drawn = np.random.default_rng(7)
    minutes = drawn.integers(0, 1440, rows)
    questions = pa.table(
        {
            "asked_at": [NOON + timedelta(minutes=int(each)) for each in range(rows)],
            "origin": drawn.choice([*ORIGINS, "MIA"], rows),
            "minute": minutes,
            "carrier": drawn.choice(["AA", "B6", "UA"], rows),
            "late": minutes + drawn.normal(0, 200, rows) > 900,
        }
    )
    return point_in_time_join(questions, [BoundView(WEATHER, weather_rows())], at="asked_at")


def model(url: str, table: pa.Table) -> Model:
    """A model that sees the outputs of the transform and the minute; carrier and weather it does not."""
    signature = infer_signature(
        table,
        "late",
        columns=("minute", "rush__is_rush", "rush__load"),
        views=(WEATHER.ref(),),
        on_demand=(rush.ref(),),
    )
    return fit(url, table, signature, seed=1)


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return training_set()


def served(trained: Model, folder: Path) -> LoadedArm:
    artifacts = ArtifactStore(f"file:{folder}/artifacts")
    store = open_store("memory:")
    store.write(WEATHER, weather_rows())
    arm = Arm("champion", 1, artifacts.put(trained).digest, 1.0)
    return load_arm(arm, artifacts.folder, lambda views: OnlineReader(store, views))


@pytest.mark.parametrize("url", ["lightgbm:", "sklearn:"])
def test_a_request_is_the_row_of_the_training_set_to_the_bit(
    url: str, table: pa.Table, tmp_path: Path
) -> None:
    trained = model(url, table)
    arm = served(trained, tmp_path)
    assert arm.signature == trained.signature
    matrix = trained.signature.encode_table(rush.apply(table))
    scores = arm.runtime.predict(matrix).tolist()
    for row, expected, score in zip(table.to_pylist(), matrix, scores, strict=True):
        request = {name: row[name] for name in ("minute", "carrier", "origin")}
        encoded = arm.encode(request, to_micros(row["asked_at"]))
        assert np.array(encoded).tobytes() == expected.tobytes()
        assert arm.runtime.predict_row(encoded) == score
    assert np.isnan(matrix[:, 2]).any()
    assert set(matrix[:, 1]) == {0.0, 1.0}


@pytest.fixture
def arm(table: pa.Table, tmp_path: Path) -> LoadedArm:
    return served(model("lightgbm:", table), tmp_path)


REQUEST = {"minute": 1000, "carrier": "UA", "origin": "JFK"}


def test_what_only_a_transform_needs_is_asked_of_the_caller(arm: LoadedArm) -> None:
    assert arm.fields == ("minute", "carrier", "origin")
    for name in REQUEST:
        with pytest.raises(WrongInput, match=f"'{name}' must be"):
            arm.encode({key: value for key, value in REQUEST.items() if key != name}, to_micros(NOON))


def test_what_the_gateway_computes_or_reads_itself_is_not_taken_from_a_request(arm: LoadedArm) -> None:
    with pytest.raises(
        ComputedByTransform, match="'rush__load' is computed by the transform 'rush'; leave it out"
    ):
        arm.encode({**REQUEST, "rush__load": 1.0}, to_micros(NOON))
    with pytest.raises(SuppliedByView, match="'weather__visib' is read from the feature view 'weather'"):
        arm.encode({**REQUEST, "weather__visib": 1.0}, to_micros(NOON))
    with pytest.raises(UnknownName, match="unknown column 'rush__unused'"):
        arm.encode({**REQUEST, "rush__unused": 1.0}, to_micros(NOON))


def test_the_gateway_says_what_to_send_and_takes_it_in_every_protocol(
    table: pa.Table, tmp_path: Path
) -> None:
    world = World(tmp_path)
    world.online.write(WEATHER, weather_rows())
    world.deploy(model("lightgbm:", table))
    inputs = json.loads(world.get("/v2/models/late").body)["inputs"]
    assert [(each["name"], each["datatype"]) for each in inputs] == [
        ("minute", "FP64"),
        ("carrier", "BYTES"),
        ("origin", "BYTES"),
    ]
    tensors = [
        {"name": name, "datatype": "FP64" if name == "minute" else "BYTES", "shape": [1], "data": [value]}
        for name, value in REQUEST.items()
    ]
    inferred = world.post("/v2/models/late/infer", json.dumps({"inputs": tensors}).encode())
    score = json.loads(inferred.body)["outputs"][0]["data"][0]
    named = world.post("/invocations", json.dumps({"inputs": REQUEST}).encode())
    typed = world.post("/invocations", b"minute,carrier,origin\n1000,UA,JFK\n", {"content-type": "text/csv"})
    assert json.loads(named.body) == json.loads(typed.body) == {"predictions": [score]}
