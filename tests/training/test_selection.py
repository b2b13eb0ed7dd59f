"""The report that says which columns are worth asking for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from esteira.base.errors import BadInput
from esteira.cli.output import print_table
from esteira.pipelines.codecs import codec_for, open_codec
from esteira.registry.signature import infer_signature
from esteira.training.examples import UnusableTarget
from esteira.training.selection import HEADINGS, SelectionReport, Verdict, select_features
from esteira.training.selectors.mutual_information import MutualInformation
from esteira.training.selectors.permutation import Permutation
from esteira.training.selectors.variance import Variance

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

COLUMNS = ("left", "right", "miles", "noise", "same")


def rows(count: int = 2000, seed: int = 0) -> pa.Table:
    """Late when left and right differ, which neither tells alone, or when it is far."""
    drawn = np.random.default_rng(seed)
    left, right, miles = drawn.integers(0, 2, count), drawn.integers(0, 2, count), drawn.normal(size=count)
    late = drawn.random(count) < np.where(left != right, 0.7, 0.2) + 0.2 * (miles > 0)
    sides = np.array(["west", "east"])
    return pa.table(
        {
            "left": sides[left],
            "right": sides[right],
            "miles": miles,
            "noise": drawn.normal(size=count),
            "same": [1.0] * count,
            "late": late,
        }
    )


SIGNATURE = infer_signature(rows(), "late", columns=COLUMNS)


def crossed(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """A model that knows how late comes about."""
    scores: NDArray[np.float64] = 0.2 + 0.5 * (matrix[:, 0] != matrix[:, 1]) + 0.2 * (matrix[:, 2] > 0)
    return scores


def report(seed: int = 7) -> SelectionReport:
    methods = [Variance(), MutualInformation(), Permutation(crossed, rows(seed=1))]
    return select_features(rows(), SIGNATURE, seed=seed, methods=methods)


def verdict(report: SelectionReport, method: str, column: str) -> Verdict:
    (found,) = [each for each in report.verdicts if (each.method, each.column) == (method, column)]
    return found


def test_what_varies_and_beats_noise_by_some_method_is_kept() -> None:
    made = report()
    assert made.kept == ("left", "right", "miles")
    assert made.dropped == ("noise", "same")
    assert not verdict(made, "mutual_information", "left").keep
    assert verdict(made, "permutation", "left").keep


def test_a_column_that_hardly_varies_is_dropped_whatever_others_say() -> None:
    made = report()
    constant = Verdict("x", "variance", 1, 0.0, False, "same")  # noqa: FBT003 - a row of the report
    hopeless = SelectionReport("late", 2000, 7, ("x",), (constant,))
    praised = Verdict("x", "permutation", 1, 0.5, True, "better", noise=0.1)  # noqa: FBT003 - a row of the report
    assert SelectionReport("late", 2000, 7, ("x",), (*hopeless.verdicts, praised)).kept == ()
    assert "nearly constant: 2000 of 2000 rows" in verdict(made, "variance", "same").reason


def test_without_a_method_that_knows_noise_what_varies_is_kept() -> None:
    assert select_features(rows(), SIGNATURE, seed=7, methods=[Variance()]).dropped == ("same",)


def test_by_default_variance_and_what_each_tells_alone_are_judged() -> None:
    made = select_features(rows(), SIGNATURE, seed=7)
    assert {each.method for each in made.verdicts} == {"variance", "mutual_information"}
    assert len(made.verdicts) == 2 * len(COLUMNS)


def test_each_method_ranks_its_columns_and_equals_share_a_rank() -> None:
    made = [each for each in report().verdicts if each.method == "permutation"]
    assert [each.rank for each in made] == [1, 2, 3, 4, 4]
    assert {each.column for each in made[3:]} == {"noise", "same"}
    assert [each.score for each in made] == sorted((each.score for each in made), reverse=True)


def test_equal_rows_and_seed_give_an_equal_report() -> None:
    assert report() == report()
    assert report(seed=8) != report()


def test_a_column_is_judged_the_same_whatever_stands_beside_it() -> None:
    alone = infer_signature(rows(), "late", columns=("miles",))
    made = select_features(rows(), alone, seed=7)
    beside = verdict(report(), "mutual_information", "miles")
    assert verdict(made, "mutual_information", "miles").score == beside.score


def test_a_report_is_an_artifact(tmp_path: Path) -> None:
    made = report()
    codec = open_codec(codec_for(made))
    codec.save(made, tmp_path)
    assert codec.load(tmp_path, SelectionReport) == made


def test_a_report_is_json_that_says_what_is_kept() -> None:
    made = report()
    plain = json.loads(json.dumps(made.to_plain()))
    assert (plain["kept"], plain["dropped"]) == (["left", "right", "miles"], ["noise", "same"])
    assert plain == made.to_plain()


def test_a_report_is_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("columns", HEADINGS, report().lines())
    printed = capsys.readouterr().out
    assert "no better than noise: 19 of 19 shuffles of it do as well" in printed
    assert all(heading in printed for heading in HEADINGS)


def test_a_method_that_judges_twice_is_refused() -> None:
    with pytest.raises(BadInput, match="each method may judge once, found variance, variance"):
        select_features(rows(), SIGNATURE, seed=7, methods=[Variance(), Variance(0.1)])


def test_rows_of_one_class_are_refused() -> None:
    table = rows()
    with pytest.raises(UnusableTarget, match="same class"):
        select_features(table.filter(table["late"]), SIGNATURE, seed=7)
