from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.serving.worlds import NOON, VIEWED, Kept, World, deployment, open_guard, tree_model

from esteira.base.clock import to_micros
from esteira.base.errors import ServiceUnreachable
from esteira.features.views import FeatureView
from esteira.serving.access.guard import NotAuthenticated
from esteira.serving.gateway import Gateway
from esteira.serving.http.messages import Pending, Request
from esteira.serving.http.routing import route_of
from esteira.serving.http.site import Site
from esteira.serving.lanes import Refused
from esteira.serving.live.routes import LiveLimits

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.base.records import Prediction
    from esteira.serving.telemetry.port import Exchange

GOOD = (
    b'{"inputs":[{"name":"miles","shape":[1],"datatype":"FP64","data":[100]},'
    b'{"name":"carrier","shape":[1],"datatype":"BYTES","data":["UA"]}]}'
)
OPTIONAL_NAN = b'{"name":"gust","shape":[1],"datatype":"FP64","data":[NaN]},'
INVOCATION = b'{"inputs":{"miles":1,"carrier":"UA"}}'
PATHS = ["/v2/models/late/infer", "/v2/models/late/versions/1/infer", "/invocations", "/labels"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("site"))
    world.deploy(tree_model(-1.0))
    return world


class Broken(Kept):
    """A sink that raises what it was given."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, record: Prediction | Any) -> None:
        raise self.error


def breaking(world: World, error: Exception) -> Site:
    gateway = Gateway(
        world.live,
        Broken(error),
        Kept(),
        world.clock,
        world.metrics,
        features=world.gateway.features,
        pushes=world.gateway.pushes,
        default_model="late",
    )
    return Site(gateway, open_guard(), max_body_bytes=1000)


@pytest.mark.parametrize("path", ["/", "/nowhere", "/v2/models", "/v2/models/late/explain"])
def test_a_path_that_is_not_there_is_not_found(world: World, path: str) -> None:
    response = world.get(path)
    assert response.status == 404
    assert "GET /v2" in json.loads(response.body)["error"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v2/models/late/infer", "POST"),
        ("DELETE", "/v2/models/late", "GET"),
        ("POST", "/v2/health/live", "GET"),
        ("PUT", "/labels", "POST"),
        ("HEAD", "/metrics", "GET"),
        ("PATCH", "/invocations", "POST"),
    ],
)
def test_a_wrong_method_is_told_the_right_one(world: World, method: str, path: str, allowed: str) -> None:
    response = world.site.handle(method, path, {}, b"")
    assert response.status == 405
    assert response.headers == (("allow", allowed),)


def test_a_body_over_the_limit_is_told_the_limit_in_its_protocols_shape(world: World) -> None:
    assert "4194304" in json.loads(world.site.too_large(Request(route_of("/labels"), {})).body)["error"]
    answer = json.loads(world.site.too_large(Request(route_of("/invocations"), {})).body)
    assert (answer["error_code"], "4194304" in answer["message"]) == ("BAD_REQUEST", True)
    assert world.site.too_large(Request(route_of("/nowhere"), {})).status == 413


def test_our_own_fault_is_500_without_a_trace(world: World, caplog: pytest.LogCaptureFixture) -> None:
    site = breaking(world, RuntimeError("secret path /srv/x"))
    for path, body in (
        (PATHS[0], GOOD),
        ("/invocations", b'{"inputs":{"miles":1,"carrier":"UA"}}'),
    ):
        response = site.handle("POST", path, {}, body)
        assert response.status == 500
        assert b"secret" not in response.body
        assert b"Traceback" not in response.body
    assert "secret path" in caplog.text


def test_a_store_that_fails_is_503_and_the_log_says_once_which(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    site = breaking(world, ServiceUnreachable("the feature store", "redis://10.0.0.7", "timeout"))
    for _ in range(3):
        response = site.handle("POST", PATHS[0], {}, GOOD)
        assert (response.status, b"10.0.0.7" in response.body) == (503, False)
    response = site.handle("POST", "/invocations", {}, b'{"inputs":{"miles":1,"carrier":"UA"}}')
    assert json.loads(response.body)["error_code"] == "TEMPORARILY_UNAVAILABLE"
    assert ["10.0.0.7" in record.__dict__["reason"] for record in caplog.records] == [True]


def test_an_endless_name_comes_back_short(world: World) -> None:
    body = json.dumps({"inputs": {"x" * 100_000: 1}}).encode()
    assert len(world.post("/invocations", body).body) < 1500
    assert len(world.get("/v2/models/" + "x" * 100_000).body) < 1500


def test_requests_are_counted_by_who_answered_and_how(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.deploy(tree_model(-1.0))
    world.post("/v2/models/late/infer", GOOD)
    world.post("/v2/models/late/infer", b"{")
    world.post("/invocations", b"{")
    world.get("/nowhere/" + "x" * 100)
    found = world.metrics.read()
    assert found["esteira_requests_total"] == {
        ("late", "1", "champion", "oip", "200"): [1.0],
        ("", "", "", "oip", "400"): [1.0],
        ("", "", "", "mlflow", "400"): [1.0],
        ("", "", "", "oip", "404"): [1.0],
    }
    assert sum(found["esteira_request_duration_seconds"]["late", "oip"][:-1]) == 1
    assert sum(found["esteira_predict_duration_seconds"]["late", "1"][:-1]) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
DATATYPES = st.sampled_from(["FP64", "INT32", "BOOL", "BYTES", "FP99"])
TENSORS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["miles", "carrier", "gust", "score"]) | st.text(max_size=4),
        "shape": st.lists(st.integers(-1, 3), max_size=3),
        "datatype": DATATYPES,
        "data": st.lists(JSON, max_size=3),
    }
)
DOCUMENTS = JSON | st.one_of(
    st.fixed_dictionaries(
        {"inputs": st.lists(TENSORS, max_size=4)}, optional={"id": JSON, "parameters": JSON}
    ),
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("dataframe_split", "dataframe_records", "instances", "inputs"), JSON)
    ),
    st.fixed_dictionaries({"inputs": st.dictionaries(st.sampled_from(["miles", "carrier"]), JSON)}),
    st.lists(st.fixed_dictionaries({"id": st.text(), "value": JSON}, optional={"observed_at": JSON})),
)
HEADERS = st.dictionaries(
    st.sampled_from(["content-type", "x-esteira-key", "x-esteira-id"]), st.text(max_size=20), max_size=2
)


def is_answered(world: World, path: str, headers: dict[str, str], body: bytes) -> None:
    response = world.site.handle("POST", path, headers, body)
    assert response.status in {200, 202, 400, 404, 413, 415}, (response, body)
    assert b"Traceback" not in response.body


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(path=st.sampled_from(PATHS), headers=HEADERS, document=DOCUMENTS)
def test_no_document_breaks_the_gateway(
    world: World, path: str, headers: dict[str, str], document: object
) -> None:
    is_answered(world, path, headers, json.dumps(document).encode())


@settings(max_examples=200, deadline=None)
@given(path=st.sampled_from(PATHS), body=st.binary(max_size=60))
@example(PATHS[0], GOOD.replace(b"100", b"9" * 5000))
@example(PATHS[0], GOOD.replace(b"100", b"1e999"))
@example(PATHS[0], GOOD.replace(b'"UA"', b'"\\ud800"'))
@example(PATHS[0], GOOD.replace(b'{"inputs"', b'{"id":"\\ud800","inputs"'))
@example(PATHS[0], b'{"parameters":{"key":"\\udfff"},"inputs":[NaN')
@example(PATHS[2], b'{"inputs":{"miles":NaN,"carrier":"\\ud800"}}')
@example(PATHS[3], b'[{"id":"\\ud800","value":NaN}]')
@example(PATHS[3], b'[{"id":"\\ud800","value":1}]')
@example(PATHS[0], GOOD.replace(b'{"inputs":[', b'{"id":"\\ud800","inputs":[' + OPTIONAL_NAN))
def test_no_bytes_break_the_gateway(world: World, path: str, body: bytes) -> None:
    is_answered(world, path, {}, body)


@pytest.mark.parametrize("path", PATHS)
def test_a_good_body_cut_anywhere_is_refused(world: World, path: str) -> None:
    body = {"/labels": b'[{"id":"a","value":1}]', "/invocations": b'{"inputs":{"miles":1,"carrier":"UA"}}'}
    whole = body.get(path, GOOD)
    assert world.site.handle("POST", path, {}, whole).status in {200, 202}
    for keep in range(len(whole)):
        assert world.site.handle("POST", path, {}, whole[:keep]).status == 400


def test_ten_thousand_wrong_rows_are_one_short_answer(world: World, caplog: pytest.LogCaptureFixture) -> None:
    body = json.dumps({"dataframe_records": [{"miles": "x" * 1000}] * 3000}).encode()
    with caplog.at_level(logging.DEBUG, "esteira"):
        response = world.post("/invocations", body)
    assert response.status == 400
    assert len(response.body) < 300
    assert caplog.records == []


class Heard:
    """An observer that keeps what it hears."""

    name, dropped = "heard", 0

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []

    def answered(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)

    def close(self) -> None:
        """Nothing is open."""


def test_whoever_watches_hears_who_answered_and_nothing_that_a_client_chose(world: World) -> None:
    heard = Heard()
    site = Site(world.gateway, open_guard(), max_body_bytes=1000, observers=[heard])
    body = b'{"inputs":{"miles":[1,2],"carrier":["UA","AA"]},"params":{"name":"Ana"}}'
    headers = {"x-esteira-id": "ana-silva", "traceparent": "00-ab-cd-01"}
    assert site.handle("POST", "/invocations", headers, body, query="name=ana").status == 200
    site.handle("GET", "/v2/models/ana-silva/versions/7", {}, b"")
    site.handle("GET", "/ana-silva", {}, b"")
    scored, absent, nowhere = heard.exchanges
    assert (scored.route, scored.status, scored.model, scored.version, scored.rows) == (
        "/invocations",
        200,
        "late",
        "1",
        2,
    )
    assert (scored.bytes_in, scored.traceparent) == (len(body), "00-ab-cd-01")
    assert 0 < scored.predict_seconds < scored.seconds
    assert (absent.route, absent.status, absent.model) == ("/v2/models/{model}/versions/{version}", 404, "")
    assert (nowhere.route, nowhere.status) == ("", 404)
    assert "ana" not in repr(heard.exchanges).lower()


def test_a_model_that_is_not_in_memory_is_brought_and_asked(tmp_path: Path) -> None:
    world = World(tmp_path, LiveLimits(memory_bytes=1 << 30))
    world.routes.set(deployment(world.artifacts, tree_model(-1.0)))
    world.live.refresh()
    assert dict(world.live.models) == {}
    assert world.post("/invocations", b'{"inputs":{"miles":1,"carrier":"UA"}}').status == 200
    assert list(world.live.models) == ["late"]
    assert world.post("/v2/models/early/infer", GOOD).status == 404


def test_the_guard_is_asked_before_anything_is_read(world: World) -> None:
    class Closed:
        def caller(self, need: str, about: str, headers: Any) -> None:
            raise NotAuthenticated

    site, before = Site(world.gateway, Closed(), max_body_bytes=1000), len(world.predictions.records)
    for path in (PATHS[0], "/invocations", "/v2/models/nobody"):
        response = site.handle("GET" if "nobody" in path else "POST", path, {}, b"not json")
        assert response.status == 401
        assert response.headers == (("www-authenticate", "Bearer"),)
    assert len(world.predictions.records) == before


def test_a_failure_after_the_model_was_found_is_counted_as_that_models(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.deploy(tree_model(-1.0))
    world.live.models["late"].champion.runtime = None  # whatever breaks in a model
    assert world.post(PATHS[0], GOOD).status == 500
    counted = world.metrics.read()["esteira_requests_total"]
    assert counted[("late", "1", "champion", "oip", "500")] == [1.0]


def test_what_a_version_did_not_answer_is_logged_with_who_asked_and_why(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.deploy(tree_model(-1.0))
    world.live.models["late"].champion.runtime = None  # whatever breaks in a model
    assert (
        world.post("/invocations", INVOCATION, {"x-esteira-id": "f1", "x-esteira-key": "ana"}).status == 500
    )
    (failed,) = world.failures.records
    assert failed[:8] == ("f1", to_micros(NOON), "late", 1, "champion", 1, "ana", 500)
    assert failed.reason.startswith("AttributeError: ")
    assert 0 < failed.latency < 5


def test_features_that_cannot_be_read_are_a_failure_before_the_model_was_asked(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.deploy(tree_model(-1.0, VIEWED))
    view = FeatureView("weather", ("origin",), ("wind",), "weather")  # another one by now
    world.online.write(view, pa.table({"origin": ["JFK"], "event_ts": [NOON], "wind": [7.5]}))
    assert world.post("/invocations", b'{"inputs":{"miles":1,"origin":"JFK"}}').status == 503
    (failed,) = world.failures.records
    assert (failed.status, failed.version) == (503, 1)
    assert failed.reason.startswith("FeaturesUnreadable: ")


def test_what_the_caller_did_wrong_and_what_there_was_no_room_for_is_no_failure_of_a_version(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    world.deploy(tree_model(-1.0))
    assert world.post("/invocations", b'{"inputs":{"miles":"far","carrier":"UA"}}').status == 400
    assert world.post("/v2/models/nobody/infer", GOOD).status == 404
    begun = world.site.begin(Request(route_of(PATHS[0]), {}, GOOD))
    assert isinstance(begun, Pending)
    assert world.site.fail(begun, Refused(429, "7 requests wait", 1, "full")).status == 429
    assert world.failures.records == []
