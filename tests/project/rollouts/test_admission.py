from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.project.worlds import flip

from esteira.base.errors import BadInput, CorruptArtifact, NotFound
from esteira.project.known_answers import KNOWN_ANSWERS
from esteira.project.release import load_model
from esteira.project.rollouts.admission import (
    ARCHIVED,
    Archived,
    DoesNotLoad,
    OtherSignature,
    admit,
    checks,
    missing_for_callers,
)
from esteira.project.rollouts.rolling import start_rollout
from esteira.registry.columns import Column
from esteira.registry.tensors import TensorSignature, TensorSpec

if TYPE_CHECKING:
    from esteira.project.station import Station
    from esteira.registry.bundle import Model


def tagged(station: Station, number: int, **tags: str) -> None:
    version = station.version(number)
    station._versions[number] = replace(version, tags={**version.tags, **tags})


def with_columns(model: Model, *columns: Column) -> Model:
    return replace(model, signature=replace(model.signature, columns=(*model.signature.columns, *columns)))


def test_a_version_that_is_fit_may_challenge_the_champion(two: Station) -> None:
    champion, challenger = admit(two, 2)
    assert (champion.version, challenger.version) == (1, 2)


def test_the_champion_and_what_does_not_exist_are_no_challengers(two: Station) -> None:
    with pytest.raises(BadInput, match="is the champion already"):
        admit(two, 1)
    with pytest.raises(NotFound):
        admit(two, 9)


def test_an_archived_version_does_not_come_back_by_a_rollout(two: Station) -> None:
    tagged(two, 2, **{ARCHIVED: "it leaks"})
    with pytest.raises(Archived, match=r"archived \(it leaks\); roll out another version"):
        start_rollout(two, 2, "by hand")
    assert two.rollouts.history("pump") == []


def test_a_version_that_gives_other_answers_than_it_did_does_not_start(two: Station) -> None:
    wrong = two.artifacts.put({"rows": [[0.0] * 5], "scores": [2.0]}, dict).digest
    tagged(two, 2, **{KNOWN_ANSWERS: wrong})
    with pytest.raises(DoesNotLoad, match="known answers: 1 of 1 scores"):
        start_rollout(two, 2, "by hand")
    assert two.rollouts.active("pump") is None


def test_a_bundle_with_a_flipped_bit_is_refused_before_anything_changes(two: Station) -> None:
    folder = two.artifacts.folder(two.version(2).digest)
    flip(next(path for path in folder.iterdir() if path.name.startswith("model.t")))
    with pytest.raises((CorruptArtifact, DoesNotLoad)):
        start_rollout(two, 2, "by hand")
    assert two.rollouts.history("pump") == []


def test_what_is_wrong_with_a_version_is_said_in_a_sentence(two: Station) -> None:
    assert checks(two, two.version(2)) == []


# callers


def test_the_same_request_columns_are_no_reason(two: Station) -> None:
    model = load_model(two, two.version(1))
    assert missing_for_callers(model, model) == ""


def test_a_column_that_callers_do_not_send_must_be_optional(two: Station) -> None:
    model = load_model(two, two.version(1))
    assert missing_for_callers(model, with_columns(model, Column("torque"))) == "it needs 'torque' besides"
    assert missing_for_callers(model, with_columns(model, Column("torque", optional=True))) == ""


def test_a_column_that_callers_send_must_be_known(two: Station) -> None:
    model = load_model(two, two.version(1))
    assert missing_for_callers(with_columns(model, Column("torque")), model) == "it does not know 'torque'"


def test_a_column_keeps_its_kind(two: Station) -> None:
    model = load_model(two, two.version(1))
    text = with_columns(model, Column("torque", "category", ("low", "high")))
    number = with_columns(model, Column("torque"))
    assert missing_for_callers(text, number) == "its 'torque' is a number, not a category"


def test_tensors_are_no_columns(two: Station) -> None:
    model = load_model(two, two.version(1))
    spec = TensorSpec("x", "FP32", (-1, 3))
    tensors = replace(model, tensors=TensorSignature((spec,), (TensorSpec("y", "FP32", (-1, 1)),)))
    wider = replace(model, tensors=TensorSignature((replace(spec, shape=(-1, 4)),), tensors.tensors.outputs))
    assert missing_for_callers(model, tensors) == "it takes tensors, not columns"
    assert missing_for_callers(tensors, tensors) == ""
    assert "other names, types or shapes" in missing_for_callers(tensors, wider)


def test_the_refusal_says_what_to_do(two: Station) -> None:
    error = OtherSignature(1, 2, "it needs 'torque' besides")
    assert "callers of version 1" in str(error)
    assert "esteira deploy" in str(error)
