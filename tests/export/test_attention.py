# Products of two tensors, and attention out of them as PyTorch writes it: outputs and three training steps of the plan
# and of the device against PyTorch, what is refused.
# Never here: the kernel (tests/kernels), copies that are saved (test_transposes.py).
from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from around import Around, Function, check, plan_of
from edgecl.export.errors import ExportError
from edgecl.export.ops.products import product_view
from torch import Tensor, nn
from torch.nn import functional


class SelfAttention(nn.Module):
    """36 tokens of 8 numbers, 2 heads, with a linear layer each for queries, keys and values."""

    def __init__(self, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (nn.Linear(8, 8) for _ in range(4))

    def split(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def forward(self, maps: Tensor) -> Tensor:
        x = maps.flatten(2).transpose(1, 2)
        q, k, v = self.split(self.q(x)), self.split(self.k(x)), self.split(self.v(x))
        weights = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(q.shape[-1]), -1)
        return self.out((weights @ v).transpose(1, 2).reshape(x.shape))


class Fused(SelfAttention):
    """The same by PyTorch's own function, one layer for all three."""

    def __init__(self) -> None:
        super().__init__()
        del self.q, self.k, self.v
        self.qkv = nn.Linear(8, 24)

    def forward(self, maps: Tensor) -> Tensor:
        x = maps.flatten(2).transpose(1, 2)
        q, k, v = (self.split(part) for part in self.qkv(x).chunk(3, -1))
        y = functional.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(x.shape))


class Block(nn.Module):
    """Of a transformer that normalises first."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.first, self.second = SelfAttention(), nn.LayerNorm(8), nn.LayerNorm(8)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))

    def forward(self, maps: Tensor) -> Tensor:
        x = maps.flatten(2).transpose(1, 2)
        x = x + self.attention(self.first(x).transpose(1, 2))
        return (x + self.mlp(self.second(x))).mean(1)


MODULES: dict[str, Function | type[nn.Module]] = {
    "self attention": SelfAttention,
    "one layer for all": Fused,
    "block": Block,
    "matrices": lambda x: x @ x.transpose(2, 3),
    "a tensor and itself": lambda x: x @ x,
    "shared left": lambda x: x[:, :1] @ torch.tanh(x),
    "shared right": lambda x: x @ torch.tanh(x[:, 3:4]),
    "one row": lambda x: x.mean(2, keepdim=True) @ torch.tanh(x),
    "one column": lambda x: torch.tanh(x) @ x.mean(3, keepdim=True),
    "channels": lambda x: x.flatten(2) @ torch.tanh(x.flatten(2)).transpose(1, 2),
    "two batch axes": lambda x: (
        x.reshape(-1, 2, 4, 6, 6) @ torch.tanh(x.reshape(-1, 2, 4, 6, 6)[:, :, :1]).transpose(3, 4)
    ),
}


@pytest.mark.parametrize("name", MODULES)
def test_three_steps(name: str) -> None:
    torch.manual_seed(21)
    made = MODULES[name]
    module = Around(made() if isinstance(made, type) else made)
    assert "matmul" in {op["kind"] for op in plan_of(module)["ops"]}
    check(module, steps=3)


def test_multiply_adds_are_counted() -> None:
    from edgecl import _core

    plan = plan_of(Around(lambda x: x.flatten(2) @ torch.tanh(x.flatten(2)).transpose(1, 2)))
    counts = {
        op["kind"]: (op["macs_forward"], op["macs_backward"]) for op in _core.Model(data=_core.write_bundle(plan)).ops()
    }
    assert counts["matmul"] == (8 * 8 * 36, 2 * 8 * 8 * 36)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x.flatten(1) @ x.flatten(1).transpose(0, 1), "batch"),
        (lambda x: x.transpose(0, 1) @ torch.tanh(x), "batch"),
        (lambda x: x[:, 0] @ torch.tanh(x), "equally many axes"),
    ],
)
def test_refused(function: Function, words: str) -> None:
    class Alone(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return function(x)

    from edgecl.export.torch_front import graph_of_torch

    with pytest.raises(ExportError) as caught:
        graph_of_torch(Alone(), torch.zeros(1, 2, 8, 8), "refused")
    assert words in str(caught.value)


def test_view_has_room_for_three_batch_axes() -> None:
    view = product_view("view", [(2, 6, 0, 4), (3, 1, 0, 2), (2, 0, 1, 1), (1, 0, 0, 0)]).values
    assert view.shape == (4, 6) and np.array_equal(view[0], [1, 1, 2, 3, 2, 1])
