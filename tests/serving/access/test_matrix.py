"""Every route, asked with every kind of key, in both modes."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.worlds import NOON, World, tree_model

from esteira.base.clock import to_micros
from esteira.serving.access.guard import KEYS, OPEN, Guard
from esteira.serving.access.keys import KeyRing, KeyStore, digest_of, new_key
from esteira.serving.access.roles import ADMIN, NOBODY, OBSERVE, PREDICT, REPORT, ROLES, Caller
from esteira.serving.http import routing
from esteira.serving.http.routing import resolve
from esteira.serving.http.site import Site

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from esteira.serving.http.messages import Response

NOW = to_micros(NOON)

# path → the role it needs, whether a key for model `late` alone may have it, and one for `early` alone
ROUTES = {
    "/v2": (PREDICT, True, True),
    "/v2/": (PREDICT, True, True),
    "/v2/health/live": (NOBODY, True, True),
    "/v2/health/ready": (NOBODY, True, True),
    "/v2/repository/index": (OBSERVE, True, True),  # it names only the models of the key
    "/v2/repository/models/late/load": (ADMIN, True, False),
    "/v2/repository/models/late/unload": (ADMIN, True, False),
    "/v2/models/late": (PREDICT, True, False),
    "/v2/models/late/ready": (PREDICT, True, False),
    "/v2/models/late/infer": (PREDICT, True, False),
    "/v2/models/late/versions/1": (PREDICT, True, False),
    "/v2/models/late/versions/1/ready": (PREDICT, True, False),
    "/v2/models/late/versions/1/infer": (PREDICT, True, False),
    "/invocations": (PREDICT, True, False),  # the default model is late
    "/ping": (NOBODY, True, True),
    "/health": (NOBODY, True, True),
    "/version": (PREDICT, True, True),
    "/features": (PREDICT, False, False),  # features are of views: no model bounds them
    "/features/weather": (PREDICT, False, False),
    "/push": (REPORT, True, True),
    "/push/readings": (REPORT, True, True),
    "/labels": (REPORT, True, True),
    "/metrics": (OBSERVE, False, False),  # they tell of every model
    "/openapi.json": (NOBODY, True, True),  # of the routes, which are the same everywhere
    "/v2/models/late/openapi.json": (OBSERVE, True, False),
}


class Keys:
    """A gateway with two models, and a key of every kind in its store."""

    def __init__(self, root: Path) -> None:
        self.world = World(root)
        self.world.deploy(tree_model(-1.0))
        self.world.deploy(tree_model(-2.0), name="early")
        url, clock = self.world.settings.store("state"), self.world.clock
        self._store = KeyStore(url)
        self.texts = {"none": "", "wrong": new_key("unstored", [*ROLES], created=NOW)[1].text}
        for role in ROLES:
            self._add(role, [role])
            self._add(f"{role} late", [role], "lat?")
            self._add(f"{role} early", [role], "early")
        self._add("every role", [*ROLES])
        self._add("revoked", [*ROLES])
        self._add("expired", [*ROLES], expires=NOW + 1)
        self._store.revoke(self._store.get("revoked").id, NOW)
        ring = KeyRing(KeyStore(url), clock)
        ring.follow()
        clock.advance(timedelta(minutes=1))
        ring.follow()
        self.sites = {
            mode: Site(
                self.world.gateway,
                Guard(ring, mode, self.world.gateway.default),
                max_body_bytes=1000,
            )
            for mode in (OPEN, KEYS)
        }

    def _add(self, name: str, roles: list[str], *models: str, expires: int | None = None) -> None:
        key, secret = new_key(name.replace(" ", "-"), roles, models, created=NOW, expires=expires)
        self._store.add(key, secret)
        self.texts[name] = secret.text

    def ask(self, mode: str, method: str, path: str, key: str) -> Response:
        """What a caller hears who sends nothing but the key."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return self.sites[mode].handle(method, path, headers, b"")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


def expected(path: str, kind: str, mode: str) -> int:
    """401, 403, or 200 for whatever the handler says to an empty request."""
    need, for_late, for_early = ROUTES[path]
    if need == NOBODY or (mode == OPEN and need != ADMIN):
        return 200
    if kind in {"none", "wrong", "revoked", "expired"}:
        return 401
    if kind == "every role":
        return 200
    role, _, model = kind.partition(" ")
    is_for = {"": True, "late": for_late, "early": for_early}[model]
    return 200 if role == need and is_for else 403


@pytest.mark.parametrize("mode", [OPEN, KEYS])
@pytest.mark.parametrize("path", ROUTES)
def test_every_route_answers_each_kind_of_key_as_its_role_says(keys: Keys, path: str, mode: str) -> None:
    route = resolve(path)
    assert route is not None
    for method in route.handlers:
        heard = {kind: keys.ask(mode, method, path, text) for kind, text in keys.texts.items()}
        refused = {kind: each.status for kind, each in heard.items() if each.status in {401, 403}}
        wanted = {kind: expected(path, kind, mode) for kind in keys.texts}
        assert refused == {kind: status for kind, status in wanted.items() if status != 200}
        assert not any(each.status == 500 for each in heard.values())
        for kind, response in heard.items():
            assert (("www-authenticate", "Bearer") in response.headers) is (refused.get(kind) == 401)
            assert keys.texts[kind][12:].encode() not in response.body or kind == "none"


def test_the_matrix_leaves_out_no_route_there_is() -> None:
    verbs = {*routing._OF_MODEL, *routing._OF_REPOSITORY}
    assert verbs == {"", *(path.rpartition("/")[2] for path in ROUTES)} & verbs
    assert set(routing._FIXED) <= set(ROUTES)
    for path, (need, _, _) in ROUTES.items():
        route = resolve(path)
        assert route is not None
        assert route.need == need


def test_a_model_that_does_not_exist_is_refused_as_one_that_does(keys: Keys) -> None:
    texts = keys.texts
    for key, status in ((texts["predict late"], 403), (texts["report"], 403), ("", 401)):
        said = {
            (response.status, response.body)
            for model in ("early", "nowhere")
            for response in [keys.ask(KEYS, "GET", f"/v2/models/{model}", key)]
        }
        assert [each[0] for each in said] == [status]


def test_who_may_ask_some_models_is_not_told_the_names_of_others(keys: Keys) -> None:
    bounded, unbounded = keys.texts["predict late"], keys.texts["predict"]
    asked = "/v2/models/latx"
    assert (
        keys.ask(KEYS, "GET", asked, bounded).status == keys.ask(KEYS, "GET", asked, unbounded).status == 404
    )
    assert b"early" not in keys.ask(KEYS, "GET", asked, bounded).body
    assert b"early" in keys.ask(KEYS, "GET", asked, unbounded).body
    index = keys.ask(KEYS, "POST", "/v2/repository/index", keys.texts["observe late"])
    assert [each["name"] for each in json.loads(index.body)] == ["late"]


def test_without_a_default_model_a_key_for_some_models_hears_of_none(keys: Keys, tmp_path: Path) -> None:
    world = World(tmp_path)
    for name in ("early", "later"):
        world.deploy(tree_model(-1.0), name=name)
    guard = Guard(Bound(), KEYS, world.gateway.default)
    site = Site(world.gateway, guard, max_body_bytes=1000)
    response = site.handle("POST", "/invocations", {"x-api-key": Bound.text}, b"{}")
    assert response.status == 403
    assert b"early" not in response.body
    assert "PERMISSION_DENIED" in response.body.decode()


class Bound:
    """One caller, for one model."""

    text = new_key("shop", ["predict"], created=0)[1].text
    callers: Mapping[bytes, Caller] = {digest_of(text): Caller("shop", frozenset({PREDICT}), ("later",))}


VALUES = st.text(st.characters(max_codepoint=255)) | st.binary().map(lambda raw: raw.decode("latin-1"))


@given(
    st.dictionaries(st.sampled_from(["authorization", "x-api-key", "traceparent"]), VALUES),
    st.sampled_from([*ROUTES]),
)
def test_whatever_a_header_holds_nothing_opens_and_nothing_breaks(
    keys: Keys, headers: dict[str, str], path: str
) -> None:
    route = resolve(path)
    assert route is not None
    method = next(iter(route.handlers))
    response = keys.sites[KEYS].handle(method, path, headers, b"")
    assert response.status == 401 if route.need != NOBODY else response.status in {200, 503}
