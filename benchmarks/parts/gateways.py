"""Our own gateway as it is measured: a project folder, keys required, every prediction logged."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from benchmarks.parts.scored import NAMES
from benchmarks.parts.servers import Server

from esteira.base.clock import open_clock
from esteira.base.settings import load_settings
from esteira.pipelines.artifacts import ArtifactStore
from esteira.registry.bundle import Model
from esteira.registry.signature import Column, Signature
from esteira.serving.access.keys import KeyStore, new_key
from esteira.serving.routes import Arm, Routes, RouteStore
from esteira.serving.runtimes.payloads import sklearn_files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SIGNATURE = Signature(tuple(Column(name) for name in NAMES), "target")
_KEY = "key.txt"
_TOML = '[project]\nname = "{name}"\n\n[gateway]\naccess = "keys"\n{more}'


def native_model(folder: Path, name: str) -> Model:
    """A model of benchmarks/parts/scored.py as a bundle of ours."""
    if name == "lightgbm":
        return Model("lightgbm", SIGNATURE, {"model.txt": (folder / "lightgbm.txt").read_bytes()})
    if name == "onnx":
        return Model("onnx", SIGNATURE, {"model.onnx": (folder / "logreg.onnx").read_bytes()})
    return Model("sklearn", SIGNATURE, sklearn_files((folder / "logreg.skops").read_bytes()))


def write_project(root: Path, models: dict[str, Model], *, more: str = "") -> str:
    """A project folder that serves models, the first as its default; the text of a key for all of them."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "esteira.toml").write_text(_TOML.format(name=next(iter(models)), more=more), encoding="utf-8")
    settings = load_settings(root, {})
    artifacts, routes = ArtifactStore(settings.store("artifacts")), RouteStore(settings.store("state"))
    for name, model in models.items():
        routes.set(Routes(name, (Arm("champion", 1, artifacts.put(model).digest, 1.0),), salt="bench"))
    key, secret = new_key("bench", ["predict", "observe"], created=open_clock("system:").micros())
    KeyStore(settings.store("state")).add(key, secret)
    (root / _KEY).write_text(secret.text, encoding="utf-8")
    return secret.text


def gateway(root: Path, name: str = "esteira", module: str = "esteira.serving") -> Server:
    """The gateway of a folder that `write_project` wrote, as a server to measure."""

    def command(_folder: Path, _model: str, port: int) -> Sequence[str]:
        serve = [sys.executable, "-m", module, "--root", str(root), "--port", str(port)]
        return [*serve, "--parent-pid", str(os.getpid())]

    return Server(name, "inputs", command, headers={"x-api-key": (root / _KEY).read_text(encoding="utf-8")})
