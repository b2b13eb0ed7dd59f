from __future__ import annotations

from esteira.serving.http.messages import json_response


def test_a_value_becomes_json_with_its_headers() -> None:
    response = json_response(503, {"ready": False}, ("retry-after", "1"))
    assert (response.status, response.body) == (503, b'{"ready":false}')
    assert response.content_type == "application/json"
    assert response.headers == (("retry-after", "1"),)
    assert response.answer is None
