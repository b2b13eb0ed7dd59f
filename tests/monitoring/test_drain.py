from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contracts.prediction_sink import prediction

from esteira.base.databases import open_database
from esteira.base.errors import UnknownScheme
from esteira.base.records import Label, TableVersion
from esteira.data.tables.delta import DeltaTables
from esteira.data.tables.schema import SchemaChanged
from esteira.monitoring.drain import Drained, drain
from esteira.monitoring.failure_log import FAILURES, SHADOW_FAILURES, FailedRequest, FailureLog
from esteira.monitoring.prediction_log import (
    SHADOWS,
    LabelLog,
    PredictionLog,
    encode_prediction,
    predictions_table,
)
from esteira.monitoring.segments import segments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pyarrow as pa

    from esteira.base.databases.port import SqlDatabase


class Tables:
    """The promise of a table store: a token is taken once. A power cut may come before or after."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, pa.Table]] = {}
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None

    def append(self, name: str, rows: pa.Table, token: str) -> TableVersion:
        self.before()
        self.rows.setdefault(name, {}).setdefault(token, rows)
        self.after()
        return TableVersion(name, len(self.rows[name]) - 1, rows.num_rows, datetime(2013, 1, 1, tzinfo=UTC))

    def ids(self, name: str = "predictions", column: str = "id") -> list[str]:
        return [each for part in self.rows.get(name, {}).values() for each in part[column].to_pylist()]


class PowerCut(Exception):
    """The process ends here."""


def _cut() -> None:
    raise PowerCut


def _write(folder: Path, numbers: Iterable[int], worker: str = "w0") -> None:
    log = PredictionLog(f"file:{folder}/log", worker)
    for number in numbers:
        log.write(prediction(number))
    log.close()


def _named(numbers: Iterable[int]) -> list[str]:
    return [f"p{number}" for number in numbers]


def test_what_was_logged_is_in_the_tables_once(tmp_path: Path, state_url: str) -> None:
    tables, state, url = Tables(), open_database(state_url), f"file:{tmp_path}/log"
    _write(tmp_path, range(3))
    labels = LabelLog(url, "w0")
    labels.write(Label("p1", 1.0, 5, 6))
    labels.close()
    assert drain(url, tables.append, state) == Drained(3, 1)
    assert drain(url, tables.append, state) == Drained(0, 0)
    assert tables.ids() == _named(range(3))
    assert tables.ids("labels", "prediction_id") == ["p1"]


def test_a_folder_where_nothing_was_logged_drains_to_nothing(tmp_path: Path, state_url: str) -> None:
    tables = Tables()
    assert drain(f"file:{tmp_path}/log", tables.append, open_database(state_url)) == Drained(0, 0)
    assert tables.rows == {}


def test_a_live_log_is_drained_as_far_as_it_was_flushed(tmp_path: Path, state_url: str) -> None:
    tables, state, url = Tables(), open_database(state_url), f"file:{tmp_path}/log"
    log = PredictionLog(url, "w0", flush_ms=3_600_000)
    for number in range(4):
        log.write(prediction(number))
        log.flush()
        assert drain(url, tables.append, state).predictions == 1
    log.write(prediction(4))
    log.close()
    drain(url, tables.append, state)
    assert tables.ids() == _named(range(5))


def test_segments_are_deleted_once_they_are_in_the_table_and_no_sooner(
    tmp_path: Path, state_url: str
) -> None:
    tables, state, url = Tables(), open_database(state_url), f"file:{tmp_path}/log"
    _write(tmp_path, range(3))
    tables.after = _cut
    with pytest.raises(PowerCut):
        drain(url, tables.append, state)
    assert len(segments(tmp_path / "log", "predictions")) == 1
    tables.after = lambda: None
    drain(url, tables.append, state)
    assert segments(tmp_path / "log", "predictions") == []


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_drain_that_ended_early_is_resumed_though_more_was_logged(
    tmp_path: Path, state_url: str, where: str
) -> None:
    tables, state, url = Tables(), open_database(state_url), f"file:{tmp_path}/log"
    _write(tmp_path, range(3))
    setattr(tables, where, _cut)
    with pytest.raises(PowerCut):
        drain(url, tables.append, state)
    _write(tmp_path, range(3, 7), "w1")
    setattr(tables, where, lambda: None)
    drain(url, tables.append, state)
    assert sorted(tables.ids()) == _named(range(7))


STEPS = st.lists(
    st.sampled_from(["log", "drain", "cut before", "cut after", "new worker", "other writer"]), max_size=14
)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_whatever_happens_each_record_arrives_exactly_once(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, tables, written = Path(place), Tables(), 0
        url, state = f"file:{place}/log", open_database(f"sqlite:{place}/state.db")
        log = PredictionLog(url, "w0")
        for step in [*steps, "drain"]:
            if step == "log":
                log.write(prediction(written))
                log.flush()
                written += 1
            elif step == "new worker":
                log.close()
                log = PredictionLog(url, "w0")
            elif step == "other writer":
                _write(folder, [written], "w1")
                written += 1
            else:
                tables.before = _cut if step == "cut before" else lambda: None
                tables.after = _cut if step == "cut after" else lambda: None
                try:
                    drain(url, tables.append, state)
                except PowerCut:
                    continue
        log.close()
        assert sorted(tables.ids()) == sorted(_named(range(written)))


def test_two_drains_at_once_move_nothing_twice(tmp_path: Path, state_url: str) -> None:
    tables, url = Tables(), f"file:{tmp_path}/log"
    states = [open_database(state_url) for _ in range(4)]
    _write(tmp_path, range(200))
    moved: list[int] = []

    def one(state: SqlDatabase) -> None:
        moved.append(drain(url, tables.append, state).predictions)

    threads = [threading.Thread(target=one, args=(state,)) for state in states]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(moved) == 200
    assert tables.ids() == _named(range(200))


def test_only_folders_of_this_machine_are_drained(tmp_path: Path, state_url: str) -> None:
    with pytest.raises(UnknownScheme):
        drain("s3://bucket/log", Tables().append, open_database(state_url))


_VICTIM = """
import os, signal, sys
from esteira.base.databases import open_database
from esteira.data.tables.delta import DeltaTables
from esteira.data.tables.schema import SchemaChanged
from esteira.monitoring import segments
from esteira.monitoring.drain import drain
place, where, state = sys.argv[1:]
tables = DeltaTables(f"delta:{place}/tables")
segments.READ_BYTES = 1000
appended = 0
def end():
    os.kill(os.getpid(), signal.SIGKILL)
def append(name, rows, token):
    global appended
    appended += 1
    if appended == 2 and where == "before":
        end()
    version = tables.append(name, rows, token=token)
    if appended == 2 and where == "after":
        end()
    return version
drain(f"file:{place}/log", append, open_database(state))
"""


@pytest.mark.slow
@pytest.mark.parametrize("where", ["before", "after"])
def test_a_drain_killed_beside_its_append_loses_and_doubles_nothing(
    tmp_path: Path, state_url: str, where: str
) -> None:
    for part in range(4):
        _write(tmp_path, range(part * 25, part * 25 + 25))
    victim = subprocess.run([sys.executable, "-c", _VICTIM, str(tmp_path), where, state_url], check=False)
    assert victim.returncode == -9
    _write(tmp_path, range(100, 130))
    tables = DeltaTables(f"delta:{tmp_path}/tables")

    def append(name: str, rows: pa.Table, token: str) -> TableVersion:
        found: TableVersion = tables.append(name, rows, token=token)
        return found

    drain(f"file:{tmp_path}/log", append, open_database(state_url))
    assert sorted(tables.read("predictions")["id"].to_pylist()) == sorted(_named(range(130)))
    assert segments(tmp_path / "log", "predictions") == []


def _old_table(tables: DeltaTables) -> None:
    """A table of predictions from before there were combinations."""
    old = predictions_table([encode_prediction(prediction(0))]).drop_columns(["parts"])
    tables.append("predictions", old)


def test_a_table_from_before_combinations_stays_as_it_is_until_one_answers(
    tmp_path: Path, state_url: str
) -> None:
    tables, url = DeltaTables(f"delta:{tmp_path}/tables"), f"file:{tmp_path}/log"
    _old_table(tables)

    def append(name: str, rows: pa.Table, token: str) -> TableVersion:
        found: TableVersion = tables.append(name, rows, token=token)
        return found

    _write(tmp_path, [1])
    assert drain(url, append, open_database(state_url)).predictions == 1
    assert "parts" not in tables.describe("predictions").schema.names
    log = PredictionLog(url, "w1")
    log.write(prediction(2)._replace(parts=(0.25, float("nan"))))
    log.close()
    with pytest.raises(SchemaChanged, match="parts is new"):
        drain(url, append, open_database(state_url))
    assert drain(url, append, open_database(state_url), tables.evolve).predictions == 1
    assert tables.read("predictions")["id"].to_pylist() == _named(range(3))
    assert tables.read("predictions")["parts"].to_pylist() == [None, None, [0.25, None]]
    _write(tmp_path, [3], "w2")
    assert drain(url, append, open_database(state_url)).predictions == 1
    assert tables.read("predictions")["parts"].to_pylist()[3:] == [None]


def test_what_shadows_said_and_what_failed_become_tables_of_their_own(tmp_path: Path, state_url: str) -> None:
    tables, state, url = Tables(), open_database(state_url), f"file:{tmp_path}/log"
    _write(tmp_path, range(2))
    besides = PredictionLog(url, "s0", kind=SHADOWS)
    besides.write(prediction(1))
    besides.close()
    for kind, name in ((FAILURES, "p7"), (SHADOW_FAILURES, "p8")):
        failures = FailureLog(url, "s0", kind=kind)
        failures.write(FailedRequest(name, 5, "late", 2, "next", 1, "k", 500, "KeyError", 0.1))
        failures.close()
    assert drain(url, tables.append, state) == Drained(2, 0, shadows=1, failures=1, shadow_failures=1)
    assert drain(url, tables.append, state) == Drained(0, 0)
    assert (tables.ids(), tables.ids(SHADOWS)) == (_named(range(2)), ["p1"])
    assert (tables.ids(FAILURES), tables.ids(SHADOW_FAILURES)) == (["p7"], ["p8"])
    schemas = [part.schema for name in (SHADOWS, "predictions") for part in tables.rows[name].values()]
    assert schemas[0] == schemas[1]
