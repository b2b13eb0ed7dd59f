"""LightGBM through the C library of its own wheel: one row costs microseconds, and no Python package loads.

Source: LightGBM's C API, `LGBM_BoosterPredictForMatSingleRowFast`, which its Python package does not offer
(lightgbm#6913). Importing that package would cost a second and bring pandas; only the library is opened.
"""

from __future__ import annotations

import ctypes
import os
import struct
import threading
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import finalize

import numpy as np

from esteira.base.errors import CorruptArtifact
from esteira.serving.runtimes.tree_text import PAYLOAD, check_classes, check_columns, sound_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from esteira.registry.bundle import Model

_NORMAL, _FLOAT64, _ROW_MAJOR, _ALL_TREES = 0, 1, 1, -1
_PARAMETERS = b"num_threads=1 verbosity=-1"

_found = find_spec("lightgbm")
if _found is None or _found.origin is None:
    raise ModuleNotFoundError("lightgbm is not installed", name="lightgbm")
_LIBRARY = next((Path(_found.origin).parent / "lib").glob("lib_lightgbm.*"))


@cache
def _library() -> ctypes.CDLL:
    # Read when the library loads: its idle threads sleep instead of spinning beside the requests.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    library = ctypes.CDLL(str(_LIBRARY))
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    return library


@cache
def _predict_one() -> ctypes._NamedFuncPointer:
    # Microseconds of work: giving up the interpreter lock would cost more than it frees.
    predict = ctypes.PyDLL(str(_LIBRARY)).LGBM_BoosterPredictForMatSingleRowFast
    predict.argtypes = [ctypes.c_void_p] * 4
    return predict


def _check(code: int) -> None:
    if code:
        reason = _library().LGBM_GetLastError().decode(errors="replace")
        raise CorruptArtifact(PAYLOAD, "a model that LightGBM can read", reason)


class _Booster:
    """A loaded model; freed with the last thing that uses it."""

    def __init__(self, text: bytes) -> None:
        text = sound_text(text)
        self.handle, trees = ctypes.c_void_p(), ctypes.c_int()
        _check(
            _library().LGBM_BoosterLoadModelFromString(text, ctypes.byref(trees), ctypes.byref(self.handle))
        )
        finalize(self, _library().LGBM_BoosterFree, self.handle)
        self.columns = self._number("LGBM_BoosterGetNumFeature")
        check_classes(self._number("LGBM_BoosterGetNumClasses"))

    def _number(self, function: str) -> int:
        found = ctypes.c_int()
        _check(_library()[function](self.handle, ctypes.byref(found)))
        return found.value


class _FastRow:
    """The prepared single-row call of one thread: it owns the memory that it reads and writes."""

    def __init__(self, booster: _Booster) -> None:
        self.booster = booster  # keeps the model alive as long as this configuration points to it
        config = ctypes.c_void_p()
        init = _library().LGBM_BoosterPredictForMatSingleRowFastInit
        columns = ctypes.c_int32(booster.columns)
        _check(
            init(booster.handle, _NORMAL, 0, _ALL_TREES, _FLOAT64, columns, _PARAMETERS, ctypes.byref(config))
        )
        finalize(self, _library().LGBM_FastConfigFree, config)
        self.row, self.score = (ctypes.c_double * booster.columns)(), ctypes.c_double()
        self.write = struct.Struct(f"{booster.columns}d").pack_into
        self._length = ctypes.c_int64()
        self.arguments = (
            config,
            ctypes.addressof(self.row),
            ctypes.addressof(self._length),
            ctypes.addressof(self.score),
        )


class LightgbmRuntime:
    """A binary classifier from LightGBM's text format. Raises: CorruptArtifact."""

    is_exact = True

    def __init__(self, model: Model) -> None:
        self._booster = _Booster(model.files.get(PAYLOAD, b""))
        check_columns(len(model.signature.columns), self._booster.columns)
        self._local = threading.local()
        self._predict_one = _predict_one()

    def predict_row(self, row: list[float]) -> float:
        fast: _FastRow | None = getattr(self._local, "fast", None)
        if fast is None:
            fast = self._local.fast = _FastRow(self._booster)
        fast.write(fast.row, 0, *row)
        if self._predict_one(*fast.arguments):
            _check(-1)
        return fast.score.value

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = np.ascontiguousarray(matrix, dtype=np.float64)
        scores, length = np.empty(len(rows), dtype=np.float64), ctypes.c_int64()
        if len(rows):
            _check(
                _library().LGBM_BoosterPredictForMat(
                    self._booster.handle,
                    ctypes.c_void_p(rows.ctypes.data),
                    _FLOAT64,
                    ctypes.c_int32(rows.shape[0]),
                    ctypes.c_int32(rows.shape[1]),
                    _ROW_MAJOR,
                    _NORMAL,
                    0,
                    _ALL_TREES,
                    _PARAMETERS,
                    ctypes.byref(length),
                    ctypes.c_void_p(scores.ctypes.data),
                )
            )
        return scores
