# One parameter in two places that cannot be joined: named, never two copies that learn apart.
from __future__ import annotations

import pytest
import torch
from around import Around
from edgecl.export import ExportError
from edgecl.export.torch_front import from_torch
from torch import Tensor, nn


@pytest.mark.parametrize("kind", ["transposed", "slopes"])
def test_one_parameter_in_two_shapes_or_places_does_not_learn_twice(kind: str) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shared = nn.Parameter(torch.randn(5, 8) if kind == "transposed" else torch.rand(8))

        def forward(self, x: Tensor) -> Tensor:
            if kind == "transposed":
                return torch.relu(x.mean((2, 3)) @ self.shared.t()) @ self.shared
            return torch.prelu(torch.prelu(x, self.shared) - 1, self.shared)

    module = Around(Tied())
    with pytest.raises(ExportError, match=r"function\.shared.*shared by 2 nodes.*freeze it"):
        from_torch(module, torch.zeros(1, 2, 8, 8))
    assert from_torch(module, torch.zeros(1, 2, 8, 8), trainable=["stem", "head"]).parity is not None
