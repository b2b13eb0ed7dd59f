from __future__ import annotations

import pytest

from esteira.registry.bundle import Model
from esteira.registry.columns import Column
from esteira.registry.signature import Signature
from esteira.serving.conversions.lleaves import to_lleaves
from esteira.serving.conversions.port import NotConvertible

SIGNATURE = Signature((Column("miles"),), "late")


def test_trees_stay_the_same_text_for_another_reader() -> None:
    model = Model("lightgbm", SIGNATURE, {"model.txt": b"tree"}, {"seed": 7})
    (form,) = to_lleaves(model)
    assert form == Model("lleaves", SIGNATURE, {"model.txt": b"tree"}, {"seed": 7})


def test_what_is_no_tree_cannot_be_compiled() -> None:
    with pytest.raises(NotConvertible, match="cannot become 'lleaves': only trees of LightGBM"):
        next(to_lleaves(Model("sklearn", SIGNATURE, {})))
