from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from deltalake import DeltaTable, Schema

from esteira.base.errors import CorruptArtifact, StorageUnwritable
from esteira.data.tables.facts import Entry, Facts, Merge
from esteira.data.tables.log import (
    LOG,
    appending,
    beginning,
    compacting,
    entry,
    evolving,
    is_table,
    publish,
    read_entry,
    stats,
)
from esteira.data.tables.schema import TIME

if TYPE_CHECKING:
    from pathlib import Path

FACTS = Facts(
    rows=2, at=5_000, token="january", file="a.parquet", digest="ab", size=9, spans={"at": (1, 9, 0)}
)
SCHEMA = Schema.from_arrow(pa.schema({"at": pa.timestamp("us", tz="UTC"), "miles": pa.float64()}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flights" / LOG).mkdir(parents=True)
    return tmp_path / "flights"


def begin(folder: Path, times: list[str]) -> DeltaTable:
    assert publish(folder, 0, [*appending(FACTS), *beginning(SCHEMA.to_json(), times, 5_000)])
    return DeltaTable(folder)


def test_an_entry_is_what_the_library_reads(folder: Path) -> None:
    found = begin(folder, ["at"])
    assert found.version() == 0
    assert found.schema() == SCHEMA
    assert found.count() == 2
    assert [uri.rpartition("/")[2] for uri in found.file_uris()] == ["a.parquet"]
    assert found.transaction_version("january") == 1
    assert found.metadata().configuration["delta.enableExpiredLogCleanup"] == "false"
    (said,) = found.history()
    assert (said["operation"], said["timestamp"]) == ("WRITE", 5)


@pytest.mark.parametrize(
    ("times", "setting"),
    [
        (["at", "seen_at"], ("delta.dataSkippingStatsColumns", "at,seen_at")),
        ([], ("delta.dataSkippingNumIndexedCols", "0")),
        (["at night"], None),
    ],
)
def test_statistics_are_kept_of_times_only(times: list[str], setting: tuple[str, str] | None) -> None:
    configuration = beginning(SCHEMA.to_json(), times, 0)[1]["metaData"]["configuration"]
    found = {name: value for name, value in configuration.items() if "Skipping" in name}
    assert found == (dict([setting]) if setting else {})


def test_a_version_is_published_once_whoever_tries(folder: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        won = [*pool.map(lambda who: publish(folder, 0, [{"commitInfo": {"who": who}}]), range(16))]
    assert sum(won) == 1
    assert read_entry(entry(folder, 0)).info == {"who": won.index(True)}
    assert [path.name for path in (folder / LOG).iterdir()] == [entry(folder, 0).name]


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageUnwritable, match=LOG):
        publish(tmp_path / "missing", 0, [])


def test_a_folder_is_a_table_once_something_is_committed(folder: Path) -> None:
    assert not is_table(folder)
    assert not is_table(folder / "missing")
    begin(folder, ["at"])
    assert is_table(folder)


def test_facts_survive_the_log(folder: Path) -> None:
    begin(folder, ["at"])
    said = read_entry(entry(folder, 0))
    found = Facts.of(said.info)
    assert found is not None
    assert said.added == ["a.parquet"]
    assert said.metadata is not None
    assert Schema.from_json(said.metadata["schemaString"]) == SCHEMA
    assert json.dumps(found.to_plain()) == json.dumps(FACTS.to_plain())


def test_an_entry_without_provenance_says_nothing(folder: Path) -> None:
    publish(folder, 0, [{"add": {"path": "a%20b.parquet"}}])
    assert read_entry(entry(folder, 0)) == Entry(added=["a b.parquet"])


def test_files_are_replaced_without_a_change_of_rows(folder: Path) -> None:
    begin(folder, ["at"])
    made = Facts(2, 7_000, file="b.parquet", size=8, spans={"at": (1, 9, 0)})
    assert publish(folder, 1, compacting(Facts(0, 7_000, merges=[Merge(made, ["a.parquet"])]), [FACTS]))
    found = DeltaTable(folder)
    assert found.count() == 2
    assert [uri.rpartition("/")[2] for uri in found.file_uris()] == ["b.parquet"]
    assert (found.history(1)[0]["operation"], found.transaction_version("january")) == ("OPTIMIZE", 1)
    actions = [json.loads(line) for line in entry(folder, 1).read_text().splitlines()]
    assert [each[kind]["dataChange"] for each in actions for kind in ("add", "remove") if kind in each] == [
        False,
        False,
    ]


def test_columns_are_added_and_all_else_of_the_metadata_stays(folder: Path) -> None:
    before = begin(folder, ["at"]).metadata()
    said = read_entry(entry(folder, 0)).metadata
    assert said is not None
    wider = Schema.from_arrow(pa.schema([*pa.schema(SCHEMA.to_arrow()), ("born", TIME)]))
    assert publish(folder, 1, evolving(said, wider.to_json(), ["at", "born"], Facts(0, 7_000)))
    found = DeltaTable(folder)
    assert found.schema() == wider
    assert found.metadata().id == before.id
    skipping = {"delta.dataSkippingStatsColumns": "at,born"}
    assert found.metadata().configuration == before.configuration | skipping


@pytest.mark.parametrize("content", ['{"commitInfo":{', "\x00\x00", "3"])
def test_a_torn_entry_is_refused_by_name(folder: Path, content: str) -> None:
    entry(folder, 0).write_text(content)
    with pytest.raises(CorruptArtifact, match=r"log of table flights is corrupt: .* 0+\.json"):
        read_entry(entry(folder, 0))


def test_a_lost_entry_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(CorruptArtifact, match="No such file"):
        read_entry(entry(folder, 3))


def test_times_that_the_log_cannot_spell_have_no_statistics() -> None:
    far = Facts(rows=1, at=0, file="a", spans={"far": (2**62, 2**62, 0), "near": (0, 1, 3)})
    assert json.loads(stats(far)) == {
        "numRecords": 1,
        "minValues": {"near": "1970-01-01T00:00:00Z"},
        "maxValues": {"near": "1970-01-01T00:00:00.000001Z"},
        "nullCount": {"near": 3},
    }
