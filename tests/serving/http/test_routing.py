from __future__ import annotations

import pytest

from esteira.serving.access.roles import ADMIN, EVERY_MODEL
from esteira.serving.http.messages import Route
from esteira.serving.http.routing import resolve


@pytest.mark.parametrize(
    ("path", "methods", "model", "version"),
    [
        ("/v2", "GET", "", ""),
        ("/v2/", "GET", "", ""),
        ("/v2/health/live", "GET", "", ""),
        ("/v2/health/ready", "GET", "", ""),
        ("/v2/models/late", "GET", "late", ""),
        ("/v2/models/late/ready", "GET", "late", ""),
        ("/v2/models/late/infer", "POST", "late", ""),
        ("/v2/models/late/versions/3", "GET", "late", "3"),
        ("/v2/models/late/versions/3/ready", "GET", "late", "3"),
        ("/v2/models/late/versions/3/infer", "POST", "late", "3"),
        ("/v2/models/versions/infer", "POST", "versions", ""),
        ("/invocations", "POST", "", ""),
        ("/ping", "GET", "", ""),
        ("/health", "GET", "", ""),
        ("/version", "GET", "", ""),
        ("/labels", "POST", "", ""),
        ("/metrics", "GET", "", ""),
        ("/features", "GET POST", "", ""),
        ("/features/weather", "GET POST", "", ""),
        ("/push", "GET", "", ""),
        ("/v2/repository/index", "POST", "", ""),
        ("/v2/repository/models/late/load", "POST", "late", ""),
        ("/v2/repository/models/late/unload", "POST", "late", ""),
        ("/push/readings", "POST", "", ""),
        ("/openapi.json", "GET", "", ""),
        ("/v2/models/late/openapi.json", "GET", "late", ""),
        ("/v2/models/late/versions/3/openapi.json", "GET", "late", "3"),
    ],
)
def test_every_path_of_the_protocols_has_its_method(
    path: str, methods: str, model: str, version: str
) -> None:
    route = resolve(path)
    assert route is not None
    assert list(route.handlers) == methods.split()
    assert (route.model, route.version) == (model, version)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1/models/late",
        "/v2/models",
        "/v2/models/",
        "/v2/models//infer",
        "/v2/models/late/",
        "/v2/models/late/versions",
        "/v2/models/late/versions/",
        "/v2/models/late/versions/3/",
        "/v2/models/late/versions/3/infer/",
        "/v2/models/late/explain",
        "/v2/models/late/infer/x",
        "/metrics/",
        "/push/",
        "/push/readings/",
        "/v2/repository",
        "/v2/repository/index/",
        "/v2/repository/models",
        "/v2/repository/models/late",
        "/v2/repository/models//load",
        "/v2/repository/models/late/load/",
        "/v2/repository/models/late/versions/3/load",
        "/v2/repository/models/late/reload",
        "/features/",
        "//v2",
        "/../etc/passwd",
    ],
)
def test_nothing_else_is_there(path: str) -> None:
    assert resolve(path) is None


def test_only_what_waits_for_the_disk_says_so() -> None:
    push, labels = resolve("/push/readings"), resolve("/labels")
    assert push is not None
    assert labels is not None
    assert (push.table, push.waits, labels.waits) == ("readings", True, False)
    for path in ("/v2/repository/models/late/load", "/v2/repository/models/late/unload"):
        change = resolve(path)
        assert change is not None
        assert change.waits


def test_a_route_that_does_not_say_whom_it_answers_answers_administrators_of_every_model() -> None:
    route = Route("oip", {})
    assert (route.need, route.about) == (ADMIN, EVERY_MODEL)


def test_a_path_with_a_model_is_about_that_model() -> None:
    for path in ("/v2/models/late", "/v2/models/late/versions/3/infer", "/v2/repository/models/late/load"):
        route = resolve(path)
        assert route is not None
        assert route.about == route.model == "late"


def test_a_path_that_is_too_long_leads_nowhere_and_is_not_kept() -> None:
    assert resolve("/v2/models/" + "m" * 2_000 + "/infer") is not None
    assert resolve("/v2/models/" + "m" * 3_000 + "/infer") is None
