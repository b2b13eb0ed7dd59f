"""The runtimes that load a model's native files, opened by the name that the bundle carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esteira.base.errors import BadInput, UnknownName
from esteira.base.optional import load
from esteira.registry.bundle import Model
from esteira.registry.terms import TERMS
from esteira.serving.runtimes.encoded import EncodedRuntime

if TYPE_CHECKING:
    from esteira.serving.runtimes.port import Runtime, TensorRuntime

_RUNTIMES = {
    "combined": "esteira.serving.runtimes.combined:CombinedRuntime",
    "lightgbm": "esteira.serving.runtimes.lightgbm:LightgbmRuntime",
    "lleaves": "esteira.serving.runtimes.lleaves:LleavesRuntime",
    "onnx": "esteira.serving.runtimes.onnx:OnnxRuntime",
    "pyfunc": "esteira.serving.runtimes.pyfunc:PyfuncRuntime",
    "sklearn": "esteira.serving.runtimes.sklearn:SklearnRuntime",
    "torch": "esteira.serving.runtimes.torch:TorchRuntime",
    "xgboost": "esteira.serving.runtimes.xgboost:XgboostRuntime",
}
# Runtime → a file that its bundles may have, and the runtime that reads this file alone and loads no vendor.
_LIGHTER = {"sklearn": (TERMS, "esteira.serving.runtimes.terms:TermsRuntime")}
_TENSOR_RUNTIMES = {
    "onnx": "esteira.serving.runtimes.onnx:OnnxTensors",
    "pyfunc": "esteira.serving.runtimes.pyfunc:PyfuncTensorRuntime",
    "torch": "esteira.serving.runtimes.torch:TorchTensors",
}


def open_runtime(model: Model) -> Runtime:
    """Load a model's files, running no code that they bring; the runtime takes raw rows.

    The code of a pyfunc alone runs, in a process of its own, and only where the settings allow it.

    Raises: UnknownName, MissingExtra, CorruptArtifact (files that the runtime cannot read), BadInput
    (encodings that are not of the signature's columns).
    """
    if model.encodings:
        native = Model(model.runtime, model.native_signature, model.files, model.facts)
        return EncodedRuntime(model.encodings, open_runtime(native))
    if model.runtime not in _RUNTIMES:
        raise UnknownName("runtime", model.runtime, _RUNTIMES)
    file, lighter = _LIGHTER.get(model.runtime, ("", ""))
    runtime: Runtime = load(lighter if file in model.files else _RUNTIMES[model.runtime])(model)
    return runtime


def open_tensor_runtime(model: Model) -> TensorRuntime:
    """Load the files of a model of tensors. Raises: as `open_runtime`, and BadInput (a model of columns)."""
    if model.tensors is None:
        raise BadInput("a model of columns has no tensors; open it with open_runtime")
    if model.runtime not in _TENSOR_RUNTIMES:
        raise UnknownName("runtime of tensors", model.runtime, _TENSOR_RUNTIMES)
    runtime: TensorRuntime = load(_TENSOR_RUNTIMES[model.runtime])(model)
    return runtime
