from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.records import Artifact
from esteira.features.contents import content_of
from esteira.features.manifest import (
    Manifest,
    PinnedTable,
    PinnedView,
    Spine,
    WrongManifest,
    common_rows,
    diff,
    differences,
    read_manifest,
)

ROWS = pa.table({"id": ["a", "b"], "x": [1.0, None]})
VIEW = PinnedView("facts@3", as_known=True, definition={"ttl_us": 5, "keys": ["id"]})


def manifest_of(rows: pa.Table = ROWS, **changed: Any) -> Manifest:
    content = content_of(rows)
    made = Manifest(
        digest=content.digest,
        project="tiny",
        step="train",
        content=content,
        artifact=Artifact("ab", "table", 3),
        run_id="20200101T000000-1a2b3c4d",
        created_at=datetime(2020, 1, 1, tzinfo=UTC),
        spine=Spine("questions", content_of(rows.select(["id"]))),
        inputs={"facts": "facts@3"},
        tables={"facts": PinnedTable(3, 20)},
        views={"recent": VIEW},
        parameters={"days": 14, "until": "2020-01-01T00:00:00Z"},
        keys={"train": "k1"},
        code={"tiny.train": "c1"},
        libraries={"pyarrow": "25"},
    )
    return replace(made, **changed)


def test_a_manifest_comes_back_from_its_file() -> None:
    made = manifest_of()
    assert read_manifest(made.to_json(), "here") == made
    assert json.loads(made.to_json())["digest"] == made.content.digest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda plain: plain.pop("tables"), "tables"),
        (lambda plain: plain.update(format=2), "format 2"),
        (lambda plain: plain["content"].update(rows=3), "its columns make"),
        (lambda plain: plain.update(digest="00"), "its columns make"),
    ],
)
def test_a_manifest_that_was_changed_by_hand_is_refused(change: Any, said: str) -> None:
    plain = json.loads(manifest_of().to_json())
    change(plain)
    with pytest.raises(WrongManifest, match=said):
        read_manifest(json.dumps(plain).encode(), "here")


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"rows"])
def test_a_file_of_something_else_is_refused(content: bytes) -> None:
    with pytest.raises(WrongManifest, match="here is no manifest"):
        read_manifest(content, "here")


def test_nothing_moved_between_a_manifest_and_itself() -> None:
    moved = diff(manifest_of(), manifest_of())
    assert moved.equal
    assert moved.causes == ()
    assert (moved.schema, moved.columns, moved.reordered, moved.spine_moved) == ({}, (), False, False)


NEWER = PinnedTable(4, 22)


@pytest.mark.parametrize(
    ("changed", "kind", "told"),
    [
        ({"tables": {"facts": NEWER}}, "tables", {"facts": (PinnedTable(3, 20), NEWER)}),
        ({"tables": {}}, "tables", {"facts": (PinnedTable(3, 20), None)}),
        (
            {"views": {"recent": replace(VIEW, definition={"ttl_us": 6, "keys": ["id"]})}},
            "definitions",
            {"recent.ttl_us": (5, 6)},
        ),
        ({"parameters": {"days": 13, "until": "2020-01-01T00:00:00Z"}}, "parameters", {"days": (14, 13)}),
        ({"code": {"tiny.train": "c2"}}, "code", {"tiny.train": ("c1", "c2")}),
        ({"libraries": {"pyarrow": "26"}}, "libraries", {"pyarrow": ("25", "26")}),
    ],
)
def test_an_ingredient_that_moved_is_named(changed: Any, kind: str, told: Any) -> None:
    moved = diff(manifest_of(), manifest_of(**changed))
    assert getattr(moved, kind) == told
    assert moved.equal  # of the content, which did not
    assert moved.causes == (f"{kind}: {', '.join(told)}",)


def test_columns_rows_and_their_order_are_compared() -> None:
    other = pa.table({"x": [1.0, 2.0, 3.0], "id": ["a", "b", "c"], "new": [1, 2, 3]})
    moved = diff(manifest_of(), manifest_of(other))
    assert (moved.rows, moved.schema, moved.reordered) == ((2, 3), {"new": (None, "int64")}, True)
    assert moved.columns == ("id", "x")
    assert moved.spine_moved
    assert not moved.equal


def test_a_type_that_changed_is_a_change_of_the_schema_only() -> None:
    moved = diff(manifest_of(), manifest_of(ROWS.set_column(1, "x", pa.array([1, None]))))
    assert moved.schema == {"x": ("double", "int64")}
    assert moved.columns == ()


def test_the_first_difference_of_each_column_is_told() -> None:
    before = pa.table({"n": [1, 2, 3], "f": [np.nan, 0.0, 1.0], "l": [[1], None, [2]], "same": [1, 1, 1]})
    after = pa.table({"n": [1, 5, 4], "f": [np.nan, -0.0, 1.0], "l": [[1], [], [2]], "same": [1, 1, 1]})
    found = differences(before, after)
    assert {name: each.row for name, each in found.items()} == {"n": 1, "f": 1, "l": 1}
    assert found["n"] == (2, 1, 2, 5)
    assert found["l"].after == []


IDS = st.lists(st.tuples(st.sampled_from("ab"), st.none() | st.integers(0, 3)), max_size=6)


@given(IDS, IDS)
def test_common_rows_are_those_that_a_dictionary_finds(
    one: list[tuple[str, int | None]], other: list[tuple[str, int | None]]
) -> None:
    kinds = pa.schema([("name", pa.string()), ("number", pa.int64())])
    tables = [
        pa.table([pa.array([key[at] for key in keys], kinds.types[at]) for at in (0, 1)], schema=kinds)
        for keys in (one, other)
    ]
    here, there = common_rows(*tables, ["name", "number"])
    found = {(one[at], at, to) for at, to in zip(here.tolist(), there.tolist(), strict=True)}
    assert found == {(key, one.index(key), other.index(key)) for key in {*one} & {*other}}
