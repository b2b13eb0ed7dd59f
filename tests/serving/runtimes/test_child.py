from __future__ import annotations

import gc
import os
import time
from typing import TYPE_CHECKING

import pytest
from tests.serving.foreign import is_there

from esteira.base.errors import BadInput
from esteira.serving.runtimes import frames
from esteira.serving.runtimes.child import ChildProcess, ModelDied, ModelHung

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Answers each frame with itself, unless that says otherwise.
ECHO = """
import os, struct, sys, time
head = struct.Struct("<cQ")
took, gave = sys.stdin.buffer, sys.stdout.buffer
def give(kind, content):
    gave.write(head.pack(kind, len(content)) + content)
    gave.flush()
give(b"Y", " ".join(sys.argv[1:]).encode())
while (got := took.read(head.size)):
    kind, size = head.unpack(got)
    content = took.read(size)
    if content == b"die":
        os._exit(7)
    if content == b"kill":
        os.kill(os.getpid(), 9)
    if content == b"hang":
        time.sleep(600)
    if content == b"half":
        gave.write(head.pack(kind, 100) + b"x")
        gave.flush()
        os._exit(0)
    if content == b"boast":
        gave.write(head.pack(kind, 2**60))
        gave.flush()
    if content == b"deaf":
        give(kind, b"")
        time.sleep(600)
    give(kind, content)
"""


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., ChildProcess]:
    (tmp_path / "echo.py").write_text(ECHO, encoding="utf-8")

    def started(*words: str) -> ChildProcess:
        return ChildProcess("echo", words, {**os.environ, "PYTHONPATH": str(tmp_path)})

    return started


def test_it_says_a_first_word_and_answers_each_question(start: Callable[..., ChildProcess]) -> None:
    child = start("a", "b")
    assert child.first_word(30) == (b"Y", b"a b")
    large = os.urandom(3_000_000)  # more than pipes hold
    for content in (b"", b"x", large):
        assert child.ask(b"R", content, 30) == (b"R", content)
    child.end()


@pytest.mark.parametrize(
    ("word", "how"), [(b"die", "exit code 7"), (b"kill", "signal 9"), (b"half", "exit code 0")]
)
def test_a_death_is_told_with_how_it_came(start: Callable[..., ChildProcess], word: bytes, how: str) -> None:
    child = start()
    child.first_word(30)
    with pytest.raises(ModelDied, match=how):
        child.ask(b"R", word, 30)
    with pytest.raises(ModelDied):
        child.ask(b"R", b"x" * 200_000, 30)


def test_a_process_that_ends_before_its_first_word_has_died(start: Callable[..., ChildProcess]) -> None:
    child = ChildProcess("no_such_module", (), dict(os.environ))
    with pytest.raises(ModelDied, match="exit code 1"):
        child.first_word(30)


def test_one_that_hangs_is_ended_at_its_deadline(start: Callable[..., ChildProcess]) -> None:
    child = start()
    child.first_word(30)
    begun = time.monotonic()
    with pytest.raises(ModelHung, match=r"within 0.2 s.*pyfunc_seconds") as hung:
        child.ask(b"R", b"hang", 0.2)
    assert hung.value.seconds == 0.2
    assert time.monotonic() - begun < 30
    assert not is_there(child.pid)


def test_one_that_does_not_read_is_ended_too(start: Callable[..., ChildProcess]) -> None:
    child = start()
    child.first_word(30)
    child.ask(b"R", b"deaf", 30)
    with pytest.raises(ModelHung):
        child.ask(b"R", b"x" * 1_000_000, 0.2)
    assert not is_there(child.pid)


def test_an_answer_without_measure_ends_it_before_memory_is_taken(start: Callable[..., ChildProcess]) -> None:
    child = start()
    child.first_word(30)
    with pytest.raises(ModelDied, match="an answer of 1,152,921,504,606,846,976 bytes"):
        child.ask(b"R", b"boast", 30)
    assert not is_there(child.pid)


def test_a_question_that_is_too_large_leaves_it_alive(
    start: Callable[..., ChildProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    child = start()
    child.first_word(30)
    with monkeypatch.context() as patch:
        patch.setattr(frames, "LARGEST", 3)
        with pytest.raises(BadInput, match="send fewer rows"):
            child.ask(b"R", b"four", 30)
    assert child.ask(b"R", b"four", 30) == (b"R", b"four")


def test_nobody_holds_it_and_it_is_gone(start: Callable[..., ChildProcess]) -> None:
    child = start()
    child.first_word(30)
    pid = child.pid
    del child
    gc.collect()
    assert not is_there(pid)
