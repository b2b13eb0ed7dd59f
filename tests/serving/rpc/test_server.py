from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
from tests.serving.certificates import certificate
from tests.serving.rpc.callers import message
from tests.serving.rpc.clients import client_of, columns, tensor
from tests.serving.test_process import deploy, logged, until
from tests.serving.worlds import project, tree_score
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from esteira.serving.access.keys import KeyStore, new_key
from esteira.serving.rpc.messages import HEALTH, INFERENCE
from esteira.serving.rpc.process import RpcProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tritonclient.grpc import InferenceServerClient

    from esteira.base.settings import Settings

pytestmark = pytest.mark.slow

AUDIT = "esteira.governance.ledger:AuditLedger"
SCORE = tree_score(-1.0)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = project(tmp_path_factory.mktemp("p"))
    deploy(settings, -1.0)
    return settings


@pytest.fixture(scope="module")
def rpc(settings: Settings) -> Iterator[RpcProcess]:
    rpc = RpcProcess(settings.root, port=0, audit=AUDIT).start()
    yield rpc
    rpc.kill()


@pytest.fixture
def client(rpc: RpcProcess) -> Iterator[InferenceServerClient]:
    with client_of(rpc) as client:
        yield client


def raw_call(rpc: RpcProcess, service: str, method: str, content: bytes, **options: Any) -> bytes:
    with grpc.insecure_channel(rpc.address) as channel:
        answer: bytes = channel.unary_unary(f"/{service}/{method}")(content, timeout=10, **options)
        return answer


def test_the_public_client_finds_the_server_and_its_models(client: InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("late")
    assert client.is_model_ready("late", "1")
    assert not client.is_model_ready("late", "9")
    assert not client.is_model_ready("early")
    assert client.get_server_metadata(as_json=True)["extensions"] == ["model_repository"]
    found = client.get_model_metadata("late", as_json=True)
    assert [(each["name"], each["datatype"]) for each in found["inputs"]] == [
        ("miles", "FP64"),
        ("carrier", "BYTES"),
        ("gust", "FP64"),
    ]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int32"])
def test_the_public_client_gets_scores_for_any_number(client: InferenceServerClient, dtype: str) -> None:
    miles = np.array([[100], [600]], dtype)
    carriers = np.array([["UA"], ["é"]], dtype=object)
    answer = client.infer("late", columns(miles=miles, carrier=carriers), "1", request_id="f1")
    assert answer.as_numpy("score").tolist() == [SCORE, tree_score(3.0)]
    response = answer.get_response(as_json=True)
    assert (response["model_name"], response["model_version"], response["id"]) == ("late", "1", "f1")


def test_the_public_client_may_ask_without_waiting_and_compressed(client: InferenceServerClient) -> None:
    answers: list[Any] = []
    for n in range(50):
        client.async_infer(
            "late",
            columns(),
            lambda result, error: answers.append(error or result.as_numpy("score").tolist()),
            request_id=f"a{n}",
            compression_algorithm="gzip" if n % 2 else None,
        )
    assert until(lambda: len(answers) == 50)
    assert answers == [[SCORE]] * 50


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"model_name": "early"}, "NOT_FOUND", "model 'early' does not exist; served: late"),
        ({"model_version": "9"}, "NOT_FOUND", "version of model 'late' '9' does not exist; served: 1"),
        ({"inputs": [tensor("miles", np.array([1.0]))]}, "INVALID_ARGUMENT", "'carrier' must be a category"),
        (
            {"inputs": columns(miles=np.array(["far"], object))},
            "INVALID_ARGUMENT",
            "'miles' must be a number",
        ),
        ({"inputs": columns(miles=np.zeros((1, 9)))}, "INVALID_ARGUMENT", "of shape [n] or [n, 1]"),
    ],
)
def test_what_the_public_client_does_wrong_is_said(
    client: InferenceServerClient, asked: dict[str, Any], status: str, said: str
) -> None:
    with pytest.raises(InferenceServerException) as refused:
        client.infer(**{"model_name": "late", "inputs": columns(), **asked})
    assert refused.value.status() == f"StatusCode.{status}"
    assert said in refused.value.message()


@pytest.mark.parametrize(
    ("raws", "typed", "status", "said"),
    [
        ([b"\0" * 7], [], grpc.StatusCode.INVALID_ARGUMENT, "'miles' must be 8 bytes"),
        ([b"\0" * 8], [1.0], grpc.StatusCode.INVALID_ARGUMENT, "found contents too"),
        ([b"\0" * 8, b""], [], grpc.StatusCode.INVALID_ARGUMENT, "one tensor for each of the 1 inputs"),
        ([b"\0" * 5_000_000], [], grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max"),
    ],
)
def test_a_request_that_no_client_would_make_is_refused(
    rpc: RpcProcess, raws: list[bytes], typed: list[float], status: grpc.StatusCode, said: str
) -> None:
    request = service_pb2.ModelInferRequest(model_name="late", raw_input_contents=raws)
    made = request.inputs.add(name="miles", datatype="FP64", shape=[1])
    if typed:
        made.contents.fp64_contents.extend(typed)
    with pytest.raises(grpc.RpcError) as refused:
        raw_call(rpc, INFERENCE, "ModelInfer", request.SerializeToString())
    assert (refused.value.code(), said in refused.value.details()) == (status, True), refused.value.details()


def test_bytes_that_are_no_message_and_calls_that_there_are_not_have_their_status(rpc: RpcProcess) -> None:
    for method, status in (("ModelInfer", "INVALID_ARGUMENT"), ("ModelStreamInfer", "UNIMPLEMENTED")):
        with pytest.raises(grpc.RpcError) as refused:
            raw_call(rpc, INFERENCE, method, b"\x0a\xff")
        assert refused.value.code().name == status


def test_an_error_as_long_as_it_likes_reaches_its_caller(client: InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException) as refused:
        client.infer("é" * 4000, columns())
    assert refused.value.status() == "StatusCode.NOT_FOUND"


def test_sixteen_clients_at_once_are_answered_and_logged_once(rpc: RpcProcess, settings: Settings) -> None:
    def ask(lane: int) -> list[Any]:
        with client_of(rpc) as client:
            answers = [client.infer("late", columns(), request_id=f"c{lane}-{n}") for n in range(20)]
            return [each.as_numpy("score").tolist() for each in answers]

    with ThreadPoolExecutor(16) as pool:
        answers = [each for lane in pool.map(ask, range(16)) for each in lane]
    assert answers == [[SCORE]] * 320
    expected = {f"c{lane}-{n}" for lane in range(16) for n in range(20)}

    def kept() -> list[str]:
        return [each["id"] for each in logged(settings) if each["id"][0] == "c"]

    assert until(lambda: len(kept()) >= 320)
    assert sorted(kept()) == sorted(expected)


def test_a_call_whose_caller_has_gone_is_over(client: InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException) as refused:
        client.infer("late", columns(), client_timeout=1e-6)
    assert refused.value.status() == "StatusCode.DEADLINE_EXCEEDED"
    assert client.is_server_live()


def test_only_an_admin_loads_and_unloads_and_it_is_on_record(
    client: InferenceServerClient, settings: Settings
) -> None:
    with pytest.raises(InferenceServerException, match="UNAUTHENTICATED"):
        client.unload_model("late")
    store = KeyStore(settings.store("state"))
    headers = {}
    for role in ("admin", "predict"):
        key, secret = new_key(f"key-{role}", [role], created=0)
        store.add(key, secret)
        headers[role] = {"authorization": f"Bearer {secret.text}"}
    assert until(lambda: "PERMISSION_DENIED" in _refusal(client, headers["predict"]))
    client.unload_model("late", headers=headers["admin"])
    assert until(lambda: not client.is_model_ready("late"))
    client.load_model("late", headers=headers["admin"])
    assert client.is_model_ready("late")
    with pytest.raises(InferenceServerException, match="neither a configuration nor files"):
        client.load_model("late", headers=headers["admin"], config="{}")
    with pytest.raises(InferenceServerException, match="NOT_FOUND"):
        client.load_model("early", headers=headers["admin"])
    from esteira.base.clock import SystemClock
    from esteira.governance.ledger import AuditLedger

    ledger = AuditLedger(settings.store("audit"), SystemClock(), "reader")
    recorded = [(each.actor, each.action, each.resource) for each in ledger.events()]
    assert recorded == [
        ("key:key-admin", "model.unload", "model/late"),
        ("key:key-admin", "model.load", "model/late"),
    ]


def _refusal(client: InferenceServerClient, headers: dict[str, str]) -> str:
    try:
        client.unload_model("late", headers=headers)
    except InferenceServerException as refused:
        return str(refused)
    return ""


def test_the_index_names_what_is_ready(client: InferenceServerClient) -> None:
    index = client.get_model_repository_index(as_json=True)
    assert index["models"] == [{"name": "late", "version": "1", "state": "READY"}]


def test_a_watcher_is_told_of_the_end_before_it_comes(settings: Settings) -> None:
    rpc = RpcProcess(settings.root, port=0).start()
    told: list[int] = []
    with grpc.insecure_channel(rpc.address) as channel:
        content = message("HealthCheckRequest").SerializeToString()
        assert raw_call(rpc, HEALTH, "Check", content) == b"\x08\x01"
        watched = channel.unary_stream(f"/{HEALTH}/Watch")(content)
        watching = threading.Thread(target=lambda: told.extend(each[1] for each in watched))
        watching.start()
        assert until(lambda: told == [1])
        begun = time.monotonic()
        assert rpc.stop() == 0
        assert time.monotonic() - begun < 8  # the watcher held nothing up
        watching.join()
    assert told == [1, 2]


@pytest.mark.parametrize("seed", [1])
def test_a_stop_under_load_answers_what_it_took_and_logs_what_it_answered(tmp_path: Path, seed: int) -> None:
    settings = project(tmp_path / "p")
    deploy(settings, -1.0)
    rpc = RpcProcess(settings.root, port=0).start()
    answered: list[str] = []
    refused: list[str] = []
    stop = threading.Event()

    def ask(lane: int) -> None:
        with client_of(rpc) as client:
            count = 0
            while not stop.is_set():
                name = f"{lane}-{count}"
                count += 1
                try:
                    client.infer("late", columns(), request_id=name)
                except InferenceServerException as ended:
                    refused.append(ended.status())
                    return
                answered.append(name)

    threads = [threading.Thread(target=ask, args=(lane,)) for lane in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.5 + random.Random(seed).random() / 2)
    assert rpc.stop() == 0
    stop.set()
    for thread in threads:
        thread.join()
    assert set(refused) <= {"StatusCode.UNAVAILABLE", "StatusCode.CANCELLED"}  # neither was begun
    assert len(answered) > 50
    kept = {each["id"] for each in logged(settings)}
    assert set(answered) - kept == set()
    assert len(kept - set(answered)) == 0, "a prediction whose answer was lost"


def test_a_gateway_of_keys_and_tls_takes_neither_plain_nor_unknown_callers(tmp_path: Path) -> None:
    toml = '[gateway]\naccess = "keys"\ntls_cert = "a.pem"\ntls_key = "a.key"\n'
    settings = project(tmp_path / "p", toml)
    cert, _ = certificate(settings.root)
    deploy(settings, -1.0)
    key, secret = new_key("shop", ["predict"], created=0)
    KeyStore(settings.store("state")).add(key, secret)
    headers = {"authorization": f"Bearer {secret.text}"}
    with RpcProcess(settings.root, port=0) as rpc:
        options = {"ssl": True, "root_certificates": str(cert)}
        with client_of(rpc, **options) as client:
            assert client.infer("late", columns(), headers=headers).as_numpy("score") == [SCORE]
            with pytest.raises(InferenceServerException, match="UNAUTHENTICATED"):
                client.infer("late", columns())
        with client_of(rpc) as plain, suppress(InferenceServerException):
            assert not plain.is_server_live(client_timeout=2)
