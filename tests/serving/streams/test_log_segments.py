from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from esteira.serving.streams import log_segments
from esteira.serving.streams.log_segments import LogEnd, first_of, read_frames, segments

if TYPE_CHECKING:
    from pathlib import Path


def write(end: LogEnd, *groups: list[bytes]) -> None:
    end.find()
    end.mend()
    end.write([[("", each) for each in group] for group in groups], at=0)


def test_the_end_is_found_by_whoever_looks_again_or_anew(tmp_path: Path) -> None:
    mine, other = LogEnd(tmp_path), LogEnd(tmp_path)
    assert mine.find() == 0
    write(mine, [b"a", b"b"], [b"c"])
    assert other.find() == 3
    write(other, [b"d"])
    assert (mine.find(), LogEnd(tmp_path).find()) == (4, 4)


def test_a_full_segment_is_followed_by_one_that_is_named_for_its_first_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_segments, "SEGMENT_BYTES", 50)
    for number in range(4):
        write(LogEnd(tmp_path), [b"x" * 30, b"%d" % number])
    assert [first_of(segment) for segment in segments(tmp_path)] == [0, 2, 4, 6]


def test_other_logs_in_the_folder_are_no_segments(tmp_path: Path) -> None:
    write(LogEnd(tmp_path), [b"a"])
    for name in ("app.log", "2013.log", f"{'9' * 20}.txt"):
        (tmp_path / name).write_bytes(b"started")
    assert [first_of(segment) for segment in segments(tmp_path)] == [0]
    write(LogEnd(tmp_path), [b"b"])
    assert LogEnd(tmp_path).find() == 2


def test_a_write_that_the_disk_refuses_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = LogEnd(tmp_path)
    write(end, [b"one"])
    (segment,) = segments(tmp_path)
    before = segment.read_bytes()
    write_bytes = os.write

    def half(handle: int, data: bytes) -> int:
        if len(data) < 30:
            raise OSError(28, "No space left on device")
        return write_bytes(handle, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(OSError, match="No space"):
            write(end, [b"two" * 20])
    assert segment.read_bytes() == before
    write(end, [b"three"])
    assert LogEnd(tmp_path).find() == 2


def test_a_frame_larger_than_a_read_comes_whole(tmp_path: Path) -> None:
    write(LogEnd(tmp_path), [b"L" * 3_000_000], [b"s"])
    (segment,) = segments(tmp_path)
    handle = os.open(segment, os.O_RDONLY)
    assert 3_000_000 < len(read_frames(handle, 0)) < segment.stat().st_size
    os.close(handle)
    assert LogEnd(tmp_path).find() == 2
