"""Bodies that nobody should send, to the site in this process: each has its answer, and so has the next."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.serving.worlds import World, tree_model, tree_score

from esteira.serving.http.formats import rows_of_json

if TYPE_CHECKING:
    from esteira.serving.http.messages import Response

INFER = "/v2/models/late/infer"
HEADER = "inference-header-content-length"
ROW = {"miles": 100, "carrier": "UA"}
DATATYPES = ["FP64", "FP32", "FP16", "INT64", "INT8", "UINT8", "BOOL", "BYTES", "FP128", "", "fp64", "BF16"]
ODD_NUMBERS = ["1e999", "-1e999", "1" + "0" * 400, "0." + "0" * 400 + "1", "-0", "1e-400", "NaN", "-Infinity"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("fuzz"))
    world.deploy(tree_model(-1.0))
    return world


def is_answered(world: World, response: Response, *statuses: int) -> None:
    """One of the statuses, a short word without a trace, and the next request as if nothing had been."""
    assert response.status in (statuses or (200, 400)), response.body[:300]
    assert b"Traceback" not in response.body
    assert b'File "' not in response.body
    if response.status >= 400:
        assert len(response.body) < 4000
    good = world.post("/invocations", json.dumps({"inputs": [ROW]}).encode())
    assert json.loads(good.body) == {"predictions": [tree_score(-1.0)]}


def text_tensor(*texts: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def binary(world: World, document: object, raw: bytes, length: object = None) -> Response:
    head = json.dumps(document).encode()
    return world.post(INFER, head + raw, {HEADER: str(len(head) if length is None else length)})


def binary_document(miles: bytes, carrier: bytes, **changes: Any) -> dict[str, Any]:
    first = {
        "name": "miles",
        "shape": [1],
        "datatype": "FP64",
        "parameters": {"binary_data_size": len(miles)},
    }
    second = {
        "name": "carrier",
        "shape": [1],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(carrier)},
    }
    return {"inputs": [first | changes, second]}


MILES, CARRIER = np.array([100.0], "<f8").tobytes(), text_tensor(b"UA")


def test_a_good_binary_request_is_answered(world: World) -> None:
    response = binary(world, binary_document(MILES, CARRIER), MILES + CARRIER)
    assert response.status == 200, response.body
    assert json.loads(response.body)["outputs"][0]["data"] == [tree_score(-1.0)]


sizes = st.integers(-3, 40) | st.sampled_from([2**31, 2**32, 2**63, -(2**63), 10**30])
lengths = sizes | st.sampled_from(["", "x", "1.5", "-1", "+3", " 3", "٣", "0x10", "1_0", "9" * 5000])


@given(
    raw=st.binary(max_size=40),
    shape=st.lists(sizes, max_size=4),
    datatype=st.sampled_from(DATATYPES),
    size=sizes | st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    length=st.none() | lengths,
)
def test_no_binary_tensor_breaks_the_gateway(
    world: World, raw: bytes, shape: list[int], datatype: str, size: Any, length: Any
) -> None:
    changes = {"shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}}
    is_answered(world, binary(world, binary_document(MILES, CARRIER, **changes), raw + CARRIER, length))


@given(
    st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 8), max_size=4),
    st.binary(max_size=16),
    st.integers(0, 5),
)
def test_texts_that_lie_about_their_lengths_are_refused(
    world: World, prefixes: list[int], tail: bytes, count: int
) -> None:
    raw = b"".join(struct.pack("<I", prefix) for prefix in prefixes) + tail
    document = binary_document(MILES * count, raw, shape=[count])
    document["inputs"][1]["shape"] = [count]
    is_answered(world, binary(world, document, MILES * count + raw))


@given(st.data())
def test_a_binary_request_cut_anywhere_is_refused(world: World, data: st.DataObject) -> None:
    head = json.dumps(binary_document(MILES, CARRIER)).encode()
    whole = head + MILES + CARRIER
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    is_answered(world, world.post(INFER, cut, {HEADER: str(len(head))}), 400)


@pytest.mark.parametrize("path", [INFER, "/invocations", "/labels", "/features", "/v2/repository/index"])
@pytest.mark.parametrize(
    "opening", ["[", '{"a":', '{"inputs":', '{"inputs":[{"data":', '{"inputs":[{"name":"x","data":[']
)
def test_deep_json_is_refused(world: World, path: str, opening: str) -> None:
    closing = "".join({"[": "]", "{": "}"}[mark] for mark in reversed(opening) if mark in "[{")
    for body in (opening * 100_000, opening * 100_000 + "1" + closing * 100_000, opening + "[" * 100_000):
        is_answered(world, world.post(path, body.encode()), 400)


@pytest.mark.parametrize("number", ODD_NUMBERS)
def test_a_number_beyond_every_number_is_refused_or_read(world: World, number: str) -> None:
    for body in (
        f'{{"inputs": [{{"miles": {number}, "carrier": "UA"}}]}}',
        f'{{"inputs": {{"miles": [{number}], "carrier": ["UA"]}}}}',
        f'{{"instances": [[{number}]], "dataframe_records": []}}',
    ):
        is_answered(world, world.post("/invocations", body.encode()))
    data = f'{{"inputs":[{{"name":"miles","shape":[1],"datatype":"FP64","data":[{number}]}}]}}'
    is_answered(world, world.post(INFER, data.encode()), 400)
    shape = f'{{"inputs":[{{"name":"miles","shape":[{number}],"datatype":"FP64","data":[1]}}]}}'
    is_answered(world, world.post(INFER, shape.encode()), 400)


@given(st.binary(max_size=60))
def test_text_that_is_none_is_refused(world: World, odd: bytes) -> None:
    for before, after in ((b'{"inputs":[{"miles":1,"carrier":"', b'"}]}'), (b'{"inputs":{"', b'":[1]}}')):
        is_answered(world, world.post("/invocations", before + odd + after))
        is_answered(world, world.post("/invocations", odd, {"content-type": "text/csv"}))


def test_of_a_doubled_key_the_last_holds_as_everywhere(world: World) -> None:
    row = b'{"miles": 900, "miles": 100, "carrier": "UA"}'
    body = b'{"inputs": [{"miles": 900}], "inputs": [%s]}' % row
    assert json.loads(world.post("/invocations", body).body) == {"predictions": [tree_score(-1.0)]}


def test_very_many_rows_are_answered_and_one_wrong_one_among_them_is_named(world: World) -> None:
    count = 30_000
    ones = ", ".join(["1"] * (count - 1))
    body = f'{{"inputs": {{"miles": [{ones}, 1], "carrier": "UA"}}}}'.encode()
    response = world.post("/invocations", body)
    assert (response.status, len(json.loads(response.body)["predictions"])) == (200, count)
    wrong = world.post("/invocations", body.replace(b" 1]", b" null]"))
    is_answered(world, wrong, 400)
    assert f"row {count - 1}: column 'miles'".encode() in wrong.body


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20) | st.sampled_from(
    [
        "..",
        ".",
        "%",
        "%00",
        "%2e%2e%2fetc",
        "late%20",
        "late ",
        "a/b",
        "\0",
        "'; DROP TABLE routes; --",
        "x" * 9000,
    ]
)


@given(names, names)
def test_no_name_of_a_model_or_a_version_breaks_the_gateway(world: World, model: str, version: str) -> None:
    for made in (str, quote):
        for path in (
            f"/v2/models/{made(model)}",
            f"/v2/models/{made(model)}/ready",
            f"/v2/models/late/versions/{made(version)}",
            f"/v2/models/{made(model)}/openapi.json",
        ):
            is_answered(world, world.get(path), 200, 404)
        response = world.post(f"/v2/models/{made(model)}/infer", b"{}")
        is_answered(world, response, 400, 404, 405)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["miles", "carrier", "x"]), inner)
    ),
    max_leaves=8,
)
tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["miles", "carrier", "gust", "x"]),
        "shape": st.lists(sizes, max_size=3) | st.just([1]),
        "datatype": st.sampled_from(DATATYPES),
        "data": st.lists(json_values, max_size=3),
    },
    optional={
        "parameters": st.dictionaries(st.sampled_from(["binary_data_size", "content_type"]), json_values)
    },
)


@given(
    st.lists(tensors, max_size=4),
    st.dictionaries(st.sampled_from(["key", "priority"]), json_values),
    json_values,
)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_no_tensors_in_json_break_the_gateway(
    world: World, inputs: list[Any], parameters: Any, outputs: Any
) -> None:
    for document in (
        {"inputs": inputs, "parameters": parameters},
        {"inputs": inputs, "outputs": outputs},
        {"inputs": inputs, "outputs": [{"name": "score", "parameters": outputs}]},
    ):
        is_answered(world, world.post(INFER, json.dumps(document).encode()))


@given(st.sampled_from(["dataframe_split", "dataframe_records", "instances", "inputs"]), json_values)
def test_no_values_in_mlflows_formats_break_the_gateway(world: World, name: str, value: Any) -> None:
    is_answered(world, world.post("/invocations", json.dumps({name: value}).encode()))


@given(
    st.text(st.characters(max_codepoint=255), max_size=300),
    st.text(st.characters(max_codepoint=255), max_size=300),
)
def test_no_header_breaks_the_gateway(world: World, key: str, name: str) -> None:
    headers = {"x-esteira-key": key, "x-esteira-id": name, "content-type": name, HEADER: key}
    body = json.dumps({"inputs": [ROW]}).encode()
    is_answered(world, world.post("/invocations", body, headers), 200, 400, 415)
    is_answered(world, world.post(INFER, body, headers), 400)


cells = st.sampled_from([1, 100.5, -0.0, True, None, "UA", "ZZ", "", "7", [], {}, 10**400, 1e308])
near_rows = st.fixed_dictionaries(
    {"miles": cells, "carrier": cells}, optional={"gust": cells, "x": cells, "Miles": cells}
)
splits = st.fixed_dictionaries(
    {
        "columns": st.sampled_from(
            [["miles", "carrier", "gust"], ["miles", "carrier"], ["carrier", "miles"], None]
        ),
        "data": st.lists(st.lists(cells, min_size=2, max_size=3), max_size=3),
    },
    optional={"index": st.none() | st.lists(st.integers(0, 3), max_size=3), "x": cells},
)
near_bodies = st.dictionaries(
    st.sampled_from(["dataframe_split", "dataframe_records", "instances", "inputs", "params", "x"]),
    splits | st.lists(near_rows, max_size=3) | near_rows | cells,
    max_size=2,
)


@given(near_bodies)
@settings(max_examples=400)
def test_what_the_typed_reading_takes_the_exact_one_takes_with_the_same_numbers(
    world: World, document: dict[str, Any]
) -> None:
    arm, body = world.live.models["late"].champion, json.dumps(document).encode()
    typed = arm.decoder.numbers(body)
    if typed is not None:
        exact = [arm.encode(row, 0) for row in rows_of_json(body, arm.signature)]
        np.testing.assert_array_equal(np.array(typed), np.array(exact))
