from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.serving.shadow.asked import AT, ROW, Shadows, mirrored
from tests.serving.worlds import tree_model

from esteira.base.errors import UnknownName
from esteira.registry.columns import WrongInput
from esteira.registry.signature import Column, Signature
from esteira.serving.gateway import Asked
from esteira.serving.http.formats import UnfitRows
from esteira.serving.shadow.doors import work_of

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.serving.mirroring.messages import Mirrored

INPUTS = [
    {"name": "miles", "shape": [1], "datatype": "FP64", "data": [100]},
    {"name": "carrier", "shape": [1], "datatype": "BYTES", "data": ["UA"]},
]
TURNED = Signature((Column("carrier", "category", ("UA",)), Column("miles")), "late")


def vector(shadows: Shadows, request: Mirrored) -> list[Any]:
    loaded = shadows.versions.find("late", "next", 2)
    work = work_of(Asked("late", loaded, "next", 1, "f1", "ana", AT, 0.0), request)
    return [None if math.isnan(value) else value for value in work.vector()]


@pytest.fixture
def shadows(tmp_path: Path) -> Shadows:
    return Shadows(tmp_path, tree_model(-2.0))


def test_every_format_of_every_protocol_is_read(shadows: Shadows) -> None:
    binary = [{**INPUTS[0], "parameters": {"binary_data_size": 8}}, INPUTS[1]]
    del binary[0]["data"]
    head = json.dumps({"inputs": binary}).encode()
    for request in (
        mirrored({"inputs": ROW}),
        mirrored({"dataframe_records": [ROW]}, header="application/json; charset=utf-8"),
        mirrored(b"miles,carrier\n100,UA\n", header="text/csv"),
        mirrored({"inputs": INPUTS}, "oip"),
        mirrored(head + np.array([100.0]).tobytes(), "oip", str(len(head))),
    ):
        assert vector(shadows, request) == [100.0, 1.0, None]


def test_a_call_of_grpc_is_read(shadows: Shadows) -> None:
    pytest.importorskip("grpc")
    from tests.serving.rpc.callers import inference

    arrays = {"miles": np.array([100.0]), "carrier": np.array(["UA"], object)}
    request = mirrored(inference(arrays).SerializeToString(), "grpc")
    assert vector(shadows, request) == [100.0, 1.0, None]


def test_a_request_is_read_by_the_signature_of_the_version_that_is_asked(tmp_path: Path) -> None:
    turned = Shadows(tmp_path, tree_model(-2.0, TURNED))
    assert vector(turned, mirrored({"dataframe_records": [ROW]})) == [0.0, 100.0]
    assert vector(turned, mirrored({"inputs": INPUTS}, "oip")) == [0.0, 100.0]


def test_what_the_version_needs_and_the_request_has_not_is_refused(tmp_path: Path) -> None:
    more = Signature((Column("miles"), Column("gust")), "late")
    shadows = Shadows(tmp_path, tree_model(-2.0, more))
    with pytest.raises(UnfitRows, match="gust"):
        vector(shadows, mirrored({"dataframe_records": [ROW]}))
    with pytest.raises(WrongInput, match="miles"):
        vector(shadows, mirrored({"inputs": [{**INPUTS[0], "datatype": "BYTES", "data": ["far"]}]}, "oip"))


def test_what_no_door_knows_is_refused(shadows: Shadows) -> None:
    with pytest.raises(UnknownName, match="protocol"):
        vector(shadows, mirrored({}, "smtp"))
    with pytest.raises(UnfitRows, match="image/png"):
        vector(shadows, mirrored({}, header="image/png"))
