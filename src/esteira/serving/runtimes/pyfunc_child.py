"""The process of one pyfunc model: `python -m esteira.serving.runtimes.pyfunc_child FOLDER PARENT SECONDS`.

The only process that imports MLflow to load a model, and so the only one in which a model may unpickle. It
says that it is ready, then answers frames until its standard input ends. What a model prints goes to
standard error, for the standard output is the channel.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import traceback
from numbers import Real
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec
import numpy as np

from esteira.base.errors import BadInput
from esteira.serving.lifeline import end_with
from esteira.serving.runtimes.frames import (
    DESCRIBE,
    HEADER,
    READY,
    REFUSED,
    ROWS,
    SCORES,
    TENSORS,
    UNUSABLE,
    framed,
    pack_tensors,
    unpack_rows,
    unpack_tensors,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Pyfunc = Any  # MLflow ships no types
    Schema = Any  # of MLflow
    Frame = Any  # of pandas, which only some models ask for
    Answered = Any  # whatever a model gives

_LONGEST = 300  # characters of a model's own words that reach a caller
_PATIENCE = 2  # deadlines after which a call ends this process, should its parent be there no more


class NoScores(BadInput):
    """What a model answered is no number a row, or no tensor."""

    def __init__(self, found: str) -> None:
        super().__init__(f"the model answered {found}")
        self.found = found


class Answers:
    """A loaded MLflow model, asked by frames. What it raises becomes a frame; its exit ends the process."""

    def __init__(self, model: Pyfunc) -> None:
        self._model = model
        schema, outputs = model.metadata.get_input_schema(), model.metadata.get_output_schema()
        self.facts = _facts(schema)
        self._types = _types(schema)
        self._is_bare = schema is None or not schema.has_input_names()  # it takes an array, not a dictionary
        self._output = (outputs.input_names() or ["output"])[0] if outputs is not None else "output"

    def answer(self, kind: bytes, content: bytes) -> tuple[bytes, bytes]:
        """The frame that answers a frame."""
        try:
            given, rows = self._given(kind, content)
            answered = self._model.predict(given)
        except Exception as raised:  # noqa: BLE001 - a model may raise anything, and that is an answer
            return REFUSED, told(raised)
        try:
            if kind == ROWS:
                return SCORES, scores_of(answered, rows).tobytes()
            return TENSORS, pack_tensors(tensors_of(answered, self._output))
        except BadInput as wrong:
            return UNUSABLE, msgspec.json.encode({"reason": getattr(wrong, "found", str(wrong))})

    def _given(self, kind: bytes, content: bytes) -> tuple[Any, int]:
        if kind == ROWS:
            frame = frame_of(unpack_rows(content), self._types)
            return frame, len(frame)
        tensors = unpack_tensors(content)
        is_array = self._is_bare and len(tensors) == 1
        return next(iter(tensors.values())) if is_array else tensors, 0


def _facts(schema: Schema) -> dict[str, Any]:
    """What a model asks for, as far as its MLmodel says."""
    if schema is None:
        return {}
    if schema.has_input_names():
        return {"inputs": schema.input_names(), "optional": schema.optional_input_names()}
    if not schema.is_tensor_spec():
        return {"width": len(schema.inputs)}
    shape = schema.inputs[0].shape
    return {"width": shape[1]} if len(shape) == 2 and shape[1] > 0 else {}


def _types(schema: Schema) -> list[tuple[str | None, str]]:
    """The name and NumPy's type of each column; none of a type that NumPy does not have."""
    if schema is None or schema.is_tensor_spec():
        return []
    return [
        (spec.name, str(spec.type.to_numpy()) if hasattr(spec.type, "to_numpy") else "")
        for spec in schema.inputs
    ]


def frame_of(columns: Mapping[str, NDArray[Any]], types: Sequence[tuple[str | None, str]]) -> Frame:
    """The rows as MLflow checks them: numbers of the type that the model asks for, texts as objects.

    A column without a name in `types` is that of its place.
    """
    from pandas import DataFrame, Series

    names = [name for name, _ in types]
    places = list(columns) if None in names else names
    kinds = {place: kind for place, (_, kind) in zip(places, types, strict=False)}
    series = {}
    for name, values in columns.items():
        # Said, because pandas would make texts its own type, and a missing one NaN.
        held = values if values.dtype == object else _typed(values, kinds.get(name, ""))
        series[name] = Series(held, dtype=held.dtype)
    return DataFrame(series)


def _typed(values: NDArray[np.float64], kind: str) -> NDArray[Any]:
    """The numbers in the type that the model asks for; as they are where that would change them."""
    if kind not in {"int32", "int64", "float32", "bool"}:
        return values
    with np.errstate(over="ignore", invalid="ignore"):
        moved = values.astype(kind)
    return moved if kind == "float32" or np.array_equal(moved, values) else values


def scores_of(answered: Answered, rows: int) -> NDArray[np.float64]:
    """One score a row, shape (rows,), from what a model answered.

    Numbers of shape (rows,) or (rows, 1); of (rows, 2), as of two classes, the second column; a frame of one.
    Raises: NoScores.
    >>> scores_of([[0.25, 0.75], [0.5, 0.5]], 2).tolist()
    [0.75, 0.5]
    """
    names = getattr(answered, "columns", None)
    if names is not None and len(names) != 1:
        raise NoScores(f"a frame of the columns {', '.join(map(str, names))}"[:_LONGEST])
    try:
        found = np.asarray(answered)
    except ValueError as ragged:
        raise NoScores("lists of different lengths") from ragged
    if found.dtype == object and found.ndim and all(isinstance(each, Real) for each in found.ravel()):
        found = found.astype(np.float64)
    if found.dtype.kind not in "biuf":
        kind = type(answered).__name__
        raise NoScores(f"a {kind} of {found.dtype}" if found.ndim else f"a {kind}")
    shape = found.shape
    if found.ndim == 2 and found.shape[1] in (1, 2):
        found = found[:, -1]
    if found.shape != (rows,):
        raise NoScores(f"numbers of shape {shape} for {rows} rows")
    return np.ascontiguousarray(found, dtype="<f8")


def tensors_of(answered: Answered, name: str) -> dict[str, NDArray[Any]]:
    """Tensors by name from what a model answered; one without a name gets the given one. Raises: NoScores."""
    names = getattr(answered, "columns", None)
    if names is not None:
        answered = {str(each): answered[each] for each in names}
    if not isinstance(answered, dict):
        answered = {name: answered}
    try:
        return {str(key): np.asarray(value) for key, value in answered.items()}
    except ValueError as ragged:
        raise NoScores("lists of different lengths") from ragged


def told(raised: Exception) -> bytes:
    """An error as a caller may read it, and its trace, which no caller sees."""
    words = " ".join(str(raised).split())
    reason = f"{type(raised).__name__}: {words}" if words else type(raised).__name__
    return msgspec.json.encode({"reason": reason[:_LONGEST], "trace": traceback.format_exc()})


def describe(folder: str) -> bytes:
    """The flavors and the signature that an MLmodel names, as JSON; the model is not loaded."""
    from mlflow.models import Model

    found = Model.load(folder)
    schemas: Mapping[str, Any] = {"inputs": found.get_input_schema(), "outputs": found.get_output_schema()}
    said = {name: None if schema is None else schema.to_dict() for name, schema in schemas.items()}
    return msgspec.json.encode({"flavors": found.flavors, **said})


def main(arguments: Sequence[str]) -> int:
    """Serve the model of a folder until the input ends; returns the exit code. DESCRIBE for SECONDS: once."""
    folder, parent, seconds = arguments
    requests, answers = _channel()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal, whose command ends this process itself
    end_with(int(parent))
    try:
        if seconds == DESCRIBE:
            _send(answers, READY, describe(folder))
            return 0
        serving = Answers(_loaded(folder))
    except Exception as broken:  # noqa: BLE001 - a model may break its loader in any way
        _send(answers, REFUSED, told(broken))
        return 1
    _send(answers, READY, msgspec.json.encode(serving.facts))
    while len(header := requests.read(HEADER.size)) == HEADER.size:
        kind, size = HEADER.unpack(header)
        content = requests.read(size)
        # Ends a model that holds the interpreter, and with it the lifeline, when nobody is left to kill it.
        faulthandler.dump_traceback_later(_PATIENCE * float(seconds), exit=True)
        _send(answers, *serving.answer(kind, content))
        faulthandler.cancel_dump_traceback_later()
    return 0


def _send(answers: BinaryIO, kind: bytes, content: bytes) -> None:
    answers.write(framed(kind, content))
    answers.flush()


def _loaded(folder: str) -> Pyfunc:
    # Here, and nowhere else in esteira, a file may bring code that runs: the user has allowed it.
    from mlflow.pyfunc import load_model

    return load_model(folder, suppress_warnings=True)


def _channel() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output for frames alone: whoever prints or reads now gets another stream."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return requests, answers


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
