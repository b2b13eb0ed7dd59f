"""XGBoost through the C library of its own wheel: no Python package loads, no DMatrix is built.

A value is rounded to float32 before it meets a threshold, and a score is a float32, as XGBoost does it
everywhere. Most of the time of a row is the library's own preparation of a call.
Source: XGBoost's C API, `XGBoosterPredictFromDense`, which is safe to call from several threads.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import threading
from functools import cache
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import finalize

import numpy as np

from esteira.base.errors import BadInput, CorruptArtifact
from esteira.serving.runtimes.ubjson import MalformedUbjson, decode
from esteira.serving.runtimes.xgboost_trees import check_trees

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from esteira.registry.bundle import Model

    Json = Any  # a value of JSON or UBJSON

BINARY, TEXT = "model.ubj", "booster.json"  # model.json is the card of every bundle

_PREDICTION = (
    b'{"type": 0, "training": false, "iteration_begin": 0, "iteration_end": 0, "missing": NaN,'
    b' "strict_shape": false, "cache_id": 0}'
)
_TREES = ("gbtree", "dart")

_found = find_spec("xgboost")
if _found is None or _found.origin is None:
    raise ModuleNotFoundError("xgboost is not installed", name="xgboost")
_LIBRARY = next(
    each
    for each in (Path(_found.origin).parent / "lib").glob("*xgboost.*")
    if each.suffix in {".so", ".dylib", ".dll"}
)


class NotOneScore(BadInput):
    """A model that does not answer with one score a row."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"an XGBoost model must answer with one score a row, found {found}; "
            "train trees for binary:logistic or for a regression of one target"
        )


@cache
def _library() -> ctypes.CDLL:
    # Read when the library loads: its idle threads sleep instead of spinning beside the requests.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    library = ctypes.CDLL(str(_LIBRARY))
    library.XGBGetLastError.restype = ctypes.c_char_p
    return library


def _reason() -> str:
    lines = _library().XGBGetLastError().decode(errors="replace").splitlines()
    return next((line for line in lines if line.strip()), "no reason given")  # the others are a stack trace


class _Booster:
    """A loaded model; freed with the last thing that uses it."""

    def __init__(self, content: bytes, payload: str) -> None:
        self.handle = ctypes.c_void_p()
        library = _library()
        library.XGBoosterCreate(None, ctypes.c_uint64(0), ctypes.byref(self.handle))
        finalize(self, library.XGBoosterFree, self.handle)
        for name, value in ((b"nthread", b"1"), (b"verbosity", b"0")):
            library.XGBoosterSetParam(self.handle, name, value)
        if library.XGBoosterLoadModelFromBuffer(self.handle, content, ctypes.c_uint64(len(content))):
            raise CorruptArtifact(payload, "a model that XGBoost can read", _reason())


class _Call:
    """A prepared prediction of one thread: what the library reads, and where it puts its answer."""

    def __init__(self, booster: _Booster) -> None:
        self._booster = booster  # keeps the model alive
        self._length, self._dimensions = ctypes.c_void_p(), ctypes.c_uint64()
        self.scores = ctypes.POINTER(ctypes.c_float)()
        proxy = ctypes.c_void_p()  # the library would make one for each call
        _library().XGProxyDMatrixCreate(ctypes.byref(proxy))
        finalize(self, _library().XGDMatrixFree, proxy)
        self._proxy = proxy

    def arguments(self, address: int, shape: tuple[int, int]) -> tuple[Any, ...]:
        """Of a matrix of doubles at an address, which must outlive them."""
        array = {"data": [address, True], "shape": shape, "strides": None, "typestr": "<f8", "version": 3}
        return (
            self._booster.handle,
            ctypes.c_char_p(json.dumps(array).encode()),
            ctypes.c_char_p(_PREDICTION),
            self._proxy,
            ctypes.byref(self._length),
            ctypes.byref(self._dimensions),
            ctypes.byref(self.scores),
        )

    def answered(self) -> int:
        """How many numbers the last prediction gave."""
        lengths = ctypes.cast(self._length, ctypes.POINTER(ctypes.c_uint64))
        return prod(lengths[: self._dimensions.value])


class _Row(_Call):
    """The call for one row: it owns the memory of the row."""

    def __init__(self, booster: _Booster, columns: int) -> None:
        super().__init__(booster)
        self.row = (ctypes.c_double * columns)()
        self.write = struct.Struct(f"{columns}d").pack_into
        self.prepared = self.arguments(ctypes.addressof(self.row), (1, columns))


class XgboostRuntime:
    """Trees of XGBoost for two classes or for one number, from `model.ubj` or `booster.json`.

    Raises: CorruptArtifact, NotOneScore.
    """

    is_exact = True

    def __init__(self, model: Model) -> None:
        payload = TEXT if TEXT in model.files else BINARY
        content = model.files.get(payload, b"")
        self._columns = len(model.signature.columns)
        _check(_document(content, payload), payload, self._columns)
        self._booster = _Booster(content, payload)
        self._predict_dense = _library().XGBoosterPredictFromDense
        self._local = threading.local()
        self.predict(np.zeros((1, self._columns)))

    def predict_row(self, row: list[float]) -> float:
        prepared: _Row | None = getattr(self._local, "row", None)
        if prepared is None:
            prepared = self._local.row = _Row(self._booster, self._columns)
        prepared.write(prepared.row, 0, *row)
        if self._predict_dense(*prepared.prepared):
            raise BadInput(f"XGBoost refuses the row: {_reason()}")
        return float(prepared.scores[0])

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = np.ascontiguousarray(matrix, dtype=np.float64)
        if not len(rows):
            return np.empty(0, dtype=np.float64)
        call = _Call(self._booster)
        if self._predict_dense(*call.arguments(rows.ctypes.data, (len(rows), self._columns))):
            raise BadInput(f"XGBoost refuses the rows: {_reason()}")
        if call.answered() != len(rows):  # the memory behind them would be read
            raise NotOneScore(f"{call.answered()} for {len(rows)}")
        return np.ctypeslib.as_array(call.scores, (len(rows),)).astype(np.float64)


def _document(content: bytes, payload: str) -> Json:
    try:
        if payload == BINARY:
            return decode(content)
        return json.loads(content.decode(), object_pairs_hook=_once)
    except (ValueError, MalformedUbjson, RecursionError) as broken:
        raise CorruptArtifact(payload, "a whole XGBoost model", str(broken)) from broken


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; of a doubled name the library could take the value that was not looked at."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a doubled name")
    return found


def _check(document: Json, payload: str, columns: int) -> None:
    try:
        learner = document["learner"]
        shape = learner["learner_model_param"]
        found, classes, targets = (int(shape[name]) for name in ("num_feature", "num_class", "num_target"))
        booster, objective = str(learner["gradient_booster"]["name"]), str(learner["objective"]["name"])
    except (KeyError, IndexError, OverflowError, TypeError, ValueError) as broken:
        raise CorruptArtifact(payload, "a model of XGBoost 1.6 or newer", repr(broken)) from broken
    if found != columns:
        raise CorruptArtifact(payload, f"{columns} columns", f"{found}")
    if booster not in _TREES:
        raise NotOneScore(f"the booster {booster!r}")
    is_odd = objective.startswith("multi:") or (
        objective.startswith("binary:") and objective != "binary:logistic"
    )
    if classes > 1 or targets > 1 or is_odd:
        raise NotOneScore(f"{objective}, {max(classes, targets)} of them")
    check_trees(learner["gradient_booster"], payload, columns)
