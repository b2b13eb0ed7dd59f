"""The local log: written by several processes, killed, torn, damaged and trimmed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.contracts.stream import WIDE, StreamContract, payloads, read_all

from esteira.base.errors import BadInput, CorruptArtifact, StorageUnwritable, UnknownScheme
from esteira.serving.streams import log_segments
from esteira.serving.streams.local import LARGEST, LocalStream
from esteira.serving.streams.port import StreamMadeAnew

ROOT = Path(__file__).parents[3]
# Appends one message after the other and says the number of each that it was promised.
WRITER = """
import sys
from esteira.serving.streams.local import LocalStream
stream, number = LocalStream(sys.argv[1]), 0
while True:
    position = stream.append([f"{sys.argv[2]} {number} {at}".encode() for at in range(3)])
    print(position, sys.argv[2], number, flush=True)
    number += 1
"""


class TestLocalStream(StreamContract):
    def make(self, folder: Path) -> str:
        return f"file:{folder}/inbox"


def url_of(folder: Path) -> str:
    return f"file:{folder}/inbox"


def segments(folder: Path) -> list[Path]:
    return log_segments.segments(folder / "inbox")


def test_writers_that_are_killed_lose_nothing_that_they_were_promised(tmp_path: Path) -> None:
    url, promised = url_of(tmp_path), list[str]()
    for turn in range(4):
        command = [sys.executable, "-c", WRITER, url]
        writers = [
            subprocess.Popen([*command, f"{turn}.{who}"], stdout=subprocess.PIPE, text=True)
            for who in range(2)
        ]
        for writer in writers:
            assert writer.stdout is not None
            promised.append(writer.stdout.readline())
        time.sleep(0.15)
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            promised += [
                line for line in writer.communicate()[0].splitlines(keepends=True) if line.endswith("\n")
            ]
    stream = LocalStream(url)
    found = read_all(stream, stream.behind({}), most=1_000)
    assert [message.position for message in found] == [*range(len(found))]
    assert len(promised) > 20
    for line in promised:
        position, who, number = line.split()
        there = payloads(found[int(position) : int(position) + 3])
        assert there == [f"{who} {number} {at}".encode() for at in range(3)]
    assert len({*payloads(found)}) == len(found)


@pytest.mark.parametrize("left", [1, 7, 8, 20, 60])
def test_a_torn_end_is_no_message_and_the_next_writer_goes_on_behind_it(tmp_path: Path, left: int) -> None:
    stream, reader = LocalStream(url_of(tmp_path)), LocalStream(url_of(tmp_path))
    stream.append([b"one", b"two"])
    (segment,) = segments(tmp_path)
    whole = segment.read_bytes()
    stream.append([b"z" * 100])
    os.truncate(segment, len(whole) + left)
    assert payloads(reader.read({}, 10, WIDE, 0.0)) == [b"one", b"two"]
    assert LocalStream(url_of(tmp_path)).append([b"three"]) == 2
    assert payloads(reader.read({0: 2}, 10, WIDE, 0.0)) == [b"three"]
    assert payloads(LocalStream(url_of(tmp_path)).read({}, 10, WIDE, 0.0)) == [b"one", b"two", b"three"]
    assert segment.read_bytes()[: len(whole)] == whole


def test_a_segment_that_tore_at_its_very_first_message_is_used_again(tmp_path: Path) -> None:
    stream = LocalStream(url_of(tmp_path))
    stream.append([b"gone"])
    (segment,) = segments(tmp_path)
    os.truncate(segment, 11)
    fresh = LocalStream(url_of(tmp_path))
    assert fresh.append([b"first"]) == 0
    assert payloads(fresh.read({}, 10, WIDE, 0.0)) == [b"first"]
    assert segments(tmp_path) == [segment]


def test_zeros_that_a_power_loss_leaves_at_the_end_are_no_message(tmp_path: Path) -> None:
    LocalStream(url_of(tmp_path)).append([b"one"])
    (segment,) = segments(tmp_path)
    with segment.open("ab") as file:
        file.write(bytes(4096))
    stream = LocalStream(url_of(tmp_path))
    assert stream.behind({}) == 1
    assert stream.append([b"two"]) == 1
    assert payloads(stream.read({}, 10, WIDE, 0.0)) == [b"one", b"two"]


def test_a_damage_with_messages_behind_it_is_refused_by_readers_and_writers(tmp_path: Path) -> None:
    stream = LocalStream(url_of(tmp_path))
    for text in (b"one", b"two", b"three"):
        stream.append([text])
    (segment,) = segments(tmp_path)
    content = bytearray(segment.read_bytes())
    content[content.index(b"two")] ^= 1
    segment.write_bytes(content)
    reader = LocalStream(url_of(tmp_path))
    with pytest.raises(CorruptArtifact, match="restore it"):
        reader.read({}, 10, WIDE, 0.0)
    with pytest.raises(CorruptArtifact, match="restore it"):
        LocalStream(url_of(tmp_path)).append([b"four"])


def test_segments_follow_each_other_and_a_missing_one_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_segments, "SEGMENT_BYTES", 200)
    stream, reader = LocalStream(url_of(tmp_path)), LocalStream(url_of(tmp_path))
    sent = [f"message {number}".encode() for number in range(60)]
    for first in range(0, 60, 3):
        stream.append(sent[first : first + 3])
    assert payloads(read_all(reader, 60, most=7)) == sent
    found = segments(tmp_path)
    assert len(found) > 5
    for first in (0, 17, 31, 59):
        assert payloads(reader.read({0: first}, 100, WIDE, 0.0)) == sent[first:]
    found[3].unlink()
    with pytest.raises(CorruptArtifact):
        LocalStream(url_of(tmp_path)).read({}, 100, WIDE, 0.0)


def test_trimming_deletes_only_whole_segments_and_the_log_says_what_was_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(log_segments, "SEGMENT_BYTES", 100)
    stream = LocalStream(url_of(tmp_path))
    for number in range(20):
        stream.append([f"message {number}".encode()])
    assert stream.trim(0) == 0
    assert stream.trim(9) > 2
    left = stream.read({}, 100, WIDE, 0.0)
    assert left[0].position <= 9
    assert left[-1].position == 19
    assert "messages were deleted before they were read" in caplog.text
    caplog.clear()
    assert stream.read({0: 12}, 100, WIDE, 0.0)[0].position == 12
    assert caplog.text == ""
    assert stream.append([b"more"]) == 20


def test_a_log_that_ends_before_the_place_of_its_reader_is_another_one(tmp_path: Path) -> None:
    stream = LocalStream(url_of(tmp_path))
    stream.append([b"one"])
    with pytest.raises(StreamMadeAnew, match="ends at 1 and was read up to 5"):
        stream.read({0: 5}, 10, WIDE, 0.0)
    assert stream.read({0: 1}, 10, WIDE, 0.0) == []
    assert LocalStream(f"file:{tmp_path}/other").identity != stream.identity


def test_many_messages_are_several_frames_and_large_ones_stand_alone(tmp_path: Path) -> None:
    stream = LocalStream(url_of(tmp_path))
    sent = [b"s"] * 2_500 + [b"L" * 3_000_000] * 3
    stream.append(sent)
    assert payloads(read_all(stream, len(sent), most=999)) == sent


def test_wrong_arguments_are_bad_input(tmp_path: Path) -> None:
    with pytest.raises(UnknownScheme):
        LocalStream("nats://x/y")
    with pytest.raises(BadInput, match="file:FOLDER"):
        LocalStream("file:")
    stream = LocalStream(url_of(tmp_path))
    with pytest.raises(BadInput, match="a key for each"):
        stream.append([b"a", b"b"], ["k"])

    class Huge(bytes):
        def __len__(self) -> int:
            return LARGEST + 1

    with pytest.raises(BadInput, match="at most"):
        stream.append([Huge()])
    assert stream.behind({}) == 0


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "inbox").write_text("a file")
    with pytest.raises(BadInput, match="is a file; a stream is a folder"):
        LocalStream(url_of(tmp_path))
    with pytest.raises(StorageUnwritable):
        LocalStream(f"file:{tmp_path}/inbox/below")
