"""Small networks that the tests export."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="no build of torch without CUDA could be installed")


class Classifier(torch.nn.Module):
    """Two layers over five columns, of which some values are missing."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Linear(5, 16)
        self.norm = torch.nn.BatchNorm1d(16)
        self.relu = torch.nn.ReLU(inplace=True)
        self.drop = torch.nn.Dropout(0.3)
        self.last = torch.nn.Linear(16, 1)
        self.register_buffer("scale", torch.full((5,), 0.5))
        self.shift = torch.arange(5.0) / 10

    def forward(self, x: Any) -> Any:
        filled = torch.nan_to_num(x, nan=0.0).clamp(-100, 100) * self.scale + self.shift
        hidden = self.drop(self.relu(self.norm(self.first(filled))))
        return torch.sigmoid(self.last(hidden)).reshape(x.shape[0])


class Reader(torch.nn.Module):
    """A picture and four words: convolution, embedding, attention and a recurrent layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.see = torch.nn.Conv2d(1, 2, 3, padding=1)
        self.mean = torch.nn.Linear(2 * 4 * 4, 3)
        self.words = torch.nn.Embedding(10, 8)
        self.attend = torch.nn.MultiheadAttention(8, 2, batch_first=True)
        self.recall = torch.nn.GRU(8, 4, batch_first=True)

    def forward(self, picture: Any, words: Any) -> Any:
        seen = self.mean(torch.flatten(torch.max_pool2d(torch.relu(self.see(picture)), 2), 1))
        known = self.words(words)
        attended, _ = self.attend(known, known, known)
        recalled, _ = self.recall(attended)
        first, _ = torch.chunk(recalled, 2, dim=-1)
        return {
            "logits": torch.log_softmax(seen, -1),
            "first": first.to(torch.float64) + torch.zeros(words.shape[0], words.shape[1], 2),
            "longest": recalled.sum(-1).argmax(-1),
        }


def exported(module: Any, *example: Any) -> Any:
    """The exported program of a network in eval mode, with a first dimension of any length."""
    rows = torch.export.Dim("rows", min=1)
    return torch.export.export(module.eval(), example, dynamic_shapes=tuple({0: rows} for _ in example))
