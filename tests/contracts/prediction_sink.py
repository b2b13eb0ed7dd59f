"""What every PredictionSink must do: keep what it is given, in order, and end in peace."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from esteira.base.records import Prediction

if TYPE_CHECKING:
    from esteira.base.ports import PredictionSink


def prediction(number: int) -> Prediction:
    """A prediction of its own, by number."""
    vector = (float(number), float("nan"), -0.0)
    return Prediction(f"p{number}", number, "late", 1, "champion", 2, f"k{number}", 0.5, 0.001, vector)


class PredictionSinkContract:
    """Subclass it and say how the sink is opened, and what it kept once it is closed."""

    @abstractmethod
    def open(self) -> PredictionSink: ...

    @abstractmethod
    def kept(self) -> list[Prediction]: ...

    def test_what_was_written_is_kept_in_its_order(self) -> None:
        sink = self.open()
        for number in range(1000):
            sink.write(prediction(number))
        sink.close()
        # By their text, because a missing value does not equal itself.
        assert [repr(each) for each in self.kept()] == [repr(prediction(number)) for number in range(1000)]

    def test_a_sink_that_got_nothing_keeps_nothing(self) -> None:
        self.open().close()
        assert self.kept() == []

    def test_closing_twice_is_closing_once(self) -> None:
        sink = self.open()
        sink.write(prediction(1))
        sink.close()
        sink.close()
        assert [each.id for each in self.kept()] == ["p1"]
