from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

from esteira.serving.streams import log_reader, log_segments
from esteira.serving.streams.log_reader import LogReader
from esteira.serving.streams.log_segments import LogEnd

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

WIDE = 1 << 30


def write(folder: Path, *texts: str) -> None:
    end = LogEnd(folder)
    end.find()
    end.mend()
    end.write([[("", text.encode()) for text in texts]], at=0)


def take(reader: LogReader, position: int, most: int = 1_000, size: int = WIDE) -> list[str]:
    return [message.payload.decode() for message in reader.take(position, most, size)]


def test_reading_and_writing_in_turns_at_any_places_gives_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_segments, "SEGMENT_BYTES", 300)
    chance, reader = random.Random(7), LogReader(tmp_path, "here")
    written: list[str] = []
    for _ in range(300):
        if chance.random() < 0.4:
            texts = [f"{len(written) + at}" for at in range(chance.randint(1, 6))]
            write(tmp_path, *texts)
            written += texts
        position, most = chance.randint(0, len(written)), chance.randint(1, 20)
        assert take(reader, position, most) == written[position : position + most]
    reader.close()


def test_a_portion_is_as_large_as_asked_for_but_never_empty(tmp_path: Path) -> None:
    write(tmp_path, "aaaa", "bb", "cccc", "dd")
    reader = LogReader(tmp_path, "here")
    assert take(reader, 0, size=6) == ["aaaa", "bb"]
    assert take(reader, 2, size=1) == ["cccc"]
    assert take(reader, 3, most=5) == ["dd"]
    assert take(reader, 4) == []


def test_what_is_handed_out_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a")
    synced: list[int] = []
    monkeypatch.setattr(log_reader, "sync", lambda handle: synced.append(os.fstat(handle).st_size))
    reader = LogReader(tmp_path, "here")
    take(reader, 0)
    assert synced == [log_segments.segments(tmp_path)[0].stat().st_size]
    take(reader, 1)
    assert len(synced) == 1
    write(tmp_path, "b")
    take(reader, 1)
    assert len(synced) == 2
