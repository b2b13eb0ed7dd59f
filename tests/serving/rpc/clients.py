"""The public client, unmodified, as the tests call a server with it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from esteira.serving.rpc.process import RpcProcess


@contextmanager
def client_of(rpc: RpcProcess, **options: Any) -> Iterator[InferenceServerClient]:
    """A client on a connection of its own."""
    client = InferenceServerClient(rpc.address, **options)
    try:
        yield client
    finally:
        client.close()


def columns(**arrays: Any) -> list[InferInput]:
    """The tensors of one row of the model in `worlds`, or of others by name and dtype."""
    arrays = arrays or {"miles": np.array([100.0]), "carrier": np.array(["UA"], dtype=object)}
    return [tensor(name, array) for name, array in arrays.items()]


def tensor(name: str, array: Any, datatype: str = "") -> InferInput:
    """One tensor, with what its dtype is called."""
    kind = datatype or {"float64": "FP64", "float32": "FP32", "float16": "FP16", "int32": "INT32"}.get(
        str(array.dtype), "BYTES"
    )
    made = InferInput(name, [*array.shape], kind)
    made.set_data_from_numpy(array)
    return made
