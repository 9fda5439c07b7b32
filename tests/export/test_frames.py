# Convolutions over three axes, and over several maps of one row: outputs and learning steps against PyTorch.
# Never here: layers over one map a row (test_from_torch.py), where the batch may lie (test_batch_axis.py).
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from around import Around, check, plan_of
from edgecl.export import Recipe
from edgecl.export.errors import ExportError
from edgecl.export.torch_front import from_torch
from torch import Tensor, nn


class Volume(nn.Module):
    """Maps as volumes of 2 x 4 x 6 x 6, and a layer over them."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.layer(torch.tanh(x).reshape(-1, 2, 4, 6, 6)))


class Frames(nn.Module):
    """A layer over each of four frames, [N * 4][2][6][6], as networks over video and patches apply it."""

    def __init__(self, layer: nn.Module, line: bool = False) -> None:
        super().__init__()
        self.layer, self.line = layer, line

    def forward(self, x: Tensor) -> Tensor:
        frames = torch.tanh(x).reshape(-1, 2, 6, 6)
        found = self.layer(frames.flatten(2) if self.line else frames)
        return torch.tanh(found).reshape(x.shape[0], -1)


VOLUMES: dict[str, tuple[Any, ...]] = {
    "all axes": (2, 3, 3),
    "padded": (2, 3, 3, 1, 1),
    "strides": (2, 4, (2, 3, 3), (2, 2, 1), (0, 1, 1)),
    "dilated": (2, 3, (2, 2, 3), 1, (1, 1, 2), (2, 2, 2)),
    "frames apart": (2, 3, (1, 3, 3), (1, 2, 2), (0, 1, 1)),
    "along the depth": (2, 3, (3, 1, 1), (1, 1, 1), (1, 0, 0)),
    "along the depth, strides": (2, 3, (3, 1, 1), (2, 1, 1), (1, 0, 0)),
    "the last axis apart": (2, 3, (3, 3, 1), 1, (1, 1, 0)),
    "a point": (2, 3, 1),
    "a point, strides": (2, 3, 1, 2),
    "groups": (2, 4, 3, 1, 1, 1, 2),
    "a channel each": (2, 2, (3, 1, 3), 1, (1, 0, 1), 1, 2),
    "pads beyond the window": (2, 3, (1, 2, 2), 1, (0, 2, 2)),
}


@pytest.mark.parametrize("name", VOLUMES)
def test_volumes_are_convolved_and_learn(name: str) -> None:
    torch.manual_seed(5)
    check(Around(Volume(nn.Conv3d(*VOLUMES[name]))), steps=3)


def test_norms_and_pools_of_volumes() -> None:
    torch.manual_seed(5)
    layers = nn.Sequential(
        nn.Conv3d(2, 4, 3, padding=1), nn.BatchNorm3d(4), nn.ReLU(), nn.MaxPool3d(2, ceil_mode=True),
        nn.Conv3d(4, 6, 1), nn.AdaptiveAvgPool3d(1),
    )  # fmt: skip
    check(Around(Volume(layers)), steps=3)
    check(Around(Volume(nn.Sequential(nn.Conv3d(2, 4, 2), nn.AdaptiveMaxPool3d(1)))), steps=3)


FRAMES: dict[str, nn.Module] = {
    "padded": nn.Conv2d(2, 3, 3, padding=1),
    "strides": nn.Conv2d(2, 3, 3, 2, 1),
    "one side padded": nn.Sequential(nn.ZeroPad2d((0, 1, 1, 0)), nn.Conv2d(2, 3, 3)),
    "large strides": nn.Conv2d(2, 3, 2, 4),
    "a channel each": nn.Conv2d(2, 4, 3, padding=1, groups=2),
    "points": nn.Conv2d(2, 5, 1, bias=False),
    "a net": nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3),
        nn.AdaptiveAvgPool2d(1),
    ),
    "norms": nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), nn.GELU(), nn.Conv2d(4, 4, 1), nn.InstanceNorm2d(4, affine=True),
        nn.Conv2d(4, 2, 3, bias=False), nn.InstanceNorm2d(2),
    ),
    "enlarged": nn.Sequential(
        nn.Conv2d(2, 4, 3, 2), nn.PixelShuffle(2), nn.Conv2d(1, 2, 3), nn.Upsample(scale_factor=2),
        nn.Upsample((6, 5), mode="bilinear"), nn.Conv2d(2, 3, 3),
    ),
    "pools": nn.Sequential(nn.AvgPool2d(3, 2, 1), nn.Conv2d(2, 6, 2), nn.AdaptiveMaxPool2d(1)),
}  # fmt: skip


@pytest.mark.parametrize("name", FRAMES)
def test_each_frame_of_a_row_is_convolved(name: str) -> None:
    torch.manual_seed(5)
    check(Around(Frames(FRAMES[name])), steps=3)


def test_each_line_of_a_row_is_convolved() -> None:
    torch.manual_seed(5)
    net = nn.Sequential(nn.Conv1d(2, 3, 5, 2, 2), nn.BatchNorm1d(3), nn.MaxPool1d(2), nn.Conv1d(3, 2, 3))
    check(Around(Frames(net, line=True)), steps=3)


def test_a_weight_stays_one_and_lines_need_no_zeros_between() -> None:
    ops = plan_of(Around(Frames(nn.Conv1d(2, 3, 5, padding=2), line=True)))["ops"]
    kinds = [op["kind"] for op in ops]
    assert kinds.count("conv") == 2 and "place" not in kinds
    ops = plan_of(Around(Volume(nn.Conv3d(2, 3, (3, 1, 1)))))["ops"]
    kinds = [op["kind"] for op in ops]
    assert kinds.count("conv") == 2 and "place" not in kinds


class Clip(nn.Module):
    """A small network over clips [N][3][T][H][W] (Tran et al. 2018: space and time one after the other)."""

    def __init__(self) -> None:
        super().__init__()
        self.space, self.time = (
            nn.Conv3d(3, 6, (1, 3, 3), (1, 2, 2), (0, 1, 1)),
            nn.Conv3d(6, 8, (3, 1, 1), 1, (1, 0, 0)),
        )
        self.both, self.head = nn.Conv3d(8, 8, 3, 2, 1), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.time(torch.relu(self.space(x))))
        return self.head(torch.relu(self.both(x)).mean((2, 3, 4)))


def test_samples_may_be_clips() -> None:
    torch.manual_seed(5)
    module = Clip()
    rows, labels = torch.randn(8, 3, 4, 8, 10), torch.arange(8) % 4
    recipe = Recipe(method="finetune", learning_rate=0.1, replay_capacity=0, replay_batch=0, batch_size=8)
    report = from_torch(module, torch.zeros(1, 3, 4, 8, 10), recipe=recipe)
    core = pytest.importorskip("edgecl._core")
    session = core.Session(core.Model(data=report.bundle), max_batch=8)
    with torch.no_grad():
        np.testing.assert_allclose(session.logits(rows.flatten(3).numpy()), module(rows).numpy(), rtol=1e-4, atol=1e-5)
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(3):
        session.learn(rows.flatten(3).numpy(), labels.numpy().astype(np.int32))
        optimiser.zero_grad()
        nn.functional.cross_entropy(module(rows), labels).backward()
        optimiser.step()
    found = session.parameters()
    for name in ("space.weight", "time.weight", "both.weight"):
        wanted = dict(module.named_parameters())[name].detach().numpy()
        np.testing.assert_allclose(found[name].reshape(wanted.shape), wanted, rtol=1e-4, atol=1e-5)


def test_a_batch_between_axes_of_a_map_is_refused() -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(8, 3, (1, 3))

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x.permute(2, 1, 0, 3)).mean((0, 3)).transpose(0, 1)

    with pytest.raises(ExportError, match="whose batch is not the first axis"):
        plan_of(Around(Turned()))
