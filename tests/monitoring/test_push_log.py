from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pytest

from esteira.base.databases import open_database
from esteira.base.errors import CorruptArtifact, StorageUnwritable, UnknownScheme
from esteira.monitoring.push_log import (
    Push,
    PushLog,
    decode_pushes,
    drain_pushes,
    encode_push,
    pushes_folder,
    pushes_seen,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from esteira.base.databases.port import SqlDatabase

ROWS = pa.table({"x": pa.array([1, None], pa.int8()), "at": pa.array([5, 6], pa.timestamp("us", "UTC"))})


def drained(url: str, table: str, state: SqlDatabase) -> list[str]:
    tokens: list[str] = []

    def move(records: Sequence[bytes], _: str) -> None:
        tokens.extend(push.token for push in decode_pushes(records))

    assert drain_pushes(url, table, move, state) == len(tokens)
    return tokens


def test_a_push_comes_back_with_its_types() -> None:
    pushes = [Push("a7", ROWS), Push("a8", ROWS.slice(1)), Push("a9", ROWS.slice(0, 0))]
    assert decode_pushes([encode_push(push) for push in pushes]) == pushes


@pytest.mark.parametrize(
    "payload", [b"", msgspec.msgpack.encode(("a7", b"rows")), encode_push(Push("a", ROWS))[:-9]]
)
def test_a_payload_that_is_no_push_is_named_corrupt(payload: bytes) -> None:
    with pytest.raises(CorruptArtifact, match="tokens and Arrow rows"):
        decode_pushes([payload])


def test_a_push_can_be_drained_as_soon_as_it_is_kept_and_each_table_for_itself(
    tmp_path: Path, state_url: str
) -> None:
    url, state = f"file:{tmp_path}/log", open_database(state_url)
    log = PushLog(url, "w0")
    log.keep("readings", Push("a", ROWS))
    log.keep("readings-2", Push("b", ROWS))
    assert drained(url, "readings", state) == ["a"]
    log.keep("readings", Push("c", ROWS))
    assert drained(url, "readings", state) == ["c"]
    assert drained(url, "readings-2", state) == ["b"]
    log.close()
    assert drained(url, "readings", state) == []
    assert pushes_seen(url, "readings") == {}  # nobody writes it, and all has been passed


def test_what_is_seen_differs_once_something_has_come(tmp_path: Path) -> None:
    url = f"file:{tmp_path}/log"
    assert pushes_seen(url, "readings") == {}
    log = PushLog(url, "w0")
    seen = []
    for token in ("a", "b"):
        log.keep("readings", Push(token, ROWS))
        seen.append(pushes_seen(url, "readings"))
    log.close()
    assert seen[0] != seen[1] == pushes_seen(url, "readings")
    pushes_folder(url, "readings").rename(tmp_path / "away")
    assert pushes_seen(url, "readings") == {}


def test_a_push_that_cannot_be_kept_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnwritable):
        PushLog(f"file:{tmp_path}/file", "w0").keep("readings", Push("a", ROWS))
    log = PushLog(f"file:{tmp_path}/log", "w0")
    log.keep("readings", Push("a", ROWS))
    log.close()
    with pytest.raises(StorageUnwritable, match="closed"):
        log.keep("readings", Push("b", ROWS))


def test_only_folders_of_this_machine_take_pushes() -> None:
    with pytest.raises(UnknownScheme):
        PushLog("kafka:pushes", "w0")
