"""Polars as the join engine: a second opinion on every cell, by another implementation."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa

_LAST = pl.col("position").max()
_BEST = pl.col("position").cum_max().over("key")  # a row that came late hides no better one


class PolarsEngine:
    """Joins in memory with Polars' own as-of join and its threads."""

    threads = 1

    def __init__(self, url: str = "polars:") -> None:
        self.url = url

    def last_available(self, spine: pa.Table, rows: pa.Table) -> pa.Array:
        """See `JoinEngine.last_available`."""
        # One row for each key and moment, sorted as the join wants it: what it does otherwise is not defined.
        known = (
            _frame(rows)
            .with_row_index("position")
            .with_columns(pl.col("position").cast(pl.Int64))
            .group_by("key", "available")
            .agg(_LAST)
            .sort("available", "key")
            .with_columns(_BEST)
        )
        asked = _frame(spine).with_row_index("number").sort("at")
        found = asked.join_asof(known, left_on="at", right_on="available", by="key", check_sortedness=False)
        answers = np.full(spine.num_rows, -1, np.int64)
        answers[found["number"].to_numpy()] = found["position"].fill_null(-1).to_numpy()
        return pa.array(answers, mask=answers < 0)


def _frame(table: pa.Table) -> pl.DataFrame:
    return pl.DataFrame({name: table.column(name).to_numpy() for name in table.column_names})
