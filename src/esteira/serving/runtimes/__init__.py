"""The runtimes that load a model's native files, opened by the name that the bundle carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.errors import UnknownName
from esteira.base.optional import load

if TYPE_CHECKING:
    from esteira.registry.bundle import Model
    from esteira.serving.runtimes.port import Runtime

_RUNTIMES = {
    "lightgbm": "esteira.serving.runtimes.lightgbm:LightgbmRuntime",
    "sklearn": "esteira.serving.runtimes.sklearn:SklearnRuntime",
}


def open_runtime(model: Model) -> Runtime:
    """Load a model's files, running no code that they bring.

    Raises: UnknownName, MissingExtra, CorruptArtifact (files that the runtime cannot read).
    """
    if model.runtime not in _RUNTIMES:
        raise UnknownName("runtime", model.runtime, _RUNTIMES)
    runtime: Runtime = load(_RUNTIMES[model.runtime])(model)
    return runtime
