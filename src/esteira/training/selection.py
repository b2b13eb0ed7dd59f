"""Which columns are worth asking for, and why: a report that a step can return and a person can read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from esteira.base.errors import BadInput
from esteira.base.records import to_plain
from esteira.training.examples import read_examples
from esteira.training.selectors.mutual_information import MutualInformation
from esteira.training.selectors.variance import Variance

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from esteira.registry.signature import Signature
    from esteira.training.selectors.port import ColumnScore, Selector

HEADINGS = ("method", "rank", "column", "score", "noise", "reason")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one method says of one column."""

    column: str
    method: str
    rank: int  # 1 is the best; equal scores share a rank
    score: float  # its meaning and unit are the method's
    keep: bool
    reason: str
    spread: float | None = None  # standard deviation of the score over shuffles of the column
    noise: float | None = None  # the best score of those shuffles; None: the method compares with none


@dataclass(frozen=True, slots=True)
class SelectionReport:
    """The verdicts of every method on every column: by method, and within one the best first. JSON values."""

    target: str
    rows: int
    seed: int
    columns: tuple[str, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def kept(self) -> tuple[str, ...]:
        """The columns that vary, and that some method that looked for it finds better than noise."""
        return tuple(name for name in self.columns if self._is_kept(name))

    def _is_kept(self, column: str) -> bool:
        own = [verdict for verdict in self.verdicts if verdict.column == column]
        better = [verdict.keep for verdict in own if verdict.noise is not None]
        return all(verdict.keep for verdict in own if verdict.noise is None) and (any(better) or not better)

    @property
    def dropped(self) -> tuple[str, ...]:
        """The other columns."""
        return tuple(name for name in self.columns if not self._is_kept(name))

    def to_plain(self) -> dict[str, Any]:
        """The report as JSON values, with what is kept and dropped."""
        return {**to_plain(self), "kept": [*self.kept], "dropped": [*self.dropped]}

    def lines(self) -> list[tuple[str, str, str, str, str, str]]:
        """Cells of a table for people, under `HEADINGS`."""
        return [
            (
                each.method,
                str(each.rank),
                each.column,
                f"{each.score:.4g}",
                "" if each.noise is None else f"{each.noise:.4g}",
                each.reason,
            )
            for each in self.verdicts
        ]


def select_features(
    table: pa.Table, signature: Signature, *, seed: int, methods: Sequence[Selector] = ()
) -> SelectionReport:
    """Judge the columns of a signature on training rows: by default their variance and what each tells alone.

        @step
        def worth(train: pa.Table, holdout: pa.Table, model: Model, seed: int = 7) -> SelectionReport:
            lost = Permutation(open_runtime(model).predict, holdout)
            return select_features(
                train, model.signature, seed=seed, methods=[Variance(), MutualInformation(), lost])

    Equal rows and seed give an equal report. Raises: UnusableTarget, WrongInput, BadInput.
    >>> import pyarrow as pa
    >>> from esteira.registry.signature import infer_signature
    >>> rows = {"miles": range(400), "tail": ["N1"] * 400, "late": [at > 300 for at in range(400)]}
    >>> signature = infer_signature(pa.table(rows), "late", columns=("miles", "tail"))
    >>> select_features(pa.table(rows), signature, seed=7).kept
    ('miles',)
    """
    methods = methods or (Variance(), MutualInformation())
    names = [method.name for method in methods]
    if len(set(names)) < len(names):
        raise BadInput(f"each method may judge once, found {', '.join(names)}")
    examples = read_examples(table, signature)
    verdicts = tuple(
        verdict
        for method in methods
        for verdict in _ranked(method.name, method.judge(examples, signature, seed))
    )
    return SelectionReport(signature.target, table.num_rows, seed, signature.names, verdicts)


def _ranked(method: str, scores: Sequence[ColumnScore]) -> list[Verdict]:
    values = [each.score for each in scores]
    ordered = sorted(scores, key=lambda each: -each.score)
    return [
        Verdict(rank=1 + sum(value > each.score for value in values), method=method, **asdict(each))
        for each in ordered
    ]
