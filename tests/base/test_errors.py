from __future__ import annotations

import inspect

import pytest

from esteira.base import errors
from esteira.base.errors import (
    BadInput,
    CheckFailed,
    CorruptArtifact,
    EsteiraError,
    MissingExtra,
    NaiveTime,
    NotFound,
    ServiceUnreachable,
    StorageUnwritable,
    UnknownName,
    UnknownScheme,
)

DEFINED = [
    found
    for found in vars(errors).values()
    if inspect.isclass(found) and issubclass(found, BaseException) and found.__module__ == errors.__name__
]


def test_the_tree_drawn_in_the_module_is_the_tree_of_the_classes() -> None:
    drawn = {}
    parents = {0: "EsteiraError"}
    for line in (errors.__doc__ or "").splitlines():
        if "──" in line:
            depth = line.index("──") // 4
            name = line.partition("──")[2].split()[0]
            parents[depth] = name
            drawn[name] = parents[max(d for d in parents if d < depth)]
    assert drawn == {kind.__name__: kind.__base__.__name__ for kind in DEFINED if kind is not EsteiraError}


@pytest.mark.parametrize("kind", [MissingExtra, NaiveTime, NotFound, UnknownName, UnknownScheme])
def test_what_the_caller_can_mend_is_bad_input(kind: type[EsteiraError]) -> None:
    assert issubclass(kind, BadInput)


def test_a_gate_that_refuses_is_no_bad_input_and_nothing_broken() -> None:
    assert not issubclass(CheckFailed, BadInput | CorruptArtifact)


def test_an_unknown_name_offers_the_nearest() -> None:
    wrong = UnknownName("step", "trian", ["train", "flights"])
    assert str(wrong) == "unknown step 'trian'; did you mean 'train'?"
    assert (wrong.kind, wrong.name, wrong.known) == ("step", "trian", ["flights", "train"])


def test_an_unknown_name_with_nothing_near_lists_all_that_are_known() -> None:
    assert str(UnknownName("step", "xyz", {"train", "flights"})).endswith("known: flights, train")
    assert str(UnknownName("step", "xyz", [])).endswith("known: none")


@pytest.mark.parametrize(
    ("error", "mend", "kept"),
    [
        (UnknownScheme("redis:x", ["lmdb", "memory"]), "use one of: lmdb, memory", {"url": "redis:x"}),
        (MissingExtra("lmdb"), "pip install 'esteira-ml[lmdb]'", {"extra": "lmdb"}),
        (NaiveTime("event time"), "give UTC", {"what": "event time"}),
        (
            NotFound("table", "flights", "run: esteira run"),
            "esteira run",
            {"kind": "table", "name": "flights"},
        ),
        (CorruptArtifact("model.txt", "ab", "cd"), "restore it", {"expected": "ab", "found": "cd"}),
        (
            StorageUnwritable("out", "No space left"),
            "free space",
            {"place": "out", "reason": "No space left"},
        ),
        (ServiceUnreachable("gateway", "127.0.0.1:1", "refused"), "start it", {"service": "gateway"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, EsteiraError) else "",
)
def test_an_error_says_the_mend_and_keeps_its_data(
    error: EsteiraError, mend: str, kept: dict[str, object]
) -> None:
    assert mend in str(error)
    assert {name: getattr(error, name) for name in kept} == kept


def test_a_long_finding_is_shortened_in_the_message_and_whole_on_the_error() -> None:
    wrong = CorruptArtifact("model.txt", "a" * 64, "x" * 5000)
    assert len(str(wrong)) < 400
    assert len(wrong.found) == 5000
