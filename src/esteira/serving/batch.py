"""A model over tables: the rows of a chunk become scores on all cores, by the code that answers requests.

A chunk is scored in blocks that fit a core's cache, each on a thread of its own: a library that gives up the
interpreter lock then uses every core, and a row gets the bits that it gets alone if the runtime `is_exact`.
No store is known here.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Self, TypeVar

import numpy as np

from esteira.base.errors import BadInput
from esteira.serving.combining.files import without_deadlines
from esteira.serving.runtimes import open_runtime
from esteira.serving.unscorable import unscorable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    import pyarrow as pa
    from numpy.typing import NDArray

    from esteira.registry.bundle import Model

BLOCK = 8_192  # rows: large enough that calls cost nothing, small enough for a cache and for even shares

_A = TypeVar("_A")
_B = TypeVar("_B")
_C = TypeVar("_C")


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """What a model said of the rows of a table."""

    scores: NDArray[np.float64]  # shape (rows,); NaN where there is a reason
    reasons: Mapping[int, str]  # place of a row → why it has no score
    model_seconds: float  # in the model, all threads together


class BatchScorer:
    """Scores tables with one model; threads live until it is closed.

    Nobody waits for one row, so the members of a combination have no deadline.
    Raises: BadInput (a model of tensors), and what `open_runtime` raises.
    """

    def __init__(self, model: Model, *, threads: int | None = None) -> None:
        if model.tensors is not None:
            raise BadInput(
                "the model takes tensors, and tables have columns; ask a gateway, which takes tensors"
            )
        self.signature = model.signature
        self.threads = threads or os.cpu_count() or 1
        self._runtime = open_runtime(without_deadlines(model))
        self._pool = ThreadPoolExecutor(self.threads, "score")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    @property
    def columns(self) -> tuple[str, ...]:
        """What a table must hold, beside what views and transforms supply."""
        return tuple(column.name for column in self.signature.request_columns)

    def check(self, rows: pa.Table) -> None:
        """Refuse a table whose columns are not those of the model. Raises: WrongInput."""
        empty = rows.slice(0, 0)
        self.signature.encode_table(empty)
        unscorable(empty, self.signature.request_columns)

    def score(self, rows: pa.Table) -> ScoredRows:
        """The score of each row, or why it has none. The columns of views stand in the table.

        Raises: WrongInput (a column that is missing or of another type), and what the runtime raises of a
        whole block. What a request would be refused for is a reason of its row.
        """
        scores = np.empty(rows.num_rows)
        reasons: dict[int, str] = {}
        seconds = 0.0

        def block(start: int) -> tuple[int, dict[int, str], float]:
            part = rows.slice(start, BLOCK)
            return (start, *self._score(part, scores[start : start + part.num_rows]))

        for start, wrong, spent in self._pool.map(block, range(0, rows.num_rows, BLOCK)):
            reasons |= {start + place: reason for place, reason in wrong.items()}
            seconds += spent
        return ScoredRows(scores, reasons, seconds)

    def _score(self, rows: pa.Table, scores: NDArray[np.float64]) -> tuple[dict[int, str], float]:
        """Fill in the scores of one block."""
        matrix = self.signature.encode_table(rows)
        # Where every number is there, only what transforms alone ask for can be wrong.
        asked = self.signature.inputs if np.isfinite(matrix).all() else self.signature.request_columns
        wrong = unscorable(rows, asked)
        started = perf_counter()
        if wrong:
            scores[[*wrong]] = np.nan
            places = np.setdiff1d(np.arange(len(scores)), [*wrong])
            found = np.empty(len(places))
            refused = self._predict(matrix[places], found)
            scores[places] = found
            wrong |= {int(places[place]): reason for place, reason in refused.items()}
        else:
            wrong = self._predict(matrix, scores)
        return wrong, perf_counter() - started

    def _predict(self, matrix: NDArray[np.float64], scores: NDArray[np.float64]) -> dict[int, str]:
        """Fill in scores; of rows that the model itself refuses, which and why."""
        if not len(matrix):
            return {}
        try:
            scores[:] = self._runtime.predict(matrix)
        except BadInput as refused:
            if len(matrix) == 1:
                scores[:] = np.nan
                return {0: str(refused)}
            half = len(matrix) // 2
            first = self._predict(matrix[:half], scores[:half])
            second = self._predict(matrix[half:], scores[half:])
            return first | {half + place: reason for place, reason in second.items()}
        return {}


def overlapped(chunks: Iterator[_A], work: Callable[[_A], _B], keep: Callable[[_B], _C]) -> Iterator[_C]:
    """What `keep` made of what `work` made of each chunk, in order.

    While one chunk is worked on in the caller's thread, the next is read and the one before is kept, each on
    a thread of its own: three are in memory. When anything fails, what is being kept is kept to its end.
    Raises: what any of the three raises.
    >>> list(overlapped(iter([1, 2, 3]), lambda each: each * 10, str))
    ['10', '20', '30']
    """
    with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(1, "keep") as keeper:
        coming = reader.submit(_next, chunks)
        keeping = None
        while found := coming.result():
            coming = reader.submit(_next, chunks)
            done = work(found.pop())
            if keeping is not None:
                yield keeping.result()
            keeping = keeper.submit(keep, done)
            del done  # the thread that keeps it lets go of it first
        if keeping is not None:
            yield keeping.result()


def _next(chunks: Iterator[_A]) -> list[_A]:
    """The next chunk, in a list that gives it away; empty at the end."""
    return [*islice(chunks, 1)]
