"""What a model is given to do: rows of columns, or tensors; alone, or joined with what waits for it too."""

from __future__ import annotations

from struct import Struct
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import numpy as np

from esteira.base.errors import BadInput, UnknownName
from esteira.registry.columns import WrongInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from esteira.registry.signature import Signature
    from esteira.registry.tensors import TensorSignature, TensorSpec
    from esteira.serving.runtimes.port import Runtime, TensorRuntime

MOST_ROWS = 50_000  # of one request; a few megabytes of JSON can hold millions
_LOGGED = 4_096  # numbers of one row of tensors that are logged; an image is not


class Scored(msgspec.Struct, gc=False):
    """What a model said of some rows."""

    scores: list[float]  # one for each row; of tensors, the first number of the first output
    seconds: float  # in the model
    cpu_seconds: float
    outputs: Mapping[str, NDArray[Any]] | None = None
    parts: list[float] | None = None  # of a combination: what each member gave, row by row; NaN for nothing


class Version(Protocol):
    """A version in memory, as far as work needs it."""

    @property
    def signature(self) -> Signature: ...
    @property
    def runtime(self) -> Runtime:
        """Raises: BadInput (a model of tensors)."""
        ...

    @property
    def tensor_runtime(self) -> TensorRuntime:
        """Raises: BadInput (a model of columns)."""
        ...


class Work(Protocol):
    """A request as a model sees it."""

    @property
    def rows(self) -> int: ...
    def score(self, loaded: Version) -> Scored:
        """Ask the model, on this thread. Raises: what the runtime raises."""
        ...

    def joins(self, other: Work) -> bool:
        """Whether both can be scored in one call."""
        ...

    def vector(self) -> Sequence[float]:
        """What the model saw of the only row, for the log."""
        ...

    def packed(self) -> bytes:
        """What it saw of all rows, as float64, little-endian."""
        ...


class ColumnsWork(msgspec.Struct, gc=False):
    """Rows of a model of columns, each a list of its numbers."""

    vectors: list[list[float]]
    _packed: bytes = b""  # once somebody has asked for it

    @property
    def rows(self) -> int:
        return len(self.vectors)

    def matrix(self, columns: int) -> NDArray[np.float64]:
        """Shape (rows, columns)."""
        return np.frombuffer(bytearray(self.packed()), "<f8").reshape(len(self.vectors), columns)

    def score(self, loaded: Version) -> Scored:
        runtime = loaded.runtime
        if len(self.vectors) == 1:
            parts_of = getattr(runtime, "predict_row_parts", None)
            started = perf_counter()
            if parts_of is None:
                scores = [runtime.predict_row(self.vectors[0])]
                seconds = perf_counter() - started
                return Scored(scores, seconds, seconds)  # the thread's own clock costs as much as the row
            score, parts = parts_of(self.vectors[0])
            seconds = perf_counter() - started
            return Scored([score], seconds, seconds, None, parts)
        matrix = self.matrix(len(loaded.signature.columns))
        started, cpu = perf_counter(), thread_time()
        scores, parts = _scored(runtime, matrix)
        return Scored(scores, perf_counter() - started, thread_time() - cpu, None, parts)

    def joins(self, other: Work) -> bool:
        return isinstance(other, ColumnsWork)

    def vector(self) -> Sequence[float]:
        return self.vectors[0]

    def packed(self) -> bytes:
        if self.vectors and not self._packed:
            pack = Struct(
                f"<{len(self.vectors[0])}d"
            ).pack  # a quarter of the time that NumPy takes for lists
            self._packed = b"".join([pack(*vector) for vector in self.vectors])
        return self._packed


class TensorsWork(msgspec.Struct, gc=False):
    """The inputs of a model of tensors, by name."""

    inputs: Mapping[str, NDArray[Any]]
    is_batched: bool  # whether the first dimension of each is that of rows

    @property
    def rows(self) -> int:
        return len(next(iter(self.inputs.values()))) if self.is_batched else 1

    def score(self, loaded: Version) -> Scored:
        started, cpu = perf_counter(), thread_time()
        outputs = loaded.tensor_runtime.run(self.inputs)
        seconds, cpu_seconds = perf_counter() - started, thread_time() - cpu
        return Scored(_firsts(outputs, self.rows), seconds, cpu_seconds, outputs)

    def joins(self, other: Work) -> bool:
        if not isinstance(other, TensorsWork) or not (self.is_batched and other.is_batched):
            return False
        return all(mine.shape[1:] == other.inputs[name].shape[1:] for name, mine in self.inputs.items())

    def vector(self) -> Sequence[float]:
        numbers: list[float] = np.frombuffer(self.packed(), "<f8").tolist()
        return numbers

    def packed(self) -> bytes:
        held = [values for values in self.inputs.values() if values.dtype != object]
        if not held or sum(values.size for values in held) > _LOGGED * self.rows:
            return b""
        flat = [values.reshape(self.rows, -1).astype("<f8") for values in held]
        return np.concatenate(flat, axis=1).tobytes()


def refuse_many(rows: int) -> None:
    """Refuse a request of more rows than one may have. Raises: BadInput."""
    if rows > MOST_ROWS:
        raise BadInput(f"at most {MOST_ROWS} rows at once, found {rows}; send several requests")


def checked_tensors(
    tensors: TensorSignature, inputs: Mapping[str, NDArray[Any]]
) -> Mapping[str, NDArray[Any]]:
    """The inputs of a model in its order, contiguous. Raises: WrongInput, BadInput, UnknownName."""
    known = [spec.name for spec in tensors.inputs]
    for name in inputs:
        if name not in known:
            raise UnknownName("tensor", name[:80], known)
    checked = {spec.name: _checked(spec, inputs.get(spec.name)) for spec in tensors.inputs}
    if tensors.is_batched:
        sizes = {name: len(array) for name, array in checked.items()}
        refuse_many(max(sizes.values()))
        if len({*sizes.values()}) > 1:
            raise BadInput(f"tensors differ in their number of rows: {sizes}")
    return checked


def _checked(spec: TensorSpec, array: NDArray[Any] | None) -> NDArray[Any]:
    if array is None:
        raise WrongInput(spec.name, f"a tensor of {spec.datatype}", "nothing")
    if array.dtype != np.dtype(spec.dtype):
        raise WrongInput(spec.name, f"of datatype {spec.datatype}", str(array.dtype))
    if not spec.fits(array.shape):
        raise WrongInput(spec.name, f"of shape {[*spec.shape]}, -1 for any", f"{[*array.shape]}")
    return np.ascontiguousarray(array) if array.ndim else array


def score_together(loaded: Version, works: Sequence[Work]) -> list[Scored]:
    """Score works that join in one call, and deal the answers out again; time goes by rows."""
    if len(works) == 1:
        return [works[0].score(loaded)]
    counts = [work.rows for work in works]
    whole = _joined(works).score(loaded)
    ends = np.cumsum(counts).tolist()
    parts, width = whole.parts, len(whole.parts or ()) // max(len(whole.scores), 1)
    answers = {len(whole.scores), *(len(output) for output in (whole.outputs or {}).values())}
    if answers != {ends[-1]}:
        return [work.score(loaded) for work in works]  # its answers are not row by row
    total = max(ends[-1], 1)
    return [
        Scored(
            whole.scores[end - rows : end],
            whole.seconds * rows / total,
            whole.cpu_seconds * rows / total,
            None if whole.outputs is None else {n: v[end - rows : end] for n, v in whole.outputs.items()},
            None if parts is None else parts[(end - rows) * width : end * width],
        )
        for rows, end in zip(counts, ends, strict=True)
    ]


def _scored(runtime: Runtime, matrix: NDArray[np.float64]) -> tuple[list[float], list[float] | None]:
    """The scores of many rows, and the parts of a combination."""
    parts_of = getattr(runtime, "predict_parts", None)
    if parts_of is None:
        return runtime.predict(matrix).tolist(), None
    scores, parts = parts_of(matrix)
    return scores.tolist(), parts.ravel().tolist()


def _joined(works: Sequence[Work]) -> Work:
    if isinstance(works[0], ColumnsWork):
        given = [work.vectors for work in works if isinstance(work, ColumnsWork)]
        return ColumnsWork([vector for vectors in given for vector in vectors])
    inputs = [work.inputs for work in works if isinstance(work, TensorsWork)]
    joined = {name: np.concatenate([each[name] for each in inputs]) for name in inputs[0]}
    return TensorsWork(joined, is_batched=True)


def _firsts(outputs: Mapping[str, NDArray[Any]], rows: int) -> list[float]:
    """One number for each row, for the log and the monitors; NaN where the first output has none."""
    first = next(iter(outputs.values()))
    if first.dtype == object or not rows or first.size < rows or first.size % rows:
        return [float("nan")] * rows
    firsts: list[float] = first.reshape(rows, -1)[:, 0].astype(np.float64).tolist()
    return firsts
