from __future__ import annotations

import fcntl
import logging
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.base.errors import BadInput, StorageUnwritable, UnknownScheme
from esteira.monitoring import segments as room
from esteira.monitoring.segments import (
    SegmentWriter,
    folder_of,
    read_segments,
    remove_drained,
    segments,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PAYLOADS = st.lists(st.binary(min_size=1, max_size=40), max_size=12)
NEVER_MS = 3_600_000  # the thread stays asleep: the test flushes


def _writer(
    folder: Path, worker: str = "w0", flush_ms: int = NEVER_MS, **options: int
) -> SegmentWriter[bytes]:
    return SegmentWriter(folder, "predictions", worker, bytes, flush_ms=flush_ms, **options)


def _write(folder: Path, payloads: Sequence[bytes]) -> Path:
    """One closed segment of these payloads."""
    writer = _writer(folder)
    for payload in payloads:
        writer.write(payload)
    writer.close()
    return segments(folder, "predictions")[-1]


def _read(folder: Path) -> list[bytes]:
    return read_segments(folder, "predictions", {})[0]


@pytest.fixture
def disk_full() -> Iterator[Callable[[int], None]]:
    """Let no file of this process grow beyond some bytes, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda most: resource.setrlimit(
        resource.RLIMIT_FSIZE, (most if most >= 0 else before[0], before[1])
    )
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@given(PAYLOADS)
def test_what_is_written_is_read(payloads: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), payloads)
        assert _read(Path(folder)) == payloads


@given(PAYLOADS, st.data())
def test_a_segment_cut_anywhere_gives_its_whole_records(payloads: list[bytes], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = _write(Path(folder), payloads)
        size = data.draw(st.integers(0, path.stat().st_size))
        os.truncate(path, size)
        whole, used = 0, 0
        while whole < len(payloads) and used + 8 + len(payloads[whole]) <= size:
            used += 8 + len(payloads[whole])
            whole += 1
        assert read_segments(Path(folder), "predictions", {}) == (payloads[:whole], {path.name: used})


@given(PAYLOADS.filter(bool), st.data())
def test_a_changed_byte_never_gives_a_record_that_was_not_written(
    payloads: list[bytes], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = _write(Path(folder), payloads)
        content = bytearray(path.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        found = _read(Path(folder))
        assert found == payloads[: len(found)]
        assert len(found) < len(payloads)


def test_zeros_at_the_end_are_no_records(tmp_path: Path) -> None:
    path = _write(tmp_path, [b"one"])
    with path.open("ab") as file:
        file.write(bytes(4096))
    assert _read(tmp_path) == [b"one"]


def test_reading_goes_on_where_the_cursor_stands(tmp_path: Path) -> None:
    writer = _writer(tmp_path)
    writer.write(b"one")
    writer.flush()
    first, cursor = read_segments(tmp_path, "predictions", {})
    writer.write(b"two")
    writer.close()
    second, after = read_segments(tmp_path, "predictions", cursor)
    assert (first, second) == ([b"one"], [b"two"])
    assert read_segments(tmp_path, "predictions", after) == ([], after)


def test_a_planned_range_is_read_exactly_though_the_segment_has_grown(tmp_path: Path) -> None:
    writer = _writer(tmp_path)
    writer.write(b"one")
    writer.flush()
    _, planned = read_segments(tmp_path, "predictions", {})
    writer.write(b"two")
    writer.close()
    _write(tmp_path, [b"three"])
    records, after = read_segments(tmp_path, "predictions", {}, planned)
    assert records == [b"one"]
    assert {name: after[name] for name in planned} == planned


def test_a_large_backlog_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "READ_BYTES", 20)
    written = [bytes([65 + number]) * 10 for number in range(5)]
    for payload in written:
        _write(tmp_path, [payload])
    read, cursor = read_segments(tmp_path, "predictions", {})
    assert 0 < len(read) < 5
    while True:
        more, cursor = read_segments(tmp_path, "predictions", cursor)
        if not more:
            break
        read += more
    assert read == written


def test_workers_and_kinds_have_segments_of_their_own(tmp_path: Path) -> None:
    one, two = _writer(tmp_path, "w1"), _writer(tmp_path, "w2")
    labels: SegmentWriter[bytes] = SegmentWriter(tmp_path, "labels", "w1", bytes)
    for writer, payload in ((one, b"1"), (two, b"2"), (labels, b"label")):
        writer.write(payload)
        writer.close()
    assert sorted(_read(tmp_path)) == [b"1", b"2"]
    assert read_segments(tmp_path, "labels", {})[0] == [b"label"]


def test_a_new_writer_leaves_the_torn_file_of_a_crashed_one_alone(tmp_path: Path) -> None:
    torn = _write(tmp_path, [b"one", b"two"])
    os.truncate(torn, torn.stat().st_size - 1)
    before = torn.read_bytes()
    _write(tmp_path, [b"three"])
    assert torn.read_bytes() == before
    assert _read(tmp_path) == [b"one", b"three"]


def test_a_full_segment_is_followed_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SEGMENT_BYTES", 100)
    writer = _writer(tmp_path)
    written = [bytes([65 + number]) * 60 for number in range(6)]
    for payload in written:
        writer.write(payload)
        writer.flush()
    writer.close()
    assert len(segments(tmp_path, "predictions")) == 4
    assert _read(tmp_path) == written


def test_a_record_is_on_disk_soon_without_being_asked_for(tmp_path: Path) -> None:
    writer = _writer(tmp_path, flush_ms=10)
    writer.write(b"one")
    deadline = time.monotonic() + 10
    while not _read(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert _read(tmp_path) == [b"one"]
    writer.close()


def test_only_segments_that_nobody_writes_and_that_were_passed_are_removed(tmp_path: Path) -> None:
    drained, unread = _write(tmp_path, [b"one"]), _write(tmp_path, [b"two"])
    live = _writer(tmp_path)
    _, cursor = read_segments(tmp_path, "predictions", {})
    cursor[unread.name] = 0
    assert remove_drained(tmp_path, "predictions", cursor) == [drained.name]
    live.write(b"three")
    live.close()
    assert _read(tmp_path) == [b"two", b"three"]


def test_a_torn_segment_is_set_aside_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = _write(tmp_path, [b"one", b"two"])
    os.truncate(path, path.stat().st_size - 1)
    _, cursor = read_segments(tmp_path, "predictions", {})
    with caplog.at_level(logging.WARNING):
        assert remove_drained(tmp_path, "predictions", cursor) == [path.name]
    assert "torn" in caplog.text
    assert [each.suffix for each in tmp_path.iterdir()] == [room.TORN]


def test_a_segment_deleted_before_it_was_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, found = fcntl.flock, list[Path]()

    def late_lock(handle: int, how: int) -> None:
        if not found:  # another process drains between the making of the file and its locking
            found.extend(segments(tmp_path, "predictions"))
            remove_drained(tmp_path, "predictions", {})
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", late_lock)
    path = _write(tmp_path, [b"one"])
    assert found
    assert path not in found
    assert _read(tmp_path) == [b"one"]


def test_a_full_disk_keeps_what_it_can_and_counts_the_rest(
    tmp_path: Path, disk_full: Callable[[int], None], caplog: pytest.LogCaptureFixture
) -> None:
    writer = _writer(tmp_path, capacity=10)
    disk_full(100)  # the sixth frame of 18 bytes does not fit: it is cut
    for number in range(8):
        writer.write(b"payload-%02d" % number)
    with caplog.at_level(logging.ERROR):
        writer.flush()
        writer.flush()
        for number in range(8, 23):
            writer.write(b"payload-%02d" % number)
        writer.flush()
    assert len(caplog.records) == 1
    assert "free space" in caplog.text
    assert _read(tmp_path) == [b"payload-%02d" % number for number in range(5)]
    assert writer.dropped == 5
    disk_full(-1)
    writer.write(b"refused until there is room in the queue")
    writer.flush()
    writer.flush()
    writer.write(b"after")
    writer.close()
    assert _read(tmp_path) == [*(b"payload-%02d" % number for number in range(18)), b"after"]
    assert writer.dropped == 6


def test_what_a_full_disk_refuses_until_the_end_is_counted(
    tmp_path: Path, disk_full: Callable[[int], None]
) -> None:
    writer = _writer(tmp_path)
    disk_full(0)
    for _ in range(3):
        writer.write(b"one")
    writer.close()
    assert writer.dropped == 3
    writer.write(b"late")
    assert writer.dropped == 4
    disk_full(-1)
    writer.flush()
    assert _read(tmp_path) == []


def test_a_failed_sync_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []

    def sync(handle: int) -> None:
        synced.append(handle)
        if len(synced) == 1:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(room, "_sync", sync)
    writer = _writer(tmp_path)
    writer.write(b"one")
    for _ in range(3):
        writer.flush()
    writer.close()
    assert len(synced) == 2
    assert (_read(tmp_path), writer.dropped) == ([b"one"], 0)


def test_a_backlog_is_committed_in_parts_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    monkeypatch.setattr(room, "COMMIT_RECORDS", 10)
    monkeypatch.setattr(room, "_sync", lambda handle: written.append(os.fstat(handle).st_size))
    writer = _writer(tmp_path)
    for number in range(25):
        writer.write(b"%02d" % number)
    writer.flush()
    assert written == [100, 200, 250]
    assert (_read(tmp_path), writer.queued) == ([b"%02d" % number for number in range(25)], 0)
    writer.close()


def test_one_record_that_cannot_be_encoded_does_not_stop_the_others(tmp_path: Path) -> None:
    writer: SegmentWriter[str] = SegmentWriter(tmp_path, "predictions", "w0", str.encode)
    for record in ("one", "\ud800", "two"):
        writer.write(record)
    writer.close()
    assert _read(tmp_path) == [b"one", b"two"]
    assert writer.dropped == 1


def test_a_folder_that_cannot_be_made_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnwritable, match="choose another folder"):
        _writer(tmp_path / "file" / "folder")


@pytest.mark.parametrize("name", ["", "a-b", "../up", "a/b"])
def test_a_worker_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="rename it"):
        _writer(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_only_folders_of_this_machine_are_known() -> None:
    assert folder_of("file:/srv/log") == Path("/srv/log")
    with pytest.raises(UnknownScheme, match="file"):
        folder_of("s3://bucket/log")


def test_what_is_kept_is_on_disk_before_anything_is_flushed(tmp_path: Path) -> None:
    writer = _writer(tmp_path)
    writer.write(b"one")
    writer.keep(b"two")
    assert _read(tmp_path) == [b"one", b"two"]
    writer.close()
    with pytest.raises(StorageUnwritable, match="closed"):
        writer.keep(b"three")
    assert (_read(tmp_path), writer.dropped) == ([b"one", b"two"], 0)


def test_what_a_full_disk_did_not_keep_is_refused_and_gone(
    tmp_path: Path, disk_full: Callable[[int], None]
) -> None:
    writer = _writer(tmp_path)
    writer.keep(b"one")
    disk_full(25)  # two frames of 11 bytes fit, and a part of the third
    writer.keep(b"two")
    with pytest.raises(StorageUnwritable):
        writer.keep(b"three")
    disk_full(-1)
    writer.keep(b"four")
    writer.close()
    assert (_read(tmp_path), writer.dropped) == ([b"one", b"two", b"four"], 0)


def test_a_record_whose_sync_failed_is_refused_though_it_may_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sync(_: int) -> None:
        raise OSError(5, "Input/output error")

    writer = _writer(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(room, "_sync", sync)
        with pytest.raises(StorageUnwritable, match="Input/output"):
            writer.keep(b"one")
    writer.keep(b"two")
    writer.close()
    assert _read(tmp_path) == [b"one", b"two"]  # a reader that saw it must find what follows after it


_VICTIM = """
import sys, time
from pathlib import Path
from esteira.monitoring.segments import SegmentWriter
writer = SegmentWriter(Path(sys.argv[1]), "predictions", "victim", bytes, flush_ms=3_600_000)
for number in range(500):
    writer.write(b"%06d" % number)
writer.flush()
for number in range(500, 1000):
    writer.write(b"%06d" % number)
print("flushed", flush=True)
time.sleep(60)
"""


def test_what_was_flushed_survives_kill_9(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _VICTIM, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"flushed\n"
        assert remove_drained(tmp_path, "predictions", {}) == []
        victim.kill()
    records, cursor = read_segments(tmp_path, "predictions", {})
    assert records == [b"%06d" % number for number in range(500)]
    assert len(remove_drained(tmp_path, "predictions", cursor)) == 1
