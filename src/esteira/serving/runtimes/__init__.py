"""The runtimes that load a model's native files, opened by the name that the bundle carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.errors import UnknownName
from esteira.base.optional import load
from esteira.registry.bundle import Model
from esteira.serving.runtimes.encoded import EncodedRuntime

if TYPE_CHECKING:
    from esteira.serving.runtimes.port import Runtime

_RUNTIMES = {
    "lightgbm": "esteira.serving.runtimes.lightgbm:LightgbmRuntime",
    "sklearn": "esteira.serving.runtimes.sklearn:SklearnRuntime",
}


def open_runtime(model: Model) -> Runtime:
    """Load a model's files, running no code that they bring; the runtime takes raw rows.

    Raises: UnknownName, MissingExtra, CorruptArtifact (files that the runtime cannot read), BadInput
    (encodings that are not of the signature's columns).
    """
    if model.encodings:
        native = Model(model.runtime, model.native_signature, model.files)
        return EncodedRuntime(model.encodings, open_runtime(native))
    if model.runtime not in _RUNTIMES:
        raise UnknownName("runtime", model.runtime, _RUNTIMES)
    runtime: Runtime = load(_RUNTIMES[model.runtime])(model)
    return runtime
