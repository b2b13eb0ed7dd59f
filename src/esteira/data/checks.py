"""What a batch and its rows must be before they are kept.

A check of the batch (`HasColumns`, `Fresh`) refuses it whole; a check of rows (`NotNull`, `InRange`,
`OneOf`, `Unique`) names the rows to set aside and why. Nothing is dropped: good and bad add up to the input.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from esteira.base.clock import to_micros
from esteira.base.errors import CheckFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

REASON = "_reason"

Reason = tuple[str, "NDArray[np.bool_]"]  # what is wrong, and with which rows: no nulls, the table's length


@runtime_checkable
class BatchCheck(Protocol):
    """Says why a whole batch cannot be used; empty when it can."""

    def refusal(self, rows: pa.Table, now: datetime) -> str: ...


@runtime_checkable
class RowCheck(Protocol):
    """Gives the reasons for which rows must be set aside."""

    def reasons(self, rows: pa.Table) -> Iterator[Reason]: ...


Check = BatchCheck | RowCheck


@dataclass(frozen=True, slots=True)
class HasColumns:
    """The batch has these columns with these types, in any order; it may have more.

    >>> from datetime import UTC
    >>> july = datetime(2013, 7, 1, tzinfo=UTC)
    >>> HasColumns(pa.schema({"a": pa.int64()})).refusal(pa.table({"a": ["x"]}), july)
    'a is string, expected int64'
    """

    schema: pa.Schema

    def refusal(self, rows: pa.Table, now: datetime) -> str:
        found = {field.name: field.type for field in rows.schema}
        wrong = []
        for field in self.schema:
            if field.name not in found:
                wrong.append(f"{field.name} is missing, expected {field.type}")
            elif found[field.name] != field.type:
                wrong.append(f"{field.name} is {found[field.name]}, expected {field.type}")
        return ", ".join(wrong)


@dataclass(frozen=True, slots=True)
class Fresh:
    """The newest time in a column lies at most `within` before now; times after now do not count.

    One row with a wrong future date must not hide that the feed has stopped.
    """

    column: str
    within: timedelta

    def refusal(self, rows: pa.Table, now: datetime) -> str:
        newest = pc.max(rows[self.column].filter(pc.less_equal(rows[self.column], now))).as_py()
        if newest is None:
            return f"{self.column} has no time up to now, {now.isoformat()}"
        if newest < now - self.within:
            return f"the newest {self.column} is {newest.isoformat()}, more than {self.within} old"
        return ""


@dataclass(frozen=True, slots=True)
class NotNull:
    """Each of these columns has a value."""

    columns: tuple[str, ...]

    def reasons(self, rows: pa.Table) -> Iterator[Reason]:
        for column in self.columns:
            yield f"{column} is null", _flags(pc.is_null(rows[column]))


@dataclass(frozen=True, slots=True)
class InRange:
    """Values lie in [low, high]; an open end is None. NaN lies in no range; a null is `NotNull`'s affair."""

    column: str
    low: Any = None
    high: Any = None

    def __post_init__(self) -> None:
        for bound in (self.low, self.high):
            if isinstance(bound, datetime):
                to_micros(bound, f"a bound of {self.column}")

    def reasons(self, rows: pa.Table) -> Iterator[Reason]:
        values = rows[self.column]
        inside = np.ones(len(values), dtype=bool)
        if self.low is not None:
            inside &= _flags(pc.greater_equal(values, self.low), null=True)
        if self.high is not None:
            inside &= _flags(pc.less_equal(values, self.high), null=True)
        yield f"{self.column} is {self._broken()}", ~inside

    def _broken(self) -> str:
        if self.low is None:
            return f"above {self.high}"
        return f"below {self.low}" if self.high is None else f"outside {self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class OneOf:
    """Values are among those given; a null is `NotNull`'s affair."""

    column: str
    values: tuple[Any, ...]

    def reasons(self, rows: pa.Table) -> Iterator[Reason]:
        values = rows[self.column]
        known = pc.is_in(values, value_set=pa.array(self.values, values.type))
        yield f"{self.column} is not a known value", _flags(pc.invert(pc.or_(known, pc.is_null(values))))


@dataclass(frozen=True, slots=True)
class Unique:
    """No two rows of the batch have the same values here: the first is kept, the others are set aside.

    Judged among the rows that pass all other row checks, so that a bad row cannot push a good one out.
    Null equals null. Rows that the table already has are not looked at.
    """

    columns: tuple[str, ...]

    def reasons(self, rows: pa.Table) -> Iterator[Reason]:
        keys = [rows[column] for column in self.columns]
        names = [f"key{at}" for at in range(len(keys))]
        numbered = pa.table([*keys, pa.array(np.arange(rows.num_rows))], names=[*names, "row"])
        first = numbered.group_by(names).aggregate([("row", "min")])["row_min"].to_numpy()
        repeats = np.ones(rows.num_rows, dtype=bool)
        repeats[first] = False
        yield f"{'+'.join(self.columns)} repeats", repeats


class BatchRefused(CheckFailed):
    """A batch that cannot be used at all; nothing of it was written."""

    def __init__(self, refusals: Sequence[str]) -> None:
        self.refusals = tuple(refusals)
        mend = "nothing was written; mend the source, or change the check"
        super().__init__(f"the batch is refused: {'; '.join(self.refusals)}; {mend}")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found."""

    check: Check
    rows: int  # judged
    failed: int


@dataclass(frozen=True, slots=True)
class Checked:
    """A batch parted in two, in the input's order: `good` as it came, `bad` with the column `_reason`."""

    good: pa.Table
    bad: pa.Table
    results: tuple[CheckResult, ...]
    reasons: Mapping[str, int]  # reason → rows; a row may have several

    @property
    def ok(self) -> bool:
        """Whether every row is good."""
        return bool(self.bad.num_rows == 0)


def validate(rows: pa.Table, checks: Sequence[Check], now: datetime) -> Checked:
    """Part a batch into good rows and bad ones with their reasons, joined by semicolons.

    Raises: BatchRefused when a check of the batch says no, or a check cannot be made on these columns;
    NaiveTime.
    >>> from datetime import UTC
    >>> batch = pa.table({"miles": [500, -1, None]})
    >>> checks = [NotNull(("miles",)), InRange("miles", 0, 9000)]
    >>> checked = validate(batch, checks, now=datetime(2013, 7, 1, tzinfo=UTC))
    >>> checked.good["miles"].to_pylist(), checked.bad["_reason"].to_pylist()
    ([500], ['miles is outside 0 to 9000', 'miles is null'])
    """
    to_micros(now, "now")
    refusals = [said for check in checks if isinstance(check, BatchCheck) if (said := _ask(check, rows, now))]
    if REASON in rows.column_names:
        refusals.append(f"a column is named {REASON}, which quarantine tables need for themselves")
    if refusals:
        raise BatchRefused(refusals)
    row_checks = [(at, check) for at, check in enumerate(checks) if isinstance(check, RowCheck)]
    nobody = np.zeros(rows.num_rows, dtype=bool)
    found = {at: _reasons(check, rows, ~nobody) for at, check in row_checks if not isinstance(check, Unique)}
    passing = ~_any(nobody, found.values())
    found |= {at: _reasons(check, rows, passing) for at, check in row_checks if isinstance(check, Unique)}
    results = [
        CheckResult(check, rows.num_rows, int(_any(nobody, [found.get(at, [])]).sum()))
        for at, check in enumerate(checks)
    ]
    is_bad = _any(nobody, found.values())
    reasons: dict[str, NDArray[np.bool_]] = {}
    for reason, mask in (each for _, several in sorted(found.items()) for each in several):
        reasons[reason] = mask | reasons.get(reason, nobody)  # two checks may say the same
    counts = {reason: int(mask.sum()) for reason, mask in reasons.items() if mask.any()}
    good, bad = rows.filter(pa.array(~is_bad)), _with_reasons(rows, is_bad, reasons)
    return Checked(good, bad, tuple(results), counts)


def _ask(check: BatchCheck, rows: pa.Table, now: datetime) -> str:
    try:
        return check.refusal(rows, now)
    except (KeyError, pa.ArrowException) as cannot:
        return f"{check} cannot be made: {cannot}"


def _reasons(check: RowCheck, rows: pa.Table, judged: NDArray[np.bool_]) -> list[Reason]:
    """The reasons of a check among the rows that it judges, as masks over all rows."""
    try:
        if judged.all():
            return list(check.reasons(rows))
        found = list(check.reasons(rows.filter(pa.array(judged))))
    except (KeyError, pa.ArrowException) as cannot:
        raise BatchRefused([f"{check} cannot be made: {cannot}"]) from cannot
    places = np.flatnonzero(judged)
    spread = []
    for reason, mask in found:
        everywhere = np.zeros(rows.num_rows, dtype=bool)
        everywhere[places[mask]] = True
        spread.append((reason, everywhere))
    return spread


def _with_reasons(
    rows: pa.Table, is_bad: NDArray[np.bool_], reasons: Mapping[str, NDArray[np.bool_]]
) -> pa.Table:
    places = np.flatnonzero(is_bad)
    joined = pa.nulls(0, pa.string())
    if len(places):
        said = [pc.if_else(pa.array(mask[places]), reason, None) for reason, mask in reasons.items()]
        joined = pc.binary_join_element_wise(*said, "; ", null_handling="skip")
    return rows.take(pa.array(places)).append_column(REASON, joined)


def _any(nobody: NDArray[np.bool_], found: Iterable[Sequence[Reason]]) -> NDArray[np.bool_]:
    masks = [nobody, *(mask for each in found for _, mask in each)]
    union: NDArray[np.bool_] = np.logical_or.reduce(masks, axis=0)
    return union


def _flags(values: pa.ChunkedArray, *, null: bool = False) -> NDArray[np.bool_]:
    flags: NDArray[np.bool_] = pc.fill_null(values, null).to_numpy()
    return flags
