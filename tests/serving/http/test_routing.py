from __future__ import annotations

import pytest

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
        ("/push/readings", "POST", "", ""),
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
