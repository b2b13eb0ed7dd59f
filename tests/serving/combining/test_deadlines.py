from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from esteira.serving.combining.deadlines import OwnThread
from esteira.serving.combining.failures import MemberBusy, MemberLate


def _threads() -> int:
    return sum(each.name == "member" for each in threading.enumerate())


def _until(count: int) -> bool:
    until = time.monotonic() + 5
    while _threads() != count and time.monotonic() < until:
        time.sleep(0.01)
    return _threads() == count


def test_a_call_gives_what_its_work_gave_or_raises_what_it_raised() -> None:
    thread = OwnThread(5000)
    assert thread.start(lambda: 7).result() == 7
    with pytest.raises(ZeroDivisionError):
        thread.start(lambda: 1 // 0).result()
    assert thread.start(threading.get_ident).result() != threading.get_ident()


def test_who_waits_is_told_at_the_deadline_and_the_next_at_once_until_the_late_one_is_back() -> None:
    thread, free = OwnThread(50), threading.Event()
    began = time.monotonic()
    with pytest.raises(MemberLate, match="50 ms"):
        thread.start(free.wait).result()
    assert 0.04 < time.monotonic() - began < 2
    began = time.monotonic()
    for _ in range(50):
        with pytest.raises(MemberBusy):
            thread.start(lambda: 7)
    assert time.monotonic() - began < 0.05
    free.set()
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            assert thread.start(lambda: 7, 1000).result() == 7
            return
        except MemberBusy:
            time.sleep(0.01)
    pytest.fail("it did not come back")


def test_a_member_that_hangs_costs_one_thread_however_many_ask() -> None:
    thread, free, used = OwnThread(50), threading.Event(), set()

    def hang() -> None:
        used.add(threading.get_ident())
        free.wait()

    def ask(_: int) -> str:
        try:
            thread.start(hang).result()
        except (MemberLate, MemberBusy) as failed:
            return type(failed).__name__
        return "answered"

    with ThreadPoolExecutor(8) as pool:
        assert {*pool.map(ask, range(100))} <= {"MemberLate", "MemberBusy"}
    assert len(used) == 1
    free.set()


def test_a_call_whose_turn_comes_too_late_is_not_made() -> None:
    thread, free, made = OwnThread(60), threading.Event(), []
    first = thread.start(lambda: free.wait(0.2))
    second = thread.start(lambda: made.append(1))
    for call in (first, second):
        with pytest.raises(MemberLate):
            call.result()
    assert thread._line.thread is not None
    time.sleep(0.3)
    assert made == []


def test_the_thread_is_begun_with_the_first_call_and_goes_with_its_owner() -> None:
    gc.collect()
    assert _until(0)
    before, thread = 0, OwnThread(1000)
    assert _threads() == before
    thread.start(lambda: 7).result()
    assert _threads() == before + 1
    del thread
    gc.collect()
    assert _until(before)


def test_another_thread_is_begun_in_a_process_that_was_forked() -> None:
    thread = OwnThread(2000)
    assert thread.start(lambda: 7).result() == 7
    child = os.fork()
    if not child:
        try:
            os._exit(thread.start(lambda: 8).result())
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 8


def test_a_member_that_hangs_does_not_keep_its_process_from_ending() -> None:
    code = (
        "import time; from esteira.serving.combining.deadlines import OwnThread\n"
        "OwnThread(1).start(lambda: time.sleep(600)); time.sleep(0.1)"
    )
    began = time.monotonic()
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
    assert time.monotonic() - began < 30
