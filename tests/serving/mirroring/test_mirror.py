from __future__ import annotations

import asyncio
import threading
import time

from hypothesis import given
from hypothesis import strategies as st
from tests.serving.mirroring.lines import NEXT, Held, chosen

from esteira.serving.mirroring.messages import Held as Said
from esteira.serving.mirroring.messages import Told, of_held, of_told
from esteira.serving.mirroring.mirror import BATCH_REQUESTS, Mirror
from esteira.serving.telemetry.metrics import Metrics

INFO = ("late", "2", "next", "b")


def test_what_was_answered_is_handed_on_as_it_came() -> None:
    held = Held()
    held.mirror.take(chosen("f1", "ana"), "oip", {"inference-header-content-length": "2"}, b"{}\x00")
    held.mirror.take(chosen("f2"), "mlflow", {"content-type": "text/csv"}, b"miles\n5")
    held.mirror.take(chosen("f3"), "grpc", {}, b"\x08")
    held.mirror.beat()
    assert held.read() == ["f1", "f2", "f3"]
    assert held.targets == [NEXT]
    first, second, third = held.asked
    assert (first.key, first.at, first.revision, first.targets) == (
        "ana",
        1_372_680_000_000_000,
        1,
        (("next", 2),),
    )
    assert [(each.door, each.header, each.body) for each in (first, second, third)] == [
        ("oip", "2", b"{}\x00"),
        ("mlflow", "text/csv", b"miles\n5"),
        ("grpc", None, b"\x08"),
    ]


def test_many_leave_at_once_and_a_few_at_the_next_beat() -> None:
    held = Held()
    held.take(*(f"r{n}" for n in range(BATCH_REQUESTS + 1)))
    assert len(held.read()) == BATCH_REQUESTS
    held.mirror.beat()
    assert len(held.read()) == BATCH_REQUESTS + 1


def test_what_belongs_to_no_shadow_is_neither_handed_on_nor_counted() -> None:
    held = Held(segments=("beta",))
    held.take("f1", model="early")
    held.take("f2")
    held.take("f3", headers={"x-esteira-segment": "beta"}, arm="pinned")
    held.take("f4", headers={"x-esteira-segment": "beta"})
    held.mirror.beat()
    assert held.read() == ["f4"]
    assert held.counts() == {"mirrored": 1}


def test_each_request_has_one_outcome_when_the_process_says_so() -> None:
    held = Held(1.0, 1.0)
    held.take("f1", "f2", "f3")
    held.mirror.beat()
    assert held.counts() == {"mirrored": 3}
    held.tell(2, 1)
    held.tell(3, version=3)
    assert held.counts() == {"mirrored": 3, "answered": 2, "failed": 1}
    assert held.counts("3") == {"mirrored": 3, "answered": 3}


def test_who_does_not_read_fills_the_queue_and_what_comes_then_is_dropped_exactly() -> None:
    held = Held(most=100)
    body = b"x" * 10_000
    for n in range(1_000):
        held.mirror.take(chosen(f"r{n}"), "mlflow", {}, body)
    counts = held.counts()
    left = 1_000 - counts["mirrored"]  # these wait in the queue
    assert left == 100
    assert counts["dropped"] > 500
    sent = counts["mirrored"] - counts["dropped"]
    for _ in range(1_000):
        held.read()
        held.mirror.beat()
    assert len(held.asked) == sent + left
    held.tell(len(held.asked))
    assert held.counts() == {"mirrored": 1_000, "answered": sent + left, "dropped": counts["dropped"]}


def test_large_bodies_fill_the_queue_by_their_bytes() -> None:
    held = Held(most_bytes=50_000)
    held.theirs.close()
    held.mirror.beat()
    for n in range(10):
        held.mirror.take(chosen(f"r{n}"), "mlflow", {}, b"x" * 20_000)
    assert held.counts() == {"mirrored": 7, "dropped": 7}


def test_what_a_process_took_and_did_not_speak_of_is_lost_with_it_and_the_next_gets_the_rest() -> None:
    held = Held()
    held.take("f1", "f2", "f3")
    held.mirror.beat()
    held.read()
    held.tell(1)
    held.theirs.close()
    held.mirror.beat()
    assert held.mirror.channel is None
    assert held.counts() == {"mirrored": 3, "answered": 1, "lost": 2}
    held.take("f4")
    held.mirror.beat()
    held.connect()
    held.targets.clear()
    held.mirror.beat()
    assert held.read()[-1] == "f4"
    assert held.targets == [NEXT]  # a new process must be told
    held.tell(1)
    assert held.counts() == {"mirrored": 4, "answered": 2, "lost": 2}


@given(st.lists(st.sampled_from(["take", "beat", "read", "answer", "fail", "die"]), max_size=60))
def test_at_every_moment_what_was_mirrored_is_told_waits_or_is_lost(steps: list[str]) -> None:
    held, told, taken = Held(most=8), 0, 0
    for step in steps:
        if step == "take":
            for n in range(5):
                held.mirror.take(chosen(f"r{n}"), "mlflow", {}, b"x" * 30_000)
            taken += 5
        elif step in {"beat", "read"}:
            held.mirror.beat() if step == "beat" else held.read()
        elif step in {"answer", "fail"} and len(held.read()) > told:
            told += 1
            held.tell(int(step == "answer"), int(step == "fail"))
        elif step == "die":
            held.theirs.close()
            held.mirror.beat()
            held.connect()
            told = len(held.asked)
        counts, channel = held.counts(), held.mirror.channel
        waiting = 0 if channel is None else channel.waiting.total()
        assert counts.pop("mirrored") == sum(counts.values()) + waiting
    held.mirror.close(0.0)
    counts = held.counts()
    assert counts.pop("mirrored") == sum(counts.values()) == taken


def test_without_shadows_the_process_is_let_go_and_what_it_says_last_counts() -> None:
    held = Held()
    held.take("f1")
    held.mirror.beat()
    held.mirror.plans = {}
    held.take("f2")
    held.mirror.beat()
    assert held.read() == ["f1"]
    assert held.theirs.recv(10) == b""
    held.tell(1)
    held.theirs.close()
    held.mirror.beat()
    assert held.mirror.channel is None
    assert held.counts() == {"mirrored": 1, "answered": 1}


def test_whether_a_shadow_can_be_asked_is_shown_as_the_process_says() -> None:
    held = Held()

    def shown() -> list[float]:
        return held.metrics.read()["esteira_shadow_info"][INFO]

    held.mirror.beat()
    assert shown() == [0.0]
    held.theirs.send(of_held([Said(NEXT, is_held=True)]))
    held.mirror.beat()
    assert shown() == [1.0]
    held.theirs.close()
    held.mirror.beat()
    assert shown() == [0.0]
    held.connect()
    held.mirror.plans = {}
    held.mirror.beat()
    assert "esteira_shadow_info" not in held.metrics.read()


def test_closing_waits_a_short_time_for_what_was_handed_on() -> None:
    held = Held()
    held.take(*(f"r{n}" for n in range(5)))

    def process() -> None:
        while len(held.read()) < 5:
            time.sleep(0.001)
        held.theirs.send(of_told([Told("late", 2, 4, 0)]))
        held.theirs.close()

    thread = threading.Thread(target=process)
    thread.start()
    held.mirror.close(5.0)
    thread.join()
    assert held.counts() == {"mirrored": 5, "answered": 4, "lost": 1}


def test_closing_gives_a_process_that_hangs_its_time_and_no_more() -> None:
    held = Held()
    held.take("f1")
    began = time.monotonic()
    held.mirror.close(0.1)
    assert time.monotonic() - began < 2
    assert held.counts() == {"mirrored": 1, "lost": 1}


def test_a_loop_looks_after_the_queue() -> None:
    held = Held()

    async def serve() -> None:
        held.mirror.attach(asyncio.get_running_loop())
        held.take("f1")
        while not held.read():
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(serve(), 5))
    assert held.read() == ["f1"]


def test_a_mirror_without_shadows_does_nothing() -> None:
    mirror = Mirror(Metrics())
    mirror.take(chosen("f1"), "mlflow", {}, b"")
    mirror.beat()
    mirror.close()
    assert not mirror.plans
