from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from tests.project.scored import flights
from tests.serving.worlds import PLAIN, World, tree_model

from esteira.base.errors import BadInput
from esteira.registry.bundle import Model
from esteira.registry.columns import Column, WrongInput
from esteira.registry.signature import Signature
from esteira.registry.tensors import TensorSignature, TensorSpec
from esteira.serving import batch
from esteira.serving.batch import BLOCK, BatchScorer, overlapped
from esteira.serving.combining import fallback
from esteira.serving.gateway import Question

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


def test_a_table_gets_the_bits_that_the_gateway_answers(tmp_path: Path) -> None:
    world, rows = World(tmp_path), flights(300)
    world.deploy(tree_model(0.5))
    asked = rows.drop_columns(["id"]).to_pylist()
    alone = [world.gateway.predict(Question("late", [dict(row)])).scores[0] for row in asked]
    together = world.gateway.predict(Question("late", [dict(row) for row in asked])).scores
    with BatchScorer(tree_model(0.5)) as scorer:
        found = scorer.score(rows)
    assert found.scores.tolist() == alone == together
    assert len(set(alone)) == 2
    assert found.reasons == {}
    assert found.model_seconds > 0


def test_members_that_would_be_late_for_one_row_are_waited_for() -> None:
    deep, fast = tree_model(0.5), tree_model(-0.5)
    model = fallback({"deep": deep, "fast": fast}, deadlines_ms={"deep": 1e-6})
    with BatchScorer(model) as scorer, BatchScorer(deep) as expected:
        assert scorer.score(flights(100)).scores.tolist() == expected.score(flights(100)).scores.tolist()


@pytest.mark.parametrize("threads", [1, 3])
def test_neither_blocks_nor_threads_change_a_score(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = flights(1_000)
    with BatchScorer(tree_model(0.5)) as scorer:
        whole = scorer.score(rows).scores
    monkeypatch.setattr(batch, "BLOCK", 7)
    with BatchScorer(tree_model(0.5), threads=threads) as scorer:
        assert scorer.score(rows).scores.tolist() == whole.tolist()


def test_blocks_are_scored_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    met = threading.Barrier(2, timeout=20)
    with BatchScorer(tree_model(0.5), threads=2) as scorer:
        predict = scorer._runtime.predict

        def waits(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
            met.wait()  # is only passed when another thread is here too
            return predict(matrix)

        monkeypatch.setattr(scorer._runtime, "predict", waits)
        assert len(scorer.score(flights(2 * BLOCK)).scores) == 2 * BLOCK


def test_bad_rows_have_a_reason_and_the_others_a_score() -> None:
    rows = flights(20_000)
    miles = rows["miles"].to_pylist()
    miles[5], miles[19_000] = None, float("inf")
    bad = rows.set_column(1, "miles", pa.array(miles))
    with BatchScorer(tree_model(0.5)) as scorer:
        found, right = scorer.score(bad), scorer.score(rows).scores
    assert found.reasons == {
        5: "column 'miles' must be a number, found nothing",
        19_000: "column 'miles' must be a finite number, found inf",
    }
    assert np.flatnonzero(np.isnan(found.scores)).tolist() == [5, 19_000]
    kept = np.delete(np.arange(20_000), [5, 19_000])
    assert found.scores[kept].tolist() == right[kept].tolist()


def test_rows_that_the_model_itself_refuses_are_found_among_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = flights(1_000)
    with BatchScorer(tree_model(0.5)) as scorer:
        predict = scorer._runtime.predict
        whole = scorer.score(rows).scores
        odd = rows["miles"].to_numpy()[[17, 400]]

        def picky(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
            if np.isin(matrix[:, 0], odd).any():
                raise BadInput("not these miles")
            return predict(matrix)

        monkeypatch.setattr(scorer._runtime, "predict", picky)
        found = scorer.score(rows)
    assert found.reasons == {17: "not these miles", 400: "not these miles"}
    kept = np.delete(np.arange(1_000), [17, 400])
    assert found.scores[kept].tolist() == whole[kept].tolist()


def test_a_table_without_a_column_is_refused_before_any_row() -> None:
    with BatchScorer(tree_model(0.5)) as scorer:
        assert scorer.columns == ("miles", "carrier", "gust")
        with pytest.raises(WrongInput, match="'carrier' must be in the table"):
            scorer.check(flights(2).drop_columns(["carrier"]))
        with pytest.raises(WrongInput, match="'carrier' must be text, found int64"):
            scorer.check(flights(2).set_column(2, "carrier", pa.array([1, 2])))
        scorer.check(flights(2))


def test_a_table_without_rows_has_no_scores() -> None:
    with BatchScorer(tree_model(0.5)) as scorer:
        assert scorer.score(flights(0)).scores.tolist() == []


def test_a_model_of_tensors_is_refused_with_the_mend() -> None:
    spec = TensorSpec("x", "FP64", (-1, 3))
    model = Model("onnx", Signature((), "y"), {}, tensors=TensorSignature((spec,), (spec,)))
    with pytest.raises(BadInput, match="takes tensors, and tables have columns; ask a gateway"):
        BatchScorer(model)


def test_an_unknown_category_is_missing_and_no_fault() -> None:
    signature = Signature((Column("carrier", "category", ("AA",)), *PLAIN.columns[::2]), "late")
    with BatchScorer(tree_model(0.5, signature)) as scorer:
        assert scorer.score(flights(50)).reasons == {}


def test_reading_and_keeping_go_on_while_one_works() -> None:
    """Each of the three waits for the two others to be at their chunk: one after another, none would pass."""
    met = threading.Barrier(3, timeout=20)

    def chunks() -> Iterator[int]:
        for number in range(3):
            if number == 2:
                met.wait()
            yield number

    def work(number: int) -> int:
        if number == 1:
            met.wait()
        return number

    def keep(number: int) -> int:
        if number == 0:
            met.wait()
        return number

    assert list(overlapped(chunks(), work, keep)) == [0, 1, 2]


def test_no_more_than_three_chunks_are_on_their_way() -> None:
    begun = ended = most = 0

    def chunks() -> Iterator[int]:
        nonlocal begun, most
        for number in range(12):
            begun += 1
            most = max(most, begun - ended)
            yield number

    def keep(number: int) -> None:
        nonlocal ended
        time.sleep(0.002)
        ended += 1

    assert len(list(overlapped(chunks(), int, keep))) == 12
    assert most <= 4  # the fourth is asked for while the first is being let go


@pytest.mark.parametrize("where", ["read", "work", "keep"])
def test_a_failure_anywhere_ends_it_and_what_was_being_kept_is_kept(where: str) -> None:
    kept: list[int] = []

    def chunks() -> Iterator[int]:
        yield from range(5)
        if where == "read":
            raise BadInput(where)
        yield 5

    def work(number: int) -> int:
        if number == 5 and where == "work":
            raise BadInput(where)
        return number

    def keep(number: int) -> None:
        if number == 5 and where == "keep":
            raise BadInput(where)
        kept.append(number)

    with pytest.raises(BadInput, match=where):
        list(overlapped(chunks(), work, keep))
    assert kept == [0, 1, 2, 3, 4]
