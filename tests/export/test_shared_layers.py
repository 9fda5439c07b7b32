# Layers that are used several times side by side: one layer over all uses, outputs and steps against PyTorch.
# Never here: uses that follow each other, which are refused (test_untrainable.py).
from __future__ import annotations

import pytest
import torch
from around import SHAPE, Around, check, plan_of
from edgecl.export import Recipe
from edgecl.export.errors import ExportError
from edgecl.export.torch_front import from_torch
from torch import Tensor, nn


class ChannelAttention(nn.Module):
    """CBAM's: one pair of layers over means and maxima."""

    def __init__(self, *, convolutions: bool = False, function: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.mlp = (
            nn.Sequential(nn.Conv2d(8, 3, 1, bias=False), function(), nn.Conv2d(3, 8, 1))
            if convolutions
            else nn.Sequential(nn.Linear(8, 3), function(), nn.Linear(3, 8))
        )

    def forward(self, x: Tensor) -> Tensor:
        mean, largest = x.mean((2, 3)), x.amax((2, 3))
        if isinstance(self.mlp[0], nn.Conv2d):
            mean, largest = mean[:, :, None, None], largest[:, :, None, None]
        scale = torch.sigmoid(self.mlp(mean) + self.mlp(largest)).reshape(-1, 8, 1, 1)
        return x * scale


class Gates(ChannelAttention):
    """Uses that end apart, one of whose results is read twice."""

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.mlp(x.mean((2, 3))), self.mlp(x.amax((2, 3)))
        return x * torch.tanh(first)[:, :, None, None] + (first * second)[:, :, None, None]


class Maps(nn.Module):
    """A grouped 1 x 1 convolution over three maps, and one function that differs."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Conv2d(8, 4, 1, groups=2)

    def forward(self, x: Tensor) -> Tensor:
        a, b, c = self.shared(torch.tanh(x)), self.shared(x.flip(2)), self.shared(x * 0.5)
        return torch.cat([torch.relu(a), torch.relu(b), torch.tanh(c)], 1)


class Tokens(nn.Module):
    """Layers without bias over the tokens of two parts, whose weights each use turns."""

    def __init__(self) -> None:
        super().__init__()
        self.shared, self.second = nn.Linear(6, 5, bias=False), nn.Linear(5, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        a, b = x[:, :4].flatten(1, 2), x[:, 4:].flatten(1, 2)
        return torch.cat([self.second(nn.functional.gelu(self.shared(part))) for part in (a, torch.tanh(b))], 2)


@pytest.mark.parametrize(
    ("module", "layers"),
    [
        (ChannelAttention(), 2), (ChannelAttention(convolutions=True), 2), (ChannelAttention(function=nn.GELU), 2),
        (Gates(), 2), (Maps(), 1), (Tokens(), 2),
    ],
    ids=["linear", "convolutions", "gelu", "gates", "maps", "tokens"],
)  # fmt: skip
def test_gradients_are_those_of_all_uses(module: nn.Module, layers: int) -> None:
    torch.manual_seed(21)
    around = Around(module)
    kinds = [op["kind"] for op in plan_of(around)["ops"]]
    assert kinds.count("conv") + kinds.count("linear") == layers + 2
    check(around, steps=2)


def test_layers_in_a_row_are_joined_once() -> None:
    """Between CBAM's two layers nothing is copied."""
    report = from_torch(Around(ChannelAttention()), torch.zeros(1, *SHAPE))
    assert [note for note in report.notes if "side by side" in note] == [
        "function.mlp.0 is used 2 times side by side: one layer over all 2",
        "function.mlp.2 is used 2 times side by side: one layer over all 2",
    ]
    assert sum(op["kind"] == "place" for op in plan_of(Around(ChannelAttention()))["ops"]) == 1


def test_frozen_ones_stay_as_they_are() -> None:
    report = from_torch(Around(ChannelAttention()), torch.zeros(1, *SHAPE), recipe=Recipe(), trainable="head")
    assert not any("side by side" in note for note in report.notes)


def test_a_layer_of_its_own_result_is_refused() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shared = nn.Conv2d(8, 8, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.shared(torch.relu(self.shared(x))) + self.shared(torch.tanh(x))

    with pytest.raises(ExportError, match="shared by 3 nodes"):
        from_torch(Around(Twice()), torch.zeros(1, *SHAPE))


def test_a_weight_that_each_use_turns_is_one() -> None:
    """Layers over tokens in a row: PyTorch's exporter transposes the weight at each use."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shared = nn.Linear(6, 6, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.shared(torch.relu(self.shared(x)))

    with pytest.raises(ExportError, match="shared by 2 nodes"):
        from_torch(Around(Twice()), torch.zeros(1, *SHAPE))
