"""What every clock owes: UTC, one time in two spellings, and no step back."""

from __future__ import annotations

from abc import abstractmethod
from datetime import UTC
from typing import TYPE_CHECKING

from esteira.base.clock import to_micros

if TYPE_CHECKING:
    from esteira.base.ports import Clock


class ClockContract:
    """Subclass it and say how the clock is opened."""

    @abstractmethod
    def open(self) -> Clock: ...

    def test_now_is_aware_and_in_utc(self) -> None:
        assert self.open().now().tzinfo is UTC

    def test_micros_and_now_tell_the_same_time(self) -> None:
        clock = self.open()
        before, told, after = clock.micros(), to_micros(clock.now()), clock.micros()
        assert before <= told <= after

    def test_time_does_not_go_back(self) -> None:
        clock = self.open()
        told = [clock.micros() for _ in range(1000)]
        assert told == sorted(told)
