from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from tests.serving.worlds import PLAIN, VIEWED, World, tree_model

from esteira.base.errors import CorruptArtifact
from esteira.pipelines.artifacts import ArtifactStore
from esteira.registry.bundle import Model
from esteira.registry.signature import Column, Signature
from esteira.registry.tensors import TensorSignature, TensorSpec
from esteira.serving.routes import Arm
from esteira.web.asking import Asking, asking, default_of, described

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.serving.http.messages import Response

HOSTILE = """it's "<b>"; $(touch /tmp/x) `id` %2F?"""


def parsed(command: str) -> tuple[str, dict[str, str], bytes]:
    """The address, the headers and the body of a command, as a shell and curl would read it."""
    words = shlex.split(command.replace("\\\n", " "))
    assert words[0] == "curl"
    headers = [words[at + 1] for at, word in enumerate(words) if word == "-H"]
    body = words[words.index("-d") + 1]
    return words[1], dict(each.split(": ", 1) for each in headers), body.encode()


def send(world: World, command: str) -> Response:
    url, _, body = parsed(command)
    return world.post(urlsplit(url).path, body)


def ways(world: World, name: str, *, needs_key: bool = False) -> Asking:
    routes = world.routes.get(name)
    assert routes is not None
    arm = described(routes.champion, world.artifacts.folder(routes.champion.digest))
    return asking("http://gw:8080", name, arm, is_default=True, needs_key=needs_key)


@pytest.mark.parametrize("signature", [PLAIN, VIEWED], ids=["columns", "views"])
def test_the_commands_work_as_they_stand(tmp_path: Path, signature: Signature) -> None:
    world = World(tmp_path / "p")
    world.deploy(tree_model(-1.0, signature))
    found = ways(world, "late")
    for command in (found.infer, found.invocations):
        answer = send(world, command)
        assert answer.status == 200, answer.body
    assert world.get(urlsplit(found.openapi).path).status == 200


def test_names_that_a_shell_or_an_address_would_misread_are_quoted(tmp_path: Path) -> None:
    signature = Signature((Column(HOSTILE), Column("kind", "category", (HOSTILE,))), "late")
    name = HOSTILE.replace("/", "")
    world = World(tmp_path / "p")
    world.deploy(tree_model(-1.0, signature), name=name)
    url, _, body = parsed(ways(world, name).infer)
    assert " " not in url
    assert json.loads(body)["inputs"][0]["name"] == HOSTILE
    assert world.site.handle("POST", f"/v2/models/{name}/infer", {}, body).status == 200


def test_a_key_is_taken_from_the_shell_and_never_shown(tmp_path: Path) -> None:
    world = World(tmp_path / "p")
    world.deploy(tree_model(-1.0))
    command = ways(world, "late", needs_key=True).infer
    assert parsed(command)[1]["Authorization"] == "Bearer $ESTEIRA_KEY"
    assert '"Authorization: Bearer $ESTEIRA_KEY"' in command  # in quotes that let the shell put it in


def test_tensors_are_asked_with_their_shapes_unless_they_are_endless(tmp_path: Path) -> None:
    store = ArtifactStore(f"file:{tmp_path}")
    for size, is_told in ((3, True), (100_000, False)):
        tensors = TensorSignature((TensorSpec("x", "FP32", (-1, size)),), (TensorSpec("y", "FP32", (-1,)),))
        model = Model("onnx", Signature((), ""), {"model.onnx": b"x"}, tensors=tensors)
        digest = store.put(model).digest
        arm = described(Arm("champion", 1, digest, 1.0), store.folder(digest))
        found = asking("http://gw", "image", arm, is_default=True, needs_key=False)
        assert bool(found.infer) == bool(found.invocations) == is_told
        if is_told:
            assert json.loads(parsed(found.infer)[2])["inputs"][0]["shape"] == [1, 3]


def test_only_the_default_model_answers_where_none_is_named(tmp_path: Path) -> None:
    world = World(tmp_path / "p")
    world.deploy(tree_model(-1.0), name="early")
    routes = world.routes.get("early")
    assert routes is not None
    arm = described(routes.champion, world.artifacts.folder(routes.champion.digest))
    assert asking("http://gw", "early", arm, is_default=False, needs_key=False).invocations == ""
    assert default_of("late", ["early", "later"]) == ""


def test_a_bundle_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(CorruptArtifact):
        described(Arm("champion", 1, "00", 1.0), tmp_path / "none")
