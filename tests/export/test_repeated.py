# Numbers of a parameter that meet several elements of a row: each learns once, from all of them.
# Never here: layers that are used several times (test_shared_layers.py).
from __future__ import annotations

import pytest
import torch
from around import SHAPE, Around, check
from edgecl.export.torch_front import from_torch
from torch import Tensor, nn


class Windows(nn.Module):
    """A linear layer over windows that keep their two axes."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side, self.layer = side, nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        count, side = 6 // self.side, self.side
        windows = x.permute(0, 2, 3, 1).reshape(-1, count, side, count, side, 8).transpose(2, 3)
        return torch.tanh(self.layer(windows.reshape(-1, side, side, 8))).reshape(-1, count * count, side, side, 8)


class Operand(nn.Module):
    """A parameter of any shape, added to or multiplied with a view of the row."""

    def __init__(self, view: tuple[int, ...], shape: tuple[int, ...], *, factor: bool = False) -> None:
        super().__init__()
        self.view, self.factor, self.table = view, factor, nn.Parameter(torch.rand(shape) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.tanh(x).reshape(-1, *self.view)
        return y * self.table if self.factor else y + self.table


class Slopes(nn.Module):
    """PReLU over a row of four axes behind the batch."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.function = nn.PReLU(count, 0.2)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x.reshape(-1, 4, 2, 3, 12))


@pytest.mark.parametrize(
    "module",
    [
        Windows(2), Windows(3), Operand((2, 4, 6, 6), (6, 1)), Operand((2, 4, 6, 6), (4, 1, 6)),
        Operand((2, 4, 6, 6), (2, 1, 6, 1)), Operand((2, 4, 2, 3, 6), (1, 4, 1, 3, 1), factor=True),
        Operand((4, 2, 1, 6, 6), (4, 1, 1, 1, 6), factor=True), Slopes(1), Slopes(4),
    ],
)  # fmt: skip
def test_numbers_that_repeat_learn_once(module: nn.Module) -> None:
    torch.manual_seed(7)
    check(Around(module), steps=2)


def test_one_bias_for_all_outputs_is_named_as_fixed() -> None:
    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.randn(5, 288) * 0.1), nn.Parameter(torch.randn(1))

        def forward(self, x: Tensor) -> Tensor:
            return torch.addmm(self.bias, x.flatten(1), self.weight.T)

    report = from_torch(Around(One()), torch.zeros(1, *SHAPE))
    assert [blocker.node for blocker in report.untrainable] == ["function.bias"]
    assert "stands for several" in report.untrainable[0].reason
