# Running sums, windows along an axis, bilinear layers, and constant matrices in front of a stack of matrices: outputs
# and steps against PyTorch.
from __future__ import annotations

import pytest
import torch
from around import Around, Function, check
from torch import Tensor, nn

MATRICES = torch.randn(8, 3, 6, generator=torch.Generator().manual_seed(4))

FUNCTIONS: dict[str, Function] = {
    "running sum, last axis": lambda x: x.cumsum(-1),
    "running sum, channels": lambda x: x.cumsum(1) / torch.arange(1.0, 9.0)[:, None, None],
    "running sum of a vector": lambda x: x.mean((2, 3)).cumsum(1),
    "windows, last axis": lambda x: x.unfold(-1, 3, 2).square().sum(-1),
    "windows, other axis": lambda x: x.unfold(2, 2, 1).amax(-1),
    "windows of windows": lambda x: x.unfold(2, 3, 3).unfold(-2, 2, 2).flatten(1),
    "one matrix a channel": lambda x: MATRICES.to(x.dtype) @ x,
    "one matrix a channel, with a batch axis": lambda x: MATRICES.to(x.dtype).expand(len(x), -1, -1, -1) @ x,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    torch.manual_seed(2)
    check(Around(FUNCTIONS[name]))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tokens", [True, False])
def test_bilinear_layers_learn(bias: bool, tokens: bool) -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Bilinear(4, 2, 5, bias=bias)

        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(2) if tokens else x.mean((2, 3))
            return torch.as_tensor(self.layer(x[..., :4], x[..., 4:6]))

    torch.manual_seed(5)
    check(Around(Pair()), 2)
