"""ONNX Runtime: one thread, no spinning, and for a row the call that copies nothing.

A graph of float32 rounds its inputs and answers in float32. A graph of trees says the same of a row alone and
among others. In others a lone row would take another kernel, so it is sent twice; whether that gives the bits
of a batch is tried when the model is loaded, and where it does not the runtime is not exact.
"""

from __future__ import annotations

import re
import struct
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from esteira.base.errors import BadInput, CorruptArtifact
from esteira.registry.tensors import DTYPES, TensorSignature, TensorSpec
from esteira.serving.runtimes.lone_rows import has_equal_bits, trial_rows
from esteira.serving.runtimes.onnx_files import PAYLOAD, Contents, contents_of
from esteira.serving.runtimes.tensor_checks import (
    RefusedTensors,
    check_column_count,
    check_inputs,
    check_signature,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from esteira.registry.bundle import Model

    Session = Any  # and what it binds; ONNX Runtime ships no types

_ONNX_NAMES = {"float": "FP32", "double": "FP64", "float16": "FP16", "string": "BYTES"}
_TYPES = {f"tensor({dtype})": datatype for datatype, dtype in DTYPES.items()} | {
    f"tensor({name})": datatype for name, datatype in _ONNX_NAMES.items()
}
# Operators that treat a row by itself, one number after another: no matrix product, no vectorised function.
_BY_ROW = frozenset(
    {"TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor", "Imputer", "Scaler", "OneHotEncoder"}
    | {
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Cast",
        "Identity",
        "ArrayFeatureExtractor",
        "FeatureVectorizer",
        "Reshape",
    }
    | {"ArgMax", "Binarizer", "Concat", "Constant", "Unsqueeze", "Squeeze", "Slice", "Gather"}
)
_OWN_PATHS = re.compile(r"\S*/\S+ ")  # of the machine that built the library, in its messages

onnxruntime.disable_telemetry_events()


class FilesOutside(BadInput):
    """A model whose weights stand in other files."""

    def __init__(self, named: str) -> None:
        super().__init__(
            f"model.onnx names a file outside of it, {named[:80]!r}; save it with its weights inside "
            "(onnx.save_model with save_as_external_data=False)"
        )


class OwnFormat(BadInput):
    """A model in the format that ONNX Runtime keeps for itself."""

    def __init__(self) -> None:
        super().__init__(
            "model.onnx is in ONNX Runtime's own format, whose reader trusts what it reads; give the .onnx "
            "that it was made from"
        )


class NoScore(BadInput):
    """A graph whose outputs say no score a row."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"a model of columns answers with one tensor FP32 or FP64 of shape [-1], [-1, 1] or [-1, 2], "
            f"found {found}; of scikit-learn, convert it with options={{'zipmap': False}}"
        )


def tensors_of_onnx(files: Mapping[str, bytes]) -> TensorSignature:
    """The tensors that `model.onnx` takes and gives.

    Raises: CorruptArtifact, FilesOutside, OwnFormat, BadInput.
    """
    return _tensors(_opened(files)[1])


class OnnxRuntime:
    """A graph of columns: one float tensor in, one score a row out.

    Of two columns of probabilities the second is the score. Raises: CorruptArtifact, FilesOutside, NoScore,
    BadInput.
    """

    def __init__(self, model: Model) -> None:
        contents, self._session = _opened(model.files)
        inputs = _specs(self._session.get_inputs())
        if len(inputs) != 1:
            names = ", ".join(each.name for each in inputs)
            raise BadInput(f"a model of columns takes one tensor, found {names}; serve it as one of tensors")
        columns = model.signature.columns
        check_column_count(PAYLOAD, len(columns), inputs[0])
        self._input, self._dtype = inputs[0].name, np.dtype(inputs[0].dtype)
        self._output = _score_output(self._session)
        self._width = self._score_width(len(columns))
        self._local = threading.local()
        self._copies = 1 if contents.operators <= _BY_ROW else 2
        self.is_exact = has_equal_bits(self._scores, trial_rows(columns, missing=True), self._copies)

    def _score_width(self, columns: int) -> int:
        shape = self._run(np.zeros((2, columns), dtype=self._dtype)).shape
        if shape not in {(2,), (2, 1), (2, 2)}:
            raise NoScore(f"shape {[*shape]} for two rows")
        return shape[1] if len(shape) == 2 else 0

    def _run(self, rows: NDArray[Any]) -> NDArray[Any]:
        try:
            found: NDArray[Any] = self._session.run([self._output], {self._input: rows})[0]
        except Exception as refused:
            raise RefusedTensors(_plain(refused)) from refused
        return found

    def _scores(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(over="ignore"):  # a number beyond float32 is infinite there
            found = self._run(np.ascontiguousarray(rows, dtype=self._dtype))
        return found.reshape(len(rows), -1)[:, -1].astype(np.float64)

    def predict_row(self, row: list[float]) -> float:
        prepared: _Row | None = getattr(self._local, "row", None)
        if prepared is None:
            prepared = self._local.row = self._prepared(len(row))
        prepared.write(row)
        try:
            self._session.run_with_iobinding(prepared.binding)
        except Exception as refused:
            raise RefusedTensors(_plain(refused)) from refused
        return float(prepared.result.item(prepared.at))

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        if not len(matrix):
            return np.empty(0, dtype=np.float64)
        if len(matrix) < self._copies:
            return self._scores(np.repeat(matrix, self._copies, axis=0))[: len(matrix)]
        return self._scores(matrix)

    def _prepared(self, columns: int) -> _Row:
        kind = next(each.type for each in self._session.get_outputs() if each.name == self._output)
        shape = (self._copies, self._width) if self._width else (self._copies,)
        result = np.empty(shape, dtype=DTYPES[_TYPES[kind]])
        row = _Row(np.empty((self._copies, columns), dtype=self._dtype), result, self._session.io_binding())
        row.binding.bind_cpu_input(self._input, row.matrix)
        row.binding.bind_output(self._output, "cpu", 0, result.dtype, shape, result.ctypes.data)
        return row


class _Row:
    """What one thread reads and writes for a row, bound once."""

    def __init__(self, matrix: NDArray[Any], result: NDArray[Any], binding: Session) -> None:
        self.matrix, self.result, self.binding = matrix, result, binding
        self.at = max(result.size // len(result), 1) - 1  # the last column of the first row
        self._copies = len(matrix)
        self._pack = struct.Struct(f"{matrix.size}{matrix.dtype.char}").pack_into

    def write(self, row: list[float]) -> None:
        try:
            self._pack(self.matrix.data, 0, *(row if self._copies == 1 else row * self._copies))
        except OverflowError:  # a number beyond float32 is infinite there
            with np.errstate(over="ignore"):
                self.matrix[:] = row


class OnnxTensors:
    """A graph of any tensors. Raises: CorruptArtifact, FilesOutside, UnlikeModel, BadInput."""

    is_exact = False  # its kernels may sum in another order for one row than for many

    def __init__(self, model: Model) -> None:
        assert model.tensors is not None, "open_tensor_runtime refuses models of columns"
        self._session = _opened(model.files)[1]
        self._inputs = model.tensors.inputs
        self._outputs = [spec.name for spec in model.tensors.outputs]
        check_signature(model.tensors, _tensors(self._session))

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        check_inputs(self._inputs, inputs)
        try:
            found = self._session.run(self._outputs, {spec.name: inputs[spec.name] for spec in self._inputs})
        except Exception as refused:
            raise RefusedTensors(_plain(refused)) from refused
        return dict(zip(self._outputs, found, strict=True))


def _opened(files: Mapping[str, bytes]) -> tuple[Contents, Any]:
    content = files.get(PAYLOAD, b"")
    if content[4:8] == b"ORTM":
        raise OwnFormat
    contents = contents_of(content)
    for named in contents.outside:
        raise FilesOutside(named)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # only what ends the process; what it refuses it also raises
    options.add_session_config_entry("session.load_model_format", "ONNX")  # else the bytes choose
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as broken:  # a file from elsewhere can break the reader in any way
        raise CorruptArtifact(PAYLOAD, "a model that ONNX Runtime can read", _plain(broken)) from broken
    return contents, session


def _tensors(session: Session) -> TensorSignature:
    return TensorSignature(tuple(_specs(session.get_inputs())), tuple(_specs(session.get_outputs())))


def _specs(found: list[Any]) -> list[TensorSpec]:
    for each in found:
        if each.type not in _TYPES:
            raise BadInput(
                f"{each.name!r} is a {each.type}, no tensor that can be served; use float, integers, bool or "
                "string (of scikit-learn, convert it with options={'zipmap': False})"
            )
    return [
        TensorSpec(each.name, _TYPES[each.type], tuple(_size(size) for size in each.shape)) for each in found
    ]


def _size(found: object) -> int:
    return found if isinstance(found, int) and found >= 0 else -1  # else a name, or unknown


def _score_output(session: Session) -> str:
    floats = [each for each in session.get_outputs() if each.type in {"tensor(float)", "tensor(double)"}]
    if len(floats) != 1:
        found = [f"{each.name!r} {each.type} {each.shape}" for each in session.get_outputs()]
        raise NoScore(", ".join(found))
    return str(floats[0].name)


def _plain(error: Exception) -> str:
    """The reason of the library, short and without the paths of its build."""
    return _OWN_PATHS.sub("", str(error).splitlines()[0] if str(error) else type(error).__name__)[:200]
