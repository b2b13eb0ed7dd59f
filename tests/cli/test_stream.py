"""`esteira stream`: a stream into a table, by command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.project.worlds import copy_of

from esteira.cli.stream import _stopped_by_signals
from esteira.project.station import open_station
from esteira.serving.stream_results import rejected_of
from esteira.serving.streams.local import LocalStream

if TYPE_CHECKING:
    from tests.cli.conftest import Command

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copied(lived_folder: Path, tmp_path: Path) -> Path:
    return copy_of(lived_folder, tmp_path / "copy").settings.root


def inbox(folder: Path, *payloads: bytes) -> str:
    url = f"file:{folder}/inbox"
    LocalStream(url).append(payloads)
    return url


def test_what_waits_is_scored_and_the_line_says_how_much(esteira: Command, copied: Path) -> None:
    url = inbox(copied, b'{"x": 0.5}', b'{"x": 0.9, "id": "mine"}', b"poison")
    code, out, err = esteira("stream", url, "scores", "--until-empty", "--linger", 10, "-C", copied)
    assert (code, err) == (0, "")
    assert f"{url} to scores: 2 scored by version 1, 1 rejected, 0 behind" in out
    station = open_station(copied)
    assert station.tables.read("scores")["id"].to_pylist() == ["0-0", "mine"]
    assert station.tables.read(rejected_of("scores"))["payload"].to_pylist() == [b"poison"]
    code, out, _ = esteira("stream", url, "scores", "--until-empty", "--linger", 10, "-C", copied)
    assert "0 scored, 0 rejected" in out


def test_machines_read_one_object(esteira: Command, copied: Path) -> None:
    url = inbox(copied, *[b'{"x": 0.5}'] * 7)
    words = ("--until-empty", "--linger", 10, "--max-batch", 3, "--version", 2, "--json", "-C", copied)
    code, out, err = esteira("stream", url, "scores", *words)
    told = json.loads(out)
    assert (code, err) == (0, "")
    assert (told["scored"], told["rejected"], told["behind"], told["version"]) == (7, 0, 0, "2")
    assert set(open_station(copied).tables.read("scores")["version"].to_pylist()) == {2}


def test_scores_go_to_another_stream_too(esteira: Command, copied: Path) -> None:
    url = inbox(copied, b'{"x": 0.5, "id": "mine"}', b"poison")
    words = ("--publish", f"file:{copied}/outbox", "--until-empty", "--linger", 10, "-C", copied)
    assert esteira("stream", url, "scores", *words)[0] == 0
    (message,) = LocalStream(f"file:{copied}/outbox").read({}, 10, 10_000, 0.0)
    (row,) = open_station(copied).tables.read("scores").to_pylist()
    told = json.loads(message.payload)
    assert (told["id"], told["score"], told["position"]) == ("mine", row["score"], 0)


def test_what_cannot_be_used_is_bad_input_with_its_mend(
    esteira: Command, copied: Path, tmp_path: Path
) -> None:
    url = inbox(copied)
    for words, said in (
        (("ftp://x/y", "scores"), "use one of: file, kafka, nats"),
        ((url, "scores", "--version", "newest"), "must be a whole number"),
        ((url, "scores", "--version", 99), "99"),
        ((url, "scores", "--max-batch", 0), "must be a whole number"),
        ((url, "scores", "--publish", url), "name another stream"),
        ((url, "no/name"), "name"),
        ((url, "predictions"), "'predictions' is filled by the project itself"),
    ):
        code, out, err = esteira("stream", *words, "--until-empty", "-C", copied)
        assert (code, out) == (2, ""), words
        assert said in err
    assert esteira("stream", "nats://127.0.0.1:9/S", "scores", "-C", copied)[0] == 1


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_the_batch_in_hand_and_the_next_start_goes_on(
    esteira: Command, copied: Path, ending: signal.Signals
) -> None:
    url = inbox(copied, *[b'{"x": 0.5}'] * 20)
    command = [sys.executable, "-m", "esteira", "stream", url, "scores", "--max-batch", "1", "--json"]
    process = subprocess.Popen(
        [*command, "-C", str(copied)], cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    tables, until = open_station(copied).tables, time.monotonic() + 60
    while "scores" not in tables.names() or tables.version("scores").rows < 2:
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(ending)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    done = json.loads(out)["scored"]
    assert tables.version("scores").rows == done
    esteira("stream", url, "scores", "--until-empty", "--linger", 10, "-C", copied)
    assert sorted(tables.read("scores")["position"].to_pylist()) == [*range(20)]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(ending: signal.Signals) -> None:
    """A batch in hand may hang; to be killed in it loses nothing."""
    before = signal.signal(ending, signal.default_int_handler)
    try:
        with ExitStack() as ending_:
            stop = _stopped_by_signals(ending_)
            signal.raise_signal(ending)
            assert stop.is_set()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(ending)
        assert signal.getsignal(ending) is signal.default_int_handler
    finally:
        signal.signal(ending, before)
