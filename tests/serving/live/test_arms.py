from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from tests.serving.worlds import NOON, PLAIN, VIEWED, tree_model, tree_score, tree_text

from esteira.base.clock import to_micros
from esteira.base.errors import BadInput, CorruptArtifact, EsteiraError, UnknownName
from esteira.features.online import OnlineReader
from esteira.features.stores import open_store
from esteira.features.views import FeatureView
from esteira.pipelines.artifacts import ArtifactStore
from esteira.registry.bundle import Model
from esteira.registry.signature import Column, Signature, WrongInput
from esteira.serving.combining import fallback
from esteira.serving.costs import Cost
from esteira.serving.decoders import RowDecoder
from esteira.serving.live.arms import FeaturesUnreadable, LoadedArm, LoadedModel, SuppliedByView, load_arm
from esteira.serving.routes import Arm

if TYPE_CHECKING:
    from pathlib import Path

AT = to_micros(NOON)


class Echo:
    """A runtime whose score is the sum of what is there."""

    def predict_row(self, row: list[float]) -> float:
        return float(np.nansum(row))

    def predict(self, matrix: Any) -> Any:
        return np.array([self.predict_row(row) for row in matrix.tolist()])


def arm_of(signature: Signature, reader: OnlineReader | None = None) -> LoadedArm:
    model = Model("echo", signature, {})
    loaded = LoadedModel(model, Echo(), None, reader, RowDecoder(signature), Cost())
    return LoadedArm(Arm("champion", 3, "ab", 1.0), loaded)


def weather(visib: float = 9.0, view: str = "weather", keys: tuple[str, ...] = ("origin",)) -> OnlineReader:
    store = open_store("memory:")
    rows = pa.table({**{key: ["JFK"] for key in keys}, "event_ts": [NOON], "visib": [visib]})
    store.write(FeatureView(view, keys, ("visib",), "weather"), rows)
    return OnlineReader(store, VIEWED.views)


def test_a_request_becomes_the_row_of_the_signature() -> None:
    values = {"miles": 500, "carrier": "UA", "gust": 3.5}
    assert arm_of(PLAIN).encode(dict(values), AT) == PLAIN.encode_row(values)


def test_what_is_optional_may_be_left_out() -> None:
    row = arm_of(PLAIN).encode({"miles": 500, "carrier": "new"}, AT)
    assert row[0] == 500.0
    assert all(map(math.isnan, row[1:]))


def test_features_are_read_by_key() -> None:
    assert arm_of(VIEWED, weather()).encode({"miles": 5, "origin": "JFK"}, AT) == [5.0, 9.0]


@pytest.mark.parametrize("origin", ["LGA", None, ""])
def test_features_of_nobody_are_missing(origin: str | None) -> None:
    row = arm_of(VIEWED, weather()).encode({"miles": 5, "origin": origin}, AT)
    assert math.isnan(row[1])


def test_an_absent_key_is_named() -> None:
    with pytest.raises(WrongInput, match=r"'origin' must be given.*null when unknown"):
        arm_of(VIEWED, weather()).encode({"miles": 5}, AT)


def test_a_key_of_a_wrong_type_is_named() -> None:
    with pytest.raises(BadInput, match="'origin'"):
        arm_of(VIEWED, weather()).encode({"miles": 5, "origin": 1.5}, AT)


def test_a_column_that_nobody_knows_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'miles'"):
        arm_of(PLAIN).encode({"milez": 5, "carrier": "UA"}, AT)


def test_a_feature_that_the_gateway_reads_itself_is_not_taken_from_a_request() -> None:
    with pytest.raises(SuppliedByView, match="leave it out"):
        arm_of(VIEWED, weather()).encode({"miles": 5, "origin": "JFK", "weather__visib": 1.0}, AT)


@pytest.mark.parametrize(
    ("values", "column"),
    [
        ({"carrier": "UA"}, "miles"),
        ({"miles": None, "carrier": "UA"}, "miles"),
        ({"miles": "far", "carrier": "UA"}, "miles"),
        ({"miles": math.nan, "carrier": "UA"}, "miles"),
        ({"miles": math.inf, "carrier": "UA"}, "miles"),
        ({"miles": [1.0], "carrier": "UA"}, "miles"),
        ({"miles": 1.0, "carrier": 7}, "carrier"),
        ({"miles": 1.0}, "carrier"),
        ({"miles": 10**400, "carrier": "UA"}, "too large"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(values: dict[str, Any], column: str) -> None:
    with pytest.raises(BadInput, match=column):
        arm_of(PLAIN).encode(values, AT)


def test_stored_features_that_do_not_fit_the_model_are_not_the_callers_fault() -> None:
    reader = OnlineReader(store := open_store("memory:"), VIEWED.views)
    rows = pa.table({"plane": ["JFK"], "event_ts": [NOON], "visib": [1.0]})
    store.write(FeatureView("weather", ("plane",), ("visib",), "weather"), rows)
    with pytest.raises(FeaturesUnreadable, match="weather") as refused:
        arm_of(VIEWED, reader).encode({"miles": 5, "origin": "JFK"}, AT)
    assert not isinstance(refused.value, BadInput)


def test_another_name_for_a_loaded_version_shares_its_model() -> None:
    loaded = arm_of(PLAIN)
    other = loaded.serving(Arm("challenger", 4, "ab", 0.5))
    assert other.runtime is loaded.runtime
    assert (other.arm.name, other.version) == ("challenger", "4")
    assert loaded.arm.name == "champion"


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(f"file:{tmp_path}/artifacts")


def loaded(artifacts: ArtifactStore, model: Model) -> LoadedArm:
    arm = Arm("champion", 1, artifacts.put(model).digest, 1.0)
    return load_arm(arm, artifacts.folder, lambda views: OnlineReader(open_store("memory:"), views))


def test_a_bundle_is_loaded_by_its_digest(artifacts: ArtifactStore) -> None:
    arm = loaded(artifacts, tree_model(-1.0))
    assert arm.platform == "lightgbm"
    assert arm.fields == ("miles", "carrier", "gust")
    assert arm.runtime.predict_row([1.0, 0.0, 0.0]) == tree_score(-1.0)


def test_a_bundle_with_views_names_the_keys_that_a_request_carries(artifacts: ArtifactStore) -> None:
    assert loaded(artifacts, tree_model(-1.0, VIEWED)).fields == ("miles", "origin")


def test_a_bundle_whose_bytes_changed_is_corrupt(artifacts: ArtifactStore) -> None:
    digest = artifacts.put(tree_model(-1.0)).digest
    text = artifacts.folder(digest) / "model.txt"
    text.write_bytes(text.read_bytes().replace(b"threshold=500", b"threshold=501"))
    with pytest.raises(CorruptArtifact, match="bundle of version 1"):
        load_arm(Arm("champion", 1, digest, 1.0), artifacts.folder, lambda _: pytest.fail("no views"))


def test_a_bundle_that_is_not_there_is_refused(artifacts: ArtifactStore) -> None:
    with pytest.raises(EsteiraError):
        load_arm(Arm("champion", 1, "0" * 64, 1.0), artifacts.folder, lambda _: pytest.fail("no views"))


def test_a_bundle_of_an_unknown_runtime_is_refused_with_the_nearest(artifacts: ArtifactStore) -> None:
    model = Model("lightgmb", PLAIN, {"model.txt": tree_text(-1.0, 3)})
    with pytest.raises(UnknownName, match="'lightgbm'"):
        loaded(artifacts, model)


def refusing_missing(*columns: Column) -> Model:
    classifier = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    return Model("sklearn", Signature(columns, "late"), {"model.skops": skops.io.dumps(classifier)})


def test_a_model_that_can_never_see_a_missing_value_need_not_bear_one(artifacts: ArtifactStore) -> None:
    assert loaded(artifacts, refusing_missing(Column("a"))).fields == ("a",)


def test_a_model_that_cannot_bear_what_it_may_see_is_not_served(artifacts: ArtifactStore) -> None:
    with pytest.raises(EsteiraError, match="NaN"):
        loaded(artifacts, refusing_missing(Column("a", optional=True)))


def test_where_nobody_waits_for_one_row_members_have_no_deadline(tmp_path: Path) -> None:
    model = fallback({"deep": tree_model(-1.0), "fast": tree_model(-2.0)}, deadlines_ms={"deep": 1e-6})
    artifacts = ArtifactStore(f"file:{tmp_path}")
    arm = Arm("champion", 1, artifacts.put(model).digest, 1.0)
    row = PLAIN.encode_row({"miles": 100, "carrier": "UA"})
    patient = load_arm(arm, artifacts.folder, lambda _: pytest.fail("no views"), is_patient=True)
    assert patient.runtime.predict_row(row) == tree_score(-1.0)
    assert not patient.may_wait
