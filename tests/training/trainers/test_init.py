"""Opening a trainer by name."""

from __future__ import annotations

import sys

import pytest
from tests.contracts.trainer import flights, signature_of

from esteira.base.errors import MissingExtra, UnknownScheme
from esteira.training.trainers import fit, open_trainer


def test_fit_is_the_trainer_at_that_url() -> None:
    table = flights(200)
    given = {"seed": 3, "threads": 1, "max_iterations": 50}
    direct = open_trainer("sklearn:").fit(table, signature_of(table), **given)
    assert fit("sklearn:", table, signature_of(table), **given) == direct


def test_an_unknown_trainer_is_named_with_those_that_are_known() -> None:
    with pytest.raises(UnknownScheme, match="lightgbm, sklearn"):
        open_trainer("xgboost:")


@pytest.mark.parametrize(
    ("url", "vendor", "extra"),
    [
        ("lightgbm:", "lightgbm", "lightgbm"),
        ("sklearn:", "skops", "sklearn"),
        ("sklearn:", "sklearn", "sklearn"),
    ],
)
def test_a_trainer_whose_vendor_is_missing_says_how_to_install_it(
    url: str, vendor: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, vendor, None)
    for name in [each for each in sys.modules if each.startswith(f"{vendor}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, f"esteira.training.trainers.{extra}", raising=False)
    with pytest.raises(MissingExtra, match=f"esteira-ml\\[{extra}\\]"):
        open_trainer(url)
