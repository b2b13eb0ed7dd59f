"""Any MLflow model, as a last resort, in a process of its own: this one unpickles nothing, imports no MLflow.

The bundle holds the MLflow model folder as one file, `model.tar`. A row costs milliseconds and each worker
has its own process with its own copy of the model, so convert what can be converted: `esteira convert`.
"""

from __future__ import annotations

import logging
import os
import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from esteira.base.errors import BadInput, CorruptArtifact, EsteiraError
from esteira.serving.runtimes.child import ChildProcess, ModelDied, ModelHung
from esteira.serving.runtimes.frames import (
    DESCRIBE,
    READY,
    REFUSED,
    ROWS,
    SCORES,
    TENSORS,
    UNUSABLE,
    MalformedFrame,
    pack_rows,
    pack_tensors,
    unpack_scores,
    unpack_tensors,
)
from esteira.serving.runtimes.packing import unpack_folder
from esteira.serving.runtimes.permission import permission
from esteira.serving.runtimes.scratch import ScratchFolder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from esteira.registry.bundle import Model
    from esteira.registry.tensors import TensorSpec

PAYLOAD = "model.tar"
CHILD = "esteira.serving.runtimes.pyfunc_child"
START_S = 120.0  # to import MLflow and the model's libraries on a busy machine

if find_spec("mlflow") is None:
    raise ModuleNotFoundError("mlflow is not installed", name="mlflow")

log = logging.getLogger(__name__)


class ModelRefused(BadInput):
    """The model raised on what it was given; the trace is in the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the model refused the input: {reason}")
        self.reason = reason


class ModelBusy(EsteiraError):
    """The one process of a model was taken by other requests for too long."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"the model, which answers one request at a time, was busy for {seconds:g} s; try again"
        )
        self.seconds = seconds


class UnusableAnswer(EsteiraError):
    """The model answered something that is no score a row, or not the tensors that it promised."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"the model must answer with {expected}, found {found}; wrap it so that it does")
        self.expected, self.found = expected, found


class ModelNotLoaded(EsteiraError):
    """MLflow cannot load the model."""

    def __init__(self, reason: str) -> None:
        mend = "install what its requirements.txt lists beside esteira, in the same Python version"
        super().__init__(f"MLflow cannot load the model: {reason}; {mend}")
        self.reason = reason


class UnreadableMlmodel(BadInput):
    """A folder whose MLmodel MLflow cannot read."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(f"MLflow cannot read the MLmodel in {folder}: {reason}; save the model again")
        self.folder, self.reason = folder, reason


class _Told(msgspec.Struct, frozen=True):
    """What a process says of a model, of a refusal or of an answer."""

    reason: str = ""
    trace: str = ""
    inputs: list[str] | None = None  # names that the model asks for; None when it does not say
    optional: list[str] = []
    width: int | None = None  # columns of a model without names


def environment() -> dict[str, str]:
    """What a model's process sees: one thread, no call home, and none of this project's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ESTEIRA_")}
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    own = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_LOGGING_LEVEL": "ERROR"}
    return {**kept, **dict.fromkeys(threads, "1"), **own}


class _Process:
    """A model in its process, which is started when there is none; one question at a time."""

    def __init__(self, model: Model) -> None:
        self.seconds = permission().seconds
        self._folder = ScratchFolder()
        unpack_folder(model.files.get(PAYLOAD, b""), self._folder.path, PAYLOAD)
        if not (self._folder.path / "MLmodel").is_file():
            raise CorruptArtifact(PAYLOAD, "an MLflow model folder", "no MLmodel in it")
        self._asking = threading.Lock()
        self._child: ChildProcess | None = None
        with self._asking:
            self.facts = self._start()

    def ask(self, kind: bytes, content: bytes, expected: bytes) -> bytes:
        """The content of an answer of the expected kind.

        Raises: ModelRefused, ModelDied, ModelHung, ModelBusy, UnusableAnswer, ModelNotLoaded.
        """
        if not self._asking.acquire(timeout=self.seconds):
            raise ModelBusy(self.seconds)
        try:
            if self._child is None:
                self._start()
            answer = self._of_child(kind, content)
        finally:
            self._asking.release()
        return _content(*answer, expected)

    def _of_child(self, kind: bytes, content: bytes) -> tuple[bytes, bytes]:
        assert self._child is not None
        try:
            return self._child.ask(kind, content, self.seconds)
        except (ModelDied, ModelHung) as ended:
            self._child = None
            log.error("a model's process ended", extra={"reason": str(ended)})
            raise

    def _start(self) -> _Told:
        words = [str(self._folder.path), str(os.getpid()), str(self.seconds)]
        child = ChildProcess(CHILD, words, environment())
        kind, content = child.first_word(START_S)
        told = _told(content)
        if kind != READY:
            log.error("a model cannot be loaded", extra={"trace": told.trace})
            raise ModelNotLoaded(told.reason)
        self._child = child
        return told


def _content(kind: bytes, content: bytes, expected: bytes) -> bytes:
    if kind == expected:
        return content
    told = _told(content)
    if kind == REFUSED:
        log.warning("a model raised", extra={"reason": told.reason, "trace": told.trace})
        raise ModelRefused(told.reason)
    what = "one finite number a row" if expected == SCORES else "the tensors of its signature"
    raise UnusableAnswer(what, told.reason if kind == UNUSABLE else f"a frame of kind {kind!r}")


def _told(content: bytes) -> _Told:
    try:
        return msgspec.json.decode(content, type=_Told)
    except msgspec.MsgspecError as wrong:
        raise UnusableAnswer("what esteira can read", str(wrong)) from wrong


class PyfuncRuntime:
    """A model of columns that MLflow loads, one score a row.

    All rows go to the model in one call, as in MLflow's own server: whether a row scores the same bits alone
    is for the model to say. Calls wait for each other.

    Raises: PyfuncNotAllowed, CorruptArtifact, ModelNotLoaded, ModelDied, ModelHung, UnusableAnswer.
    """

    is_exact = False  # it is the model that says
    judges_rows = True  # by a schema of its own, which knows whole numbers and texts that must be there

    def __init__(self, model: Model) -> None:
        self._columns = model.signature.columns
        self._process = _Process(model)
        _check_columns(self._process.facts, model.signature.names)
        try:
            self.predict(np.zeros((1, len(self._columns))))  # the first code of every category
        except ModelRefused as refused:  # zeros may be nothing that it knows; its answers are judged anyway
            log.info("a model was not tried", extra={"reason": refused.reason})

    def predict_row(self, row: list[float]) -> float:
        return float(self.predict(np.array([row], dtype=np.float64))[0])

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        if not len(matrix):
            return np.empty(0)
        content = self._process.ask(ROWS, pack_rows(self._columns, matrix), SCORES)
        scores = unpack_scores(content)
        if scores.shape != (len(matrix),) or not np.isfinite(scores).all():
            raise UnusableAnswer("one finite number a row", f"{len(scores)} scores for {len(matrix)} rows")
        return scores


def _check_columns(facts: _Told, names: tuple[str, ...]) -> None:
    if facts.width is not None and facts.width != len(names):
        raise CorruptArtifact(PAYLOAD, f"{len(names)} columns", str(facts.width))
    if facts.inputs is not None:
        absent = set(facts.inputs) - set(facts.optional) - set(names)
        if absent or set(names) - set(facts.inputs):
            raise CorruptArtifact(PAYLOAD, f"columns {', '.join(names)}", ", ".join(facts.inputs))


class PyfuncTensorRuntime:
    """A model of tensors that MLflow loads; otherwise as `PyfuncRuntime`. Meets `TensorRuntime`."""

    is_exact = False

    def __init__(self, model: Model) -> None:
        if model.tensors is None:
            raise BadInput("a model of columns has no tensors")
        self._tensors = model.tensors
        self._process = _Process(model)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        content = self._process.ask(TENSORS, pack_tensors(inputs), TENSORS)
        try:
            found = unpack_tensors(content)
        except MalformedFrame as wrong:
            raise UnusableAnswer("the tensors of its signature", str(wrong)) from wrong
        if len(self._tensors.outputs) == len(found) == 1:  # MLflow lets the only tensor be without a name
            found = {self._tensors.outputs[0].name: next(iter(found.values()))}
        return {spec.name: _fitting(spec, found.get(spec.name)) for spec in self._tensors.outputs}


def _fitting(spec: TensorSpec, tensor: NDArray[Any] | None) -> NDArray[Any]:
    expected = f"tensor {spec.name!r} of {spec.datatype} and shape {spec.shape}"
    if tensor is None:
        raise UnusableAnswer(expected, "none of that name")
    if not spec.fits(tensor.shape) or not np.can_cast(tensor.dtype, spec.dtype, "same_kind"):
        raise UnusableAnswer(expected, f"{tensor.dtype} of shape {tensor.shape}")
    return tensor.astype(spec.dtype, copy=False)


def describe(folder: Path) -> bytes:
    """What the MLmodel in a folder says, as JSON of flavors, inputs and outputs; the model is not loaded.

    Raises: UnreadableMlmodel, ModelDied, ModelHung.
    """
    child = ChildProcess(CHILD, [str(folder), str(os.getpid()), DESCRIBE], environment())
    kind, content = child.first_word(START_S)
    if kind != READY:
        raise UnreadableMlmodel(folder, _told(content).reason)
    return content
