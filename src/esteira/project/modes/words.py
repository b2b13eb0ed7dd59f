"""What speaks for each mode, in words made of what was measured: another machine says other ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esteira.project.modes.measured import ModeMeasured

_SAME = 0.05  # two figures that are less apart, relative to the second, are the same


def sentences(
    batch: ModeMeasured, one: ModeMeasured, many: ModeMeasured, stream: ModeMeasured
) -> tuple[str, ...]:
    """A sentence for each mode, in their order; `one` and `many` are online, by the rows of a request."""
    modes = (batch, one, many, stream)
    fastest = max(modes, key=lambda mode: mode.rows_per_s)
    return (
        _of_batch(batch, one, fastest),
        _of_one(one, min((batch, many, stream), key=lambda mode: mode.p50_s)),
        _of_many(many, one),
        _of_stream(stream, one),
    )


def _of_batch(batch: ModeMeasured, one: ModeMeasured, fastest: ModeMeasured) -> str:
    facts = f"batch is {speed(batch, one)} one row a request{_cpu(batch, one)}, and {_start(batch, one)}"
    if fastest is batch:
        return f"{facts}: right when the rows are all there and none is waited for by itself."
    return f"{facts}: not right for {batch.rows:,} rows, as {named(fastest)} is {speed(fastest, batch)} it."


def _of_one(one: ModeMeasured, next_best: ModeMeasured) -> str:
    facts = f"one row a request is answered in {span(one.p50_s)} (p99 {span(one.p99_s)})"
    next_wait = f"with {named(next_best)} a row waits {span(next_best.p50_s)}"
    if one.p50_s < next_best.p50_s:
        return f"{facts}, and {next_wait}: right when somebody waits for each answer."
    return f"{facts}: not the soonest here, as {next_wait}."


def _of_many(many: ModeMeasured, one: ModeMeasured) -> str:
    facts = (
        f"{named(many)} is {speed(many, one)} one{_cpu(many, one)}, "
        f"and the caller waits {span(many.p50_s)} instead of {span(one.p50_s)}"
    )
    if many.rows_per_s > one.rows_per_s * (1 + _SAME):
        return f"{facts}: right when a caller has many rows at once."
    return f"{facts}: nothing is gained by it."


def _of_stream(stream: ModeMeasured, one: ModeMeasured) -> str:
    facts = (
        f"streaming is {speed(stream, one)} one row a request{_cpu(stream, one)}, and a row is in the table "
        f"{span(stream.p50_s)} after its message (p99 {span(stream.p99_s)}, "
        f"of which up to {stream.facts['linger_ms']:.0f} ms is lingering)"
    )
    cheaper = _ratio(stream.cpu_per_million, one.cpu_per_million)
    if stream.rows_per_s > one.rows_per_s * (1 + _SAME) or (cheaper is not None and cheaper < 1 - _SAME):
        return f"{facts}: right when rows come by themselves and nobody waits for the answer."
    return f"{facts}: asking is cheaper, so right only where rows must outlive whoever scores them."


def named(mode: ModeMeasured) -> str:
    """A mode within a sentence: 100 rows a request."""
    return mode.name.removeprefix("online, ")


def speed(mode: ModeMeasured, other: ModeMeasured) -> str:
    """How fast a mode is beside another, to stand before its name."""
    return ratio_words(mode.rows_per_s / other.rows_per_s, "fast", "faster", "slower")


def ratio_words(ratio: float, as_: str, more: str, less: str) -> str:
    """A ratio in words, to stand before what it is a ratio to.

    >>> [ratio_words(each, "fast", "faster", "slower") for each in (14.2, 1.3, 0.99, 0.5)]
    ['14 times as fast as', '30 % faster than', 'as fast as', '50 % slower than']
    """
    if ratio >= 2 - _SAME:
        return f"{ratio:.2g} times as {as_} as" if ratio < 100 else f"{ratio:,.0f} times as {as_} as"
    if abs(ratio - 1) < _SAME:
        return f"as {as_} as"
    return f"{abs(ratio - 1) * 100:.0f} % {more if ratio > 1 else less} than"


def span(seconds: float) -> str:
    """A duration for people.

    >>> span(0.00042), span(0.0314), span(2.5)
    ('0.42 ms', '31 ms', '2.5 s')
    """
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.2g} ms" if seconds < 0.0995 else f"{seconds * 1000:.0f} ms"


def _cpu(mode: ModeMeasured, other: ModeMeasured) -> str:
    ratio = _ratio(mode.cpu_per_million, other.cpu_per_million)
    if ratio is None:
        return ""
    if abs(ratio - 1) < _SAME:
        return ", at as much processor time"
    part = f"{ratio * 100:.2g} % of" if ratio < 1 else f"{ratio:.2g} times"
    return f", at {part} the processor time"


def _ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one / other


def _start(batch: ModeMeasured, one: ModeMeasured) -> str:
    later = ratio_words(batch.start_s / max(one.start_s, 1e-9), "slow", "slower", "faster")
    return f"{later} the gateway to start ({span(batch.start_s)} beside {span(one.start_s)})"
