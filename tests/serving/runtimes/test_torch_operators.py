from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.serving.runtimes.networks import exported

from esteira.base.errors import BadInput
from esteira.registry.bundle import Model
from esteira.registry.signature import Signature
from esteira.serving.runtimes import open_tensor_runtime
from esteira.serving.runtimes.payloads import tensors_of, torch_files

torch = pytest.importorskip("torch", reason="no build of torch without CUDA could be installed")
pytestmark = pytest.mark.slow

nn = torch.nn


class First(nn.Module):
    """What a recurrent layer gives for each step, without its state."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Any) -> Any:
        return self.layer(x)[0]


def ordinary() -> dict[str, tuple[Any, Any]]:
    torch.manual_seed(0)
    words = torch.tensor([[1, 2, 9], [0, 3, 3]])
    picture = nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.GroupNorm(2, 4)),
        *(
            nn.Upsample(scale_factor=2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 2),
            nn.Softmax(-1),
        ),
    )
    mlp = nn.Sequential(nn.Linear(5, 8), nn.GELU(), nn.LayerNorm(8), nn.Dropout(0.1), nn.Linear(8, 1))
    steps = torch.randn(2, 4, 5)
    return {
        "mlp": (mlp, torch.randn(3, 5)),
        "cnn": (picture, torch.randn(2, 1, 8, 8)),
        "transformer": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), torch.randn(2, 4, 8)),
        "lstm": (First(nn.LSTM(5, 4, 2, batch_first=True, bidirectional=True)), steps),
        "lstm of a projection": (First(nn.LSTM(5, 4, batch_first=True, proj_size=3)), steps),
        "gru": (First(nn.GRU(5, 4, 2, batch_first=True, bias=False)), steps),
        "rnn": (First(nn.RNN(5, 4, batch_first=True)), steps),
        "bag": (nn.EmbeddingBag(10, 4, mode="mean"), words),
        "last bag": (nn.EmbeddingBag(10, 4, mode="max"), words),
    }


@pytest.mark.parametrize("name", ordinary())
def test_an_ordinary_network_is_served(name: str) -> None:
    module, example = ordinary()[name]
    files = torch_files(exported(module, example))
    runtime = open_tensor_runtime(
        Model("torch", Signature((), "late"), files, tensors=tensors_of("torch", files))
    )
    (found,) = runtime.run({runtime._inputs[0].name: example.numpy()}).values()
    with torch.no_grad():
        np.testing.assert_allclose(found, module(example).numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "aten.segment_reduce.default",
        "aten.set.source_Tensor",
        "aten.batch_norm.default",
        "aten.mkldnn_rnn_layer.default",
        "aten.quantize_per_tensor.default",
        "aten.to_mkldnn.default",
        "aten._linalg_check_errors.default",
        "aten.view.dtype",
        "aten.lstm.data",
        "aten.add.out",
    ],
)
def test_an_operator_outside_the_list_is_refused_by_its_name_with_the_mend(name: str) -> None:
    from esteira.serving.runtimes.torch import operator_of

    with pytest.raises(BadInput, match=rf"'{name}' is not served.*ONNX"):
        operator_of(name)
