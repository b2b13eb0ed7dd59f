"""The features by brute force in plain Python, and small worlds full of ties to try them on."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from fractions import Fraction
from math import isnan
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from esteira.features.times import UTC_MICROS
from esteira.features.views import FeatureView

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence

    from esteira.features.views import BoundView
    from esteira.features.windows.measures import Measure
    from esteira.features.windows.sliding import Window

Row = dict[str, Any]
# Glued together, ("1", "23") and ("12", "3") are one text.
KEYS = [("1", "23"), ("12", "3"), ("1", "2"), ("", "123"), (None, "3"), ("12", None), ("é|,", "\x00")]


def micros(moments: Sequence[int | None]) -> pa.Array:
    """Microseconds as a column of moments."""
    return pa.array(moments, pa.int64()).cast(UTC_MICROS)


def rows_of(cells: Sequence[tuple[tuple[str | None, str | None], int, int | None, float | None]]) -> pa.Table:
    """A view's rows from (key, event, created, value)."""
    return pa.table(
        {
            "a": pa.array([key[0] for key, *_ in cells], pa.string()),
            "b": pa.array([key[1] for key, *_ in cells], pa.string()),
            "event_ts": micros([event for _, event, _, _ in cells]),
            "created_ts": micros([created for _, _, created, _ in cells]),
            "value": pa.array([value for *_, value in cells], pa.float64()),
        }
    )


def spine_of(questions: Sequence[tuple[tuple[str | None, str | None], int]]) -> pa.Table:
    """A spine from (key, at), with a column that tells its rows apart."""
    return pa.table(
        {
            "number": pa.array(range(len(questions)), pa.int64()),
            "b": pa.array([key[1] for key, _ in questions], pa.string()),
            "at": micros([at for _, at in questions]),
            "a": pa.array([key[0] for key, _ in questions], pa.string()),
        }
    )


def view_of(*, created: bool = True, ttl_us: int | None = None, name: str = "v") -> FeatureView:
    """A view over the tables of this file."""
    return FeatureView(
        name,
        ("a", "b"),
        ("value",),
        "t",
        created_time="created_ts" if created else None,
        ttl=None if ttl_us is None else timedelta(microseconds=ttl_us),
    )


def some_rows(chance: random.Random, count: int, *, latest: int = 12) -> pa.Table:
    """Rows with ties in every column, late ones, ones that were never created, and null values."""
    cells = []
    for number in range(count):
        event = chance.randint(0, latest)
        created = chance.choice([event, event, event + chance.randint(-2, 6), None])
        value = None if chance.random() < 0.2 else float(number)
        cells.append((chance.choice(KEYS), event, created, value))
    return rows_of(cells)


def some_questions(chance: random.Random, count: int, *, latest: int = 14) -> pa.Table:
    """Questions, many of them twice."""
    return spine_of([(chance.choice(KEYS), chance.randint(-1, latest)) for _ in range(count)])


def answer(
    view: FeatureView, rows: Sequence[Row], question: Row, *, as_known: bool = True
) -> tuple[str, Row | None]:
    """The status and row that answer one question, straight from the contract."""
    at = question["at"]
    if any(question[key] is None for key in view.keys):
        return "missing", None
    created = view.created_time if as_known else None
    candidates = []
    for sequence, row in enumerate(rows):
        if any(row[key] != question[key] for key in view.keys) or row[view.event_time] > at:
            continue
        if created is not None and (row[created] is None or row[created] > at):
            continue
        known = row[view.created_time] if view.created_time else None
        rank = (row[view.event_time], float("-inf") if known is None else known, sequence)
        candidates.append((rank, row))
    if not candidates:
        return "missing", None
    winner = max(candidates, key=lambda each: each[0])[1]
    if view.ttl_us is not None and winner[view.event_time] < at - view.ttl_us:
        return "expired", None
    return "present", winner


def plain(table: pa.Table) -> list[Row]:
    """Rows as dictionaries, moments as microseconds."""
    columns = [
        column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in table.columns
    ]
    return pa.Table.from_arrays(columns, names=table.column_names).to_pylist()


def joined(spine: pa.Table, views: Iterable[BoundView], *, as_known: bool = True) -> list[Row]:
    """What the point-in-time join must give, with status."""
    result = plain(spine)
    asked = plain(spine)
    for bound in views:
        rows = plain(bound.rows)
        for question, row in zip(asked, result, strict=True):
            status, found = answer(bound.view, rows, question, as_known=as_known)
            for feature in bound.view.features:
                value = None if found is None else found[feature]
                row[f"{bound.view.qualified}__{feature}"] = value
                is_null = status == "present" and value is None
                row[f"{bound.view.qualified}__{feature}__status"] = "null" if is_null else status
    return result


def windowed(events: pa.Table, window: Window) -> list[Row]:
    """A window's measures at every boundary where a key's window changed."""
    contents: dict[tuple[Any, ...], dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    rows = plain(events)
    for number, row in enumerate(rows):
        key, at = tuple(row[name] for name in window.keys), row[window.time]
        known = at if window.created is None else row[window.created]
        if None in key or known is None:
            continue
        first = at - at % window.hop_us
        for boundary in range(first, first + window.length_us + 2 * window.hop_us, window.hop_us):
            counts = boundary - window.length_us <= at < boundary and known <= boundary
            contents[key][boundary] |= {number} if counts else set()
    found = []
    for key, boundaries in contents.items():
        for boundary in sorted(boundaries):
            content = boundaries[boundary]
            if content != boundaries.get(boundary - window.hop_us, set()):
                oldest_first = sorted(content, key=lambda n: (rows[n][window.time], rows[n].get("_seq", n)))
                measures = {
                    name: measured(each, [rows[n] for n in oldest_first])
                    for name, each in window.measures.items()
                }
                found.append(dict(zip(window.keys, key, strict=True)) | {"event_ts": boundary} | measures)
    return sorted(found, key=lambda row: (row["event_ts"], *(row[name] for name in window.keys)))


def measured(measure: Measure, content: list[Row]) -> Any:
    """One measure of the events that count, the oldest first."""
    if measure.column is None:
        return len(content)
    cells = [row[measure.column] for row in content]
    values = [cell for cell in cells if cell is not None and not (isinstance(cell, float) and isnan(cell))]
    kind = type(measure).__name__
    if kind == "Distinct":
        return len(set(values))
    if kind == "Sum":
        return _sum(values, measure.unit, 1)
    if not values:
        return None
    if kind == "Mean":
        return float(_sum(values, measure.unit, len(values)))
    return {"Min": min(values), "Max": max(values), "Last": values[-1]}[kind]


def _sum(values: list[Any], unit: float | None, share: int) -> int | float:
    if unit is None:
        return sum(values) if share == 1 else sum(values) / share
    multiples = [round(Fraction(value) / Fraction(str(unit))) for value in values]
    return float(sum(multiples) * Fraction(str(unit)) / share)
