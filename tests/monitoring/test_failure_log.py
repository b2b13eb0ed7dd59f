from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from esteira.base.errors import BadInput, CorruptArtifact, UnknownScheme
from esteira.monitoring.failure_log import (
    FAILURES,
    FAILURES_SCHEMA,
    LONGEST_REASON,
    SHADOW_FAILURES,
    FailedRequest,
    FailureLog,
    failures_table,
    reason_of,
)
from esteira.monitoring.segments import read_segments

if TYPE_CHECKING:
    from pathlib import Path

FAILED = FailedRequest("f1", 1_372_680_000_000_000, "late", 2, "challenger", 7, "ana", 503, "it hangs", 0.25)


def test_what_is_written_comes_back_as_it_was(tmp_path: Path) -> None:
    log = FailureLog(f"file:{tmp_path}/log", "w0")
    log.write(FAILED)
    log.write(FAILED._replace(id="f2", version=3))
    log.close()
    table = failures_table(read_segments(tmp_path / "log", FAILURES, {})[0])
    assert table.schema == FAILURES_SCHEMA
    first, second = table.to_pylist()
    first["at"] = round(first["at"].timestamp() * 1e6)
    assert tuple(first.values()) == FAILED
    assert (second["id"], second["version"]) == ("f2", 3)


def test_failures_of_shadows_are_a_kind_of_their_own(tmp_path: Path) -> None:
    for kind in (FAILURES, SHADOW_FAILURES):
        log = FailureLog(f"file:{tmp_path}/log", "w0", kind=kind)
        log.write(FAILED._replace(id=kind))
        log.close()
    for kind in (FAILURES, SHADOW_FAILURES):
        payloads, _ = read_segments(tmp_path / "log", kind, {})
        assert failures_table(payloads)["id"].to_pylist() == [kind]


def test_nothing_is_an_empty_table() -> None:
    assert failures_table([]).schema == FAILURES_SCHEMA


def test_a_reason_names_the_kind_and_has_an_end() -> None:
    assert reason_of(KeyError()) == "KeyError"
    assert reason_of(BadInput("two\nlines")) == "BadInput: two lines"
    assert len(reason_of(ValueError("x" * 1000))) == LONGEST_REASON


def test_bytes_that_are_no_failure_are_refused() -> None:
    with pytest.raises(CorruptArtifact, match="records of id, at, model"):
        failures_table([b"\x01"])


def test_a_place_that_is_no_folder_is_refused() -> None:
    with pytest.raises(UnknownScheme):
        FailureLog("kafka:there", "w0")
