"""A real gateway that asks for keys, speaks TLS and is told what to serve, with unmodified clients."""

from __future__ import annotations

import json
import ssl
import time
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import numpy as np
import pytest
from tests.serving.certificates import certificate
from tests.serving.worlds import deployment, project, tree_model, tree_score
from tritonclient.http import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from esteira.base.clock import SystemClock
from esteira.base.errors import BadInput, ServiceUnreachable
from esteira.governance.ledger import AuditLedger
from esteira.pipelines.artifacts import ArtifactStore
from esteira.project.keys import add_key, revoke_key
from esteira.project.station import AUDIT, Station, open_station
from esteira.serving.process import GatewayProcess
from esteira.serving.routes import RouteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from esteira.base.settings import Settings

pytestmark = pytest.mark.slow

TOML = '[project]\nname = "late"\n[gateway]\naccess = "keys"\nworkers = 2\n'


def stocked(root: Path, toml: str = TOML) -> Settings:
    """A project in which version 1 of `late` serves and 2 and 3 may, of which the bundle of 3 is damaged."""
    settings = project(root, toml)
    artifacts, routes = ArtifactStore(settings.store("artifacts")), RouteStore(settings.store("state"))
    for version in (1, 2, 3):
        routes.know("late", version, artifacts.put(tree_model(-float(version))).digest)
    (artifacts.folder(routes.known("late")[3]) / "model.txt").write_bytes(b"x")
    routes.set(deployment(artifacts, tree_model(-1.0)))
    return settings


class Secured:
    """A gateway of two workers, and a client for each kind of key."""

    def __init__(self, root: Path) -> None:
        self.settings = stocked(root)
        self.station: Station = open_station(root, actor="ops")
        self.keys = {
            name: add_key(self.station, name, roles, models=models, lifetime=None)[1].text
            for name, roles, models in (
                ("shop", ["predict"], ["late"]),
                ("other", ["predict"], ["early"]),
                ("ops", ["admin", "observe"], []),
            )
        }
        self.gateway = GatewayProcess(root, port=0, audit=AUDIT)

    def client(self) -> InferenceServerClient:
        return InferenceServerClient(urlsplit(self.gateway.url).netloc)

    def headers(self, name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[name]}"}

    def score(self, client: InferenceServerClient, name: str = "shop") -> float:
        miles, carrier = InferInput("miles", [1], "FP64"), InferInput("carrier", [1], "BYTES")
        miles.set_data_from_numpy(np.array([100.0]), binary_data=False)
        carrier.set_data_from_numpy(np.array(["UA"], dtype=object), binary_data=False)
        answer = client.infer("late", [miles, carrier], headers=self.headers(name))
        return float(answer.as_numpy("score")[0])

    def audited(self) -> list[tuple[str, str, str]]:
        ledger = AuditLedger(self.settings.store("audit"), SystemClock(), "test")
        found = [(each.actor, each.action, each.reason) for each in ledger.events(limit=1_000)]
        return [each for each in found if not each[1].startswith("key.")]


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Secured]:
    secured = Secured(tmp_path / "p")
    with secured.gateway:
        yield secured


def test_tritonclient_lists_swaps_unloads_and_loads_models(secured: Secured) -> None:
    ops = secured.headers("ops")
    with secured.client() as client:
        assert client.is_server_ready()
        listed = client.get_model_repository_index(headers=ops)
        assert listed == [{"name": "late", "version": "1", "state": "READY", "reason": ""}]
        assert secured.score(client) == tree_score(-1.0)
        client.load_model("late", headers=ops, query_params={"version": 2, "reason": "better"})
        assert {secured.score(client) for _ in range(20)} == {tree_score(-2.0)}
        client.unload_model("late", headers=ops)
        (listed,) = client.get_model_repository_index(headers=ops)
        assert (listed["version"], listed["state"]) == ("2", "UNAVAILABLE")
        with pytest.raises(InferenceServerException, match="unloaded"):
            secured.score(client)
        client.load_model("late", headers=ops)
        assert secured.score(client) == tree_score(-2.0)
    assert secured.audited() == [
        ("key:ops", "model.promote", "better"),
        ("key:ops", "routes.set", "better"),
        ("key:ops", "model.unload", "asked of the gateway"),
        ("key:ops", "model.load", "asked of the gateway"),
    ]


def test_what_is_refused_changes_nothing_and_names_no_key(secured: Secured) -> None:
    refused: list[tuple[str, Callable[[InferenceServerClient], Any]]] = [
        ("401", lambda client: client.load_model("late", query_params={"version": 2})),
        ("403", lambda client: client.load_model("late", headers=secured.headers("shop"))),
        ("403", lambda client: client.unload_model("late", headers=secured.headers("shop"))),
        ("403", lambda client: client.get_model_repository_index(headers=secured.headers("shop"))),
        ("403", lambda client: secured.score(client, "other")),
        ("403", lambda client: secured.score(client, "ops")),
        ("404", lambda client: client.load_model("late", secured.headers("ops"), {"version": 9})),
        ("409", lambda client: client.load_model("late", secured.headers("ops"), {"version": 3})),
        ("400", lambda client: client.load_model("late", secured.headers("ops"), config="{}")),
    ]
    with secured.client() as client:
        for status, ask in refused:
            with pytest.raises(InferenceServerException) as heard:
                ask(client)
            assert heard.value.status() == status
        assert secured.score(client) == tree_score(-1.0)
    assert secured.audited() == []
    said = secured.gateway.log.read_bytes()
    assert not any(key[12:].encode() in said for key in secured.keys.values())


def test_a_key_opens_as_soon_as_it_is_made_and_nothing_once_it_is_revoked(secured: Secured) -> None:
    secured.keys["late"] = add_key(secured.station, "late", ["predict"], lifetime=None)[1].text
    with secured.client() as client:
        time.sleep(0.2)
        assert {secured.score(client, "late") for _ in range(10)} == {tree_score(-1.0)}
        revoke_key(secured.station, "late", "it leaked")
        time.sleep(0.2)
        for _ in range(10):
            with pytest.raises(InferenceServerException, match="API key that is valid"):
                secured.score(client, "late")
        assert secured.score(client) == tree_score(-1.0)


def test_without_an_audit_trail_the_gateway_serves_and_changes_nothing(tmp_path: Path) -> None:
    secured = Secured(tmp_path / "p")
    secured.gateway = GatewayProcess(secured.settings.root, port=0)
    with secured.gateway, secured.client() as client:
        assert secured.score(client) == tree_score(-1.0)
        with pytest.raises(InferenceServerException, match="no audit trail") as heard:
            client.unload_model("late", headers=secured.headers("ops"))
        assert heard.value.status() == "503"


def test_a_gateway_speaks_tls_with_its_certificate_and_nothing_else(tmp_path: Path) -> None:
    root = tmp_path / "p"
    settings = stocked(root, '[project]\nname = "late"\n[gateway]\ntls_cert = "a.pem"\ntls_key = "a.key"\n')
    cert, _ = certificate(root)
    with GatewayProcess(settings.root, port=0) as gateway:
        assert gateway.url.startswith("https://")
        trusting = ssl.create_default_context(cafile=cert)
        with urllib.request.urlopen(f"{gateway.url}/v2/models/late", context=trusting, timeout=5) as answer:
            assert json.load(answer)["name"] == "late"
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(gateway.url, context=ssl.create_default_context(), timeout=5)
        with pytest.raises((OSError, HTTPException)) as refused:
            urllib.request.urlopen(gateway.url.replace("https", "http"), timeout=5)
        assert not isinstance(refused.value, HTTPError)
    assert gateway.stop() == 0


def test_a_certificate_without_its_key_is_bad_input_before_anything_starts(tmp_path: Path) -> None:
    root = tmp_path / "p"
    project(root, '[gateway]\ntls_cert = "a.pem"\ntls_key = "b.key"\n')
    certificate(root, "a")
    certificate(root, "b")
    with pytest.raises(BadInput, match="cannot be used for TLS"):
        GatewayProcess(root, port=0)


@pytest.mark.parametrize(
    ("toml", "audit", "said"),
    [
        ('[gateway]\naccess = "key"\n', "", "did you mean 'keys'"),
        ("", "esteira.governance.ledger:AuditLegder", "--audit"),
    ],
)
def test_a_gateway_that_could_not_guard_or_record_does_not_start(
    tmp_path: Path, toml: str, audit: str, said: str
) -> None:
    project(tmp_path, toml or '[project]\nname = "late"\n')
    with pytest.raises(ServiceUnreachable, match=said):
        GatewayProcess(tmp_path, port=0, audit=audit).start()


def test_an_open_gateway_on_all_interfaces_says_so_once(tmp_path: Path) -> None:
    project(tmp_path, '[gateway]\nhost = "0.0.0.0"\n')
    with GatewayProcess(tmp_path, port=0) as gateway:
        said = gateway.log.read_text()
    assert said.count("anybody who reaches this gateway may ask it") == 1
