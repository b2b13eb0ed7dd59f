"""What PyTorch's kernels for the processor take on trust, looked at before they are called.

Found by trying on PyTorch 2.13: each reads or writes memory of others, or ends the process, when it is given
shapes or indices that do not fit together.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Given = Mapping[str, Any]  # arguments by the names of the operator's schema
    Torch = Any  # its operators and tensors, seen without importing it

MOST_ELEMENTS = 2**28  # of a tensor that a program makes from sizes: 1 GiB of float32


def checked(operation: Torch, check: Callable[[Given], None]) -> Callable[..., Any]:
    """An operator that is called only with what its check lets through; it raises ValueError."""
    names = [each.name for each in operation._schema.arguments]

    def computed(*args: Torch, **kwargs: Torch) -> Torch:
        check({**dict(zip(names, args, strict=False)), **kwargs})
        return operation(*args, **kwargs)

    return computed


def check_size(operation: Torch, given: Given) -> None:
    """Hold a maker to what a process has room for, by making it without memory first. Raises: ValueError."""
    shadows = {name: each.to("meta") if hasattr(each, "to") else each for name, each in given.items()}
    if any(each.name == "device" for each in operation._schema.arguments):
        shadows["device"] = "meta"
    made = operation(**shadows).numel()
    if made > MOST_ELEMENTS:
        raise ValueError(f"the program makes {made:,} numbers at once; the limit is {MOST_ELEMENTS:,}")


def _hold(operator: str, *, fits: bool) -> None:
    if not fits:
        raise ValueError(f"{operator} of shapes or indices that do not fit together")


def _are_within(indices: Torch, end: int) -> bool:
    return not indices.numel() or bool(indices.min() >= 0 and indices.max() < end)


def _check_index(given: Given) -> None:
    source, dim = given["self"], given.get("dim")
    size = source.numel() if dim is None else source.shape[dim] if source.dim() else 1
    index = given["index"] if "index" in given else given["indices"]
    _hold("an index", fits=_are_within(index, size))


def _check_bag(given: Given) -> None:
    indices, offsets = given["indices"], given["offsets"]
    sorted_from_zero = not offsets.numel() or bool((offsets[:1] == 0).all() and (offsets.diff() >= 0).all())
    fits = _are_within(indices, len(given["weight"])) and sorted_from_zero
    _hold("an embedding bag", fits=fits and _are_within(offsets, indices.numel() + 1))


def _check_attention(given: Given) -> None:
    query, key, value = given["query"], given["key"], given["value"]
    _hold("attention", fits=key.shape[:-1] == value.shape[:-1] and query.shape[-1] == key.shape[-1])
    if given.get("dropout_p", 0.0) != 0:
        raise ValueError("attention with dropout draws at random; export the model in eval mode")


def _check_flash(given: Given) -> None:
    _check_attention(given)
    query, key, value = given["query"], given["key"], given["value"]
    _hold("attention", fits=query.shape[:2] == key.shape[:2] and key.shape == value.shape)


def _check_norm(given: Given) -> None:
    channels = given["input"].shape[1]
    scales = [given.get(name) for name in ("weight", "bias", "running_mean", "running_var")]
    _hold("a norm", fits=all(each is None or each.shape == (channels,) for each in scales))


def _check_division(given: Given) -> None:
    above, below = given["self"], given["other"]
    if given.get("rounding_mode") != "trunc" or above.is_floating_point() or above.is_complex():
        return
    least, by_minus_one = -(2 ** (8 * above.itemsize - 1)), below == -1
    if (by_minus_one if isinstance(by_minus_one, bool) else by_minus_one.any()) and (above == least).any():
        raise ValueError(f"{least} divided by -1 has no place in {above.dtype}")


def _check_recurrent(gates: int, given: Given) -> None:
    """Weights as torch.nn has them: for each layer and direction input, state, two biases, projection."""
    states = given["hx"] if isinstance(given["hx"], list) else [given["hx"]]
    rounds, ways = given["num_layers"], 2 if given["bidirectional"] else 1
    taken, (_, _, state), hidden = given["input"].shape, states[0].shape, states[-1].shape[-1]
    rows = taken[0 if given["batch_first"] else 1]
    fits = len(taken) == 3 and len(states) == (2 if gates == 4 else 1) and not given["train"]
    fits &= all(tuple(each.shape[:2]) == (rounds * ways, rows) and each.dim() == 3 for each in states)
    _hold("a recurrent layer", fits=fits)
    rest = [(gates * hidden, state), *[(gates * hidden,)] * (2 if given["has_biases"] else 0)]
    rest += [(state, hidden)] if state != hidden else []
    found = [tuple(each.shape) for each in given["params"]]
    _hold("a recurrent layer", fits=len(found) == rounds * ways * (1 + len(rest)))
    widths = [taken[2] if layer == 0 else state * ways for layer in range(rounds) for _ in range(ways)]
    shapes = [shape for width in widths for shape in ((gates * hidden, width), *rest)]
    _hold("a recurrent layer", fits=found == shapes)


CHECKS: Mapping[str, Callable[[Given], None]] = {
    **dict.fromkeys(("gather", "scatter", "scatter_add", "scatter_reduce", "take_along_dim"), _check_index),
    **dict.fromkeys(("embedding_bag", "_embedding_bag_forward_only"), _check_bag),
    "scaled_dot_product_attention": _check_attention,
    "_scaled_dot_product_flash_attention_for_cpu": _check_flash,
    **dict.fromkeys(("_native_batch_norm_legit_no_training", "instance_norm"), _check_norm),
    **dict.fromkeys(("div", "divide"), _check_division),
    "lstm": partial(_check_recurrent, 4),
    "gru": partial(_check_recurrent, 3),
    **dict.fromkeys(("rnn_relu", "rnn_tanh"), partial(_check_recurrent, 1)),
}
