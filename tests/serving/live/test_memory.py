from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from esteira.serving.live.memory import FACTOR, MIB, OWN_BYTES, Scales, bundle_bytes, leavers, resident_bytes

if TYPE_CHECKING:
    from pathlib import Path

RESIDENTS = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=2), st.tuples(st.integers(0, 9), st.integers(1, 50)), max_size=12
)


@given(residents=RESIDENTS, room=st.integers(-10, 300))
def test_just_enough_of_the_least_recently_used_leave(
    residents: dict[str, tuple[int, int]], room: int
) -> None:
    gone = leavers(residents, room)
    kept = {name: each for name, each in residents.items() if name not in gone}
    assert sum(size for _, size in kept.values()) <= max(room, 0)
    if kept and gone:
        assert max(residents[name][0] for name in gone) <= min(at for at, _ in kept.values())
    if gone:  # with the last of them there would be too much
        assert sum(size for _, size in kept.values()) + residents[gone[-1]][1] > room


class Heap:
    """Resident memory as a test says."""

    def __init__(self) -> None:
        self.bytes = 0

    def __call__(self) -> int:
        return self.bytes


def test_the_factor_of_a_runtime_is_what_its_loads_took_together() -> None:
    heap = Heap()
    scales = Scales(heap)
    assert scales.size(MIB, "sklearn") == OWN_BYTES + FACTOR * MIB
    noise = [3 * MIB, -2 * MIB, 5 * MIB, -6 * MIB]
    for extra in noise * 25:
        with scales.weighing(2 * MIB) as platform:
            heap.bytes += 10 * MIB + extra + OWN_BYTES
            platform.append("sklearn")
    assert 4.8 < (scales.size(10 * MIB, "sklearn") - OWN_BYTES) / (10 * MIB) < 5.0
    assert scales.size(10 * MIB, "lightgbm") == OWN_BYTES + FACTOR * 10 * MIB
    assert scales.size(MIB) == scales.size(MIB, "sklearn")  # the mean of what is known


def test_loads_that_overlap_and_loads_that_fail_teach_nothing() -> None:
    heap = Heap()
    scales = Scales(heap)
    with scales.weighing(MIB) as one, scales.weighing(MIB) as other:
        heap.bytes += 900 * MIB
        one.append("sklearn")
        other.append("sklearn")
    with scales.weighing(MIB):
        heap.bytes += 900 * MIB
    assert scales.size(MIB, "sklearn") == OWN_BYTES + FACTOR * MIB


def test_no_measurement_makes_a_model_smaller_than_its_bundle_or_endless() -> None:
    heap = Heap()
    scales = Scales(heap)
    for _ in range(50):
        with scales.weighing(MIB) as platform:
            heap.bytes -= 50 * MIB
            platform.append("a")
        with scales.weighing(MIB) as platform:
            heap.bytes += 5_000 * MIB
            platform.append("b")
    assert scales.size(MIB, "a") == OWN_BYTES + MIB
    assert scales.size(MIB, "b") == OWN_BYTES + 32 * MIB


def test_scales_are_safe_for_several_threads() -> None:
    scales = Scales()

    def load() -> None:
        for _ in range(200):
            with scales.weighing(1000) as platform:
                platform.append("x")

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert scales.size(1000, "x") >= OWN_BYTES + 1000


def test_this_process_and_a_bundle_have_a_size(tmp_path: Path) -> None:
    assert resident_bytes() > MIB
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "model.txt").write_bytes(b"x" * 7)
    (tmp_path / "card.json").write_bytes(b"y" * 5)
    assert bundle_bytes(tmp_path) == 12
    assert bundle_bytes(tmp_path / "nowhere") == 0
