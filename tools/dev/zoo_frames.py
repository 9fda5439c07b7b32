# Small networks over frames, volumes and lines of maps.
# Never here: networks over one map or sequence (zoo_networks.py, zoo_blocks.py).
# What a module gives has no type:
# mypy: disable-error-code="no-any-return"
"""More of `NETWORKS`. Samples are four pictures behind each other, [4 * 3][H][W], or one."""

from __future__ import annotations

import torch
import zoo_blocks  # noqa: F401  (its networks come first)
from torch import Tensor, nn
from torch.nn import functional as F
from zoo_networks import NETWORKS, network

__all__ = ["NETWORKS"]
FRAMES = 4


def _frames(x: Tensor) -> Tensor:
    """[N * 4][3][H][W]."""
    return x.reshape(-1, 3, *x.shape[2:])


@network(12, 32, 32)
class Clips3d(nn.Module):
    """Convolutions over time and space at once, pools of volumes (Tran et al. 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(3, 8, 3, (1, 2, 2), 1), nn.BatchNorm3d(8), nn.ReLU(), nn.MaxPool3d(2),
            nn.Conv3d(8, 16, 3, 1, 1), nn.BatchNorm3d(16), nn.ReLU(), nn.AdaptiveAvgPool3d(1),
        )  # fmt: skip
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.body(x.reshape(-1, FRAMES, 3, *x.shape[2:]).transpose(1, 2)).flatten(1))


@network(12, 32, 32)
class SpaceThenTime(nn.Module):
    """Convolutions over space, then over time (Tran et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(3, 12, (1, 3, 3), (1, 2, 2), (0, 1, 1)), nn.BatchNorm3d(12), nn.ReLU(),
            nn.Conv3d(12, 8, (3, 1, 1), 1, (1, 0, 0)), nn.BatchNorm3d(8), nn.ReLU(),
            nn.Conv3d(8, 16, (1, 3, 3), (1, 2, 2), (0, 1, 1)), nn.ReLU(),
            nn.Conv3d(16, 16, (3, 1, 1), (2, 1, 1), (1, 0, 0)),
        )  # fmt: skip
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        volumes = x.reshape(-1, FRAMES, 3, *x.shape[2:]).transpose(1, 2)
        return self.fc(F.relu(self.body(volumes)).mean((2, 3, 4)))


@network(12, 32, 32)
class FramesGru(nn.Module):
    """One convolutional network over each frame, a GRU over the frames (Donahue et al. 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.MaxPool2d(2),
            nn.Conv2d(8, 24, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip
        self.rnn, self.fc = nn.GRU(24, 16, batch_first=True), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.rnn(self.body(_frames(x)).reshape(-1, FRAMES, 24))[0][:, -1])


@network(12, 32, 32)
class TemporalShift(nn.Module):
    """Channels moved to the frame before and the one behind (Lin et al. 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 24, 3, 2, 1)
        self.fc = nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.first(_frames(x)))
        h = h.reshape(-1, FRAMES, *h.shape[1:])
        moved = torch.zeros_like(h)
        moved[:, :-1, :4] = h[:, 1:, :4]
        moved[:, 1:, 4:8] = h[:, :-1, 4:8]
        moved[:, :, 8:] = h[:, :, 8:]
        h = F.relu(self.second(moved.flatten(0, 1))).mean((2, 3))
        return self.fc(h.reshape(-1, FRAMES, 24).mean(1))


@network(3, 32, 32)
class LinesLstm(nn.Module):
    """Recurrent layers along the rows and the columns of patches (Visin et al. 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 12, 4, 4)
        self.along, self.down = (nn.LSTM(size, 8, batch_first=True, bidirectional=True) for size in (12, 16))
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        cells = self.patches(x).permute(0, 2, 3, 1)
        rows = self.along(cells.reshape(-1, 8, 12))[0].reshape(-1, 8, 8, 16)
        columns = self.down(rows.transpose(1, 2).reshape(-1, 8, 16))[0]
        return self.fc(columns.reshape(-1, 64, 16).mean(1))


@network(3, 32, 32)
class Outlook(nn.Module):
    """Attention within windows whose results are summed where these overlap (Yuan et al. 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.values, self.scores = nn.Conv2d(3, 12, 4, 4), nn.Conv2d(12, 12, 1), nn.Conv2d(12, 81, 1)
        self.fc = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        values = F.unfold(self.values(x), 3, padding=1).reshape(-1, 12, 9, 64).permute(0, 3, 2, 1)
        scores = (self.scores(x).reshape(-1, 9, 9, 64).permute(0, 3, 1, 2) / 3).softmax(-1)
        windows = (scores @ values).permute(0, 3, 2, 1).reshape(-1, 108, 64)
        return self.fc((x + F.fold(windows, (8, 8), 3, padding=1)).mean((2, 3)))
