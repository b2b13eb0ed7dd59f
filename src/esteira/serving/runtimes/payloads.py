"""The files of a bundle, made from what a library holds in memory, and what they say of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from esteira.base.errors import UnknownName
from esteira.base.optional import load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from esteira.registry.tensors import TensorSignature

_TENSORS = {
    "onnx": "esteira.serving.runtimes.onnx:tensors_of_onnx",
    "torch": "esteira.serving.runtimes.program:tensors_of_torch",
}
_SKLEARN_FILES = "esteira.serving.runtimes.sklearn:sklearn_files"
_TORCH_FILES = "esteira.serving.runtimes.torch_export:torch_files"


def tensors_of(runtime: str, files: Mapping[str, bytes]) -> TensorSignature:
    """The tensors that the files of a bundle take and give, for `Model(..., tensors=...)`.

    Raises: UnknownName (a runtime whose files do not say), MissingExtra, CorruptArtifact, BadInput.
    """
    if runtime not in _TENSORS:
        raise UnknownName("runtime of tensors", runtime, _TENSORS)
    tensors: TensorSignature = load(_TENSORS[runtime])(files)
    return tensors


def sklearn_files(content: bytes) -> dict[str, bytes]:
    """The files of a bundle for runtime "sklearn", from what `skops.io.dumps` makes of a fitted estimator.

    Where it is a sum of terms, these are written beside it, and are served without loading scikit-learn.
    Raises: MissingExtra, CorruptArtifact (bytes that skops cannot read, or not of a model with one score).
    """
    files: dict[str, bytes] = load(_SKLEARN_FILES)(content)
    return files


def torch_files(program: Any) -> dict[str, bytes]:  # noqa: ANN401 - a torch.export.ExportedProgram
    """The files of a bundle for runtime "torch": operators as JSON, weights as safetensors, nothing pickled.

    Export in eval mode: `torch.export.export(model, (example,), dynamic_shapes=({0: Dim("rows")},))`.
    Raises: MissingExtra, BadInput (a program with something that no file of data can hold).
    """
    files: dict[str, bytes] = load(_TORCH_FILES)(program)
    return files
