"""What every JoinEngine must do."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from esteira.features.engines.port import JoinEngine

Pairs = list[tuple[int, int]]
pairs = st.lists(
    st.tuples(st.integers(0, 2), st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1)), max_size=15
)


def table(cells: Pairs, time: str) -> pa.Table:
    keys, times = [key for key, _ in cells], [moment for _, moment in cells]
    return pa.table({"key": pa.array(keys, pa.int64()), time: pa.array(times, pa.int64())})


def brute(spine: Pairs, rows: Pairs) -> list[int | None]:
    return [
        max((n for n, (other, moment) in enumerate(rows) if other == key and moment <= at), default=None)
        for key, at in spine
    ]


class JoinEngineContract:
    """Subclass it and give `open`."""

    def open(self) -> JoinEngine:
        raise NotImplementedError

    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(spine=pairs, rows=pairs, is_sorted=st.booleans())
    def test_the_last_row_that_was_available_answers(
        self, spine: Pairs, rows: Pairs, *, is_sorted: bool
    ) -> None:
        rows = sorted(rows, key=lambda row: row[1]) if is_sorted else rows
        found = self.open().last_available(table(spine, "at"), table(rows, "available"))
        assert found.type == pa.int64()
        assert found.to_pylist() == brute(spine, rows)

    def test_many_answers_keep_the_order_of_the_questions(self) -> None:
        count = 20_000
        spine = [(n * 7919 % 97, n * 31 % 1000) for n in range(count)]
        rows = [(key, moment) for moment in range(0, 1000, 10) for key in range(97)]
        found = self.open().last_available(table(spine, "at"), table(rows, "available"))
        assert found.to_pylist() == [at // 10 * 97 + key for key, at in spine]

    def test_threads_do_not_meet(self) -> None:
        engine, wrong = self.open(), []

        def join(key: int) -> None:
            for _ in range(5):
                found = engine.last_available(
                    table([(key, 5)] * 100, "at"), table([(key, 5)] * (key + 1), "available")
                )
                if found.to_pylist() != [key] * 100:
                    wrong.append(key)

        threads = [threading.Thread(target=join, args=(key,)) for key in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
