from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.project.scored import lay_late
from tests.serving.worlds import PLAIN, VIEWED, tree_model

from esteira.project.asked_rows import asked_rows, fields_asked
from esteira.project.release import load_model
from esteira.serving.load.rows import Field

if TYPE_CHECKING:
    from pathlib import Path

    from esteira.project.station import Station

PROJECT = """from esteira import FeatureView, Project, TableSource
weather = FeatureView("weather", keys=("origin",), features=("visib",), source="readings", event_time="at")
readings = TableSource("readings", lambda since, until: None)
project = Project('late', steps=[], tables=[readings], views=[weather])
"""


def test_a_request_has_the_columns_and_then_the_keys() -> None:
    assert [(each.name, each.datatype) for each in fields_asked(PLAIN)] == [
        ("miles", "FP64"),
        ("carrier", "BYTES"),
        ("gust", "FP64"),
    ]
    assert fields_asked(VIEWED) == (Field("miles", "FP64"), Field("origin", "BYTES"))


@pytest.mark.parametrize(
    ("keys", "texts"), [([7, 8, None], {"7", "8"}), ([True, False, None], {"true", "false"}), (["a"], {"a"})]
)
def test_keys_are_those_of_the_view_as_requests_write_them(
    tmp_path: Path, empty_registry: Path, keys: list[object], texts: set[str]
) -> None:
    station = lay_late(tmp_path / "late", tree_model(0.5, VIEWED), project=PROJECT)
    shutil.copy(empty_registry, station.settings.home)
    at = pa.array([0] * len(keys), pa.timestamp("us", tz="UTC"))
    station.tables.append("readings", pa.table({"origin": keys, "visib": [1.0] * len(keys), "at": at}))
    fields, rows, recorded = asked_rows(station, 1, VIEWED, fields_asked(VIEWED), 50)
    assert {*fields[1].choices} == texts
    assert {row["origin"] for row in rows} == texts
    assert (len(rows), recorded) == (50, 0)


def test_what_was_asked_before_is_asked_again_until_there_are_enough(steady: Station) -> None:
    signature = load_model(steady, steady.version(1)).signature
    _, rows, recorded = asked_rows(steady, 1, signature, fields_asked(signature), 5_000)
    names = [column.name for column in signature.request_columns]
    assert 0 < recorded < 5_000
    asked = [{name: row[name] for name in names} for row in rows]
    assert asked[:100] == asked[recorded : recorded + 100]
    _, again, fewer = asked_rows(steady, 1, signature, fields_asked(signature), 10)
    assert fewer == 10
    assert [{name: row[name] for name in names} for row in again] == asked[:10]
