from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="no build of torch without CUDA could be installed")
pytestmark = pytest.mark.slow

LAST = 2**63 - 1


def whole(*numbers: int) -> Any:
    return torch.tensor(numbers)


TABLE, CELL = torch.ones(10, 4), [torch.ones(16, 5), torch.ones(16, 4), torch.ones(16), torch.ones(16)]
STEPS, STATE = torch.ones(2, 4, 5), torch.zeros(1, 2, 4)
RECURRENT = (True, 1, 0.0, False, False, True)
HEADS, FEWER = torch.ones(1, 2, 8, 4), torch.ones(1, 2, 3, 4)
ONE = torch.ones(1)

UNFIT: dict[str, tuple[str, tuple[Any, ...]]] = {
    "a bag of no word": (
        "embedding_bag.padding_idx",
        (TABLE, whole(99), whole(0), False, 2, False, None, True, None),
    ),
    "a bag from below": ("embedding_bag.default", (TABLE, whole(1, 2, 3), whole(0, -(10**7), 2))),
    "bags out of order": ("_embedding_bag_forward_only.default", (TABLE, whole(1, 2, 3), whole(0, 2, 1))),
    "weights of an LSTM": ("lstm.input", (STEPS, [STATE, STATE], [torch.ones(16, 1), *CELL[1:]], *RECURRENT)),
    "biases of an LSTM": ("lstm.input", (STEPS, [STATE, STATE], [*CELL[:2], ONE, ONE], *RECURRENT)),
    "states of an LSTM": ("lstm.input", (STEPS, [STATE[:, :1], STATE], CELL, *RECURRENT)),
    "an LSTM in training": ("lstm.input", (STEPS, [STATE, STATE], CELL, True, 1, 0.5, True, False, True)),
    "cells of a GRU": ("gru.input", (STEPS, STATE, CELL, *RECURRENT)),
    "layers without end": ("gru.input", (STEPS, STATE, CELL, True, 2**40, 0.0, False, False, True)),
    "values of attention": ("scaled_dot_product_attention.default", (HEADS, HEADS, FEWER)),
    "dropout of attention": ("scaled_dot_product_attention.default", (HEADS, HEADS, HEADS, None, 0.5)),
    "heads of attention": (
        "_scaled_dot_product_flash_attention_for_cpu.default",
        (HEADS, HEADS[:, :1], HEADS[:, :1]),
    ),
    "a norm": (
        "_native_batch_norm_legit_no_training.default",
        (torch.ones(2, 9, 3), ONE, ONE, torch.ones(9), torch.ones(9), 0.1, 1e-5),
    ),
    "the least number": ("div.Tensor_mode", (whole(-LAST - 1), whole(-1))),
    "an index": ("take_along_dim.default", (TABLE, whole(10**9).view(1, 1), 0)),
    "an index below": ("gather.default", (TABLE, 0, whole(-1).view(1, 1).expand(1, 4))),
    "numbers without end": ("zeros.default", ([2**20, 2**20],)),
    "a range without end": ("arange.default", (2**40,)),
    "rows without end": ("repeat.default", (TABLE, [2**20, 2**20])),
    "a picture without end": ("upsample_nearest2d.vec", (torch.ones(1, 1, 4, 4), [2**20, 2**20], None)),
}


@pytest.mark.parametrize("what", UNFIT)
def test_what_a_kernel_takes_on_trust_is_refused(what: str) -> None:
    from esteira.serving.runtimes.torch import operator_of

    name, given = UNFIT[what]
    more = {"rounding_mode": "trunc"} if name.startswith("div") else {}
    with pytest.raises(ValueError, match=r"fit together|random|place|at once"):
        operator_of(f"aten.{name}")(*given, **more)
