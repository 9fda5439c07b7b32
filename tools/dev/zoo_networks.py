# Small networks as people write them for sound, sensors, control, pictures and sequences: what an exporter must read.
# Never here: exporting them (model_zoo.py).
# What a module gives has no type:
# mypy: disable-error-code="no-any-return"
"""`NETWORKS`: name -> (function that makes the module, shape of one sample). Ten outputs each; encoders end in maps."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))
from transformer_block import Block

Maker = Callable[[], nn.Module]
NETWORKS: dict[str, tuple[Maker, tuple[int, ...]]] = {}
CLASSES = 10


def network(*shape: int) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """Registers a module class for samples of a shape."""

    def register(kind: type[nn.Module]) -> type[nn.Module]:
        NETWORKS[kind.__name__] = (kind, shape)
        return kind

    return register


def sequential(name: str, shape: tuple[int, ...], make: Callable[[], list[nn.Module]]) -> None:
    """Registers a chain of layers."""
    NETWORKS[name] = (lambda: nn.Sequential(*make()), shape)


# --- control: vectors ---


def _two_layers(activation: Callable[[], nn.Module]) -> list[nn.Module]:
    return [nn.Linear(24, 64), activation(), nn.Linear(64, 64), activation(), nn.Linear(64, 10)]


for _name, _layer in {
    "MlpTanh": nn.Tanh, "MlpElu": nn.ELU, "MlpSelu": nn.SELU, "MlpCelu": nn.CELU, "MlpGelu": nn.GELU,
    "MlpSilu": nn.SiLU,
    "MlpMish": nn.Mish, "MlpLeaky": nn.LeakyReLU, "MlpPrelu": nn.PReLU, "MlpSoftplus": nn.Softplus,
    "MlpHardtanh": nn.Hardtanh, "MlpSoftsign": nn.Softsign, "MlpLogSigmoid": nn.LogSigmoid,
}.items():  # fmt: skip
    sequential(_name, (24,), partial(_two_layers, _layer))
sequential(
    "MlpLayerNorm", (24,),
    lambda: [nn.Linear(24, 64), nn.LayerNorm(64), nn.Tanh(), nn.Linear(64, 64), nn.LayerNorm(64), nn.GELU(),
             nn.Linear(64, 10)],
)  # fmt: skip
sequential("MlpSoftmaxEnd", (24,), lambda: [nn.Linear(24, 64), nn.ReLU(), nn.Linear(64, 10), nn.Softmax(1)])


@network(24)
class Dueling(nn.Module):
    """Advantage and value of a control policy (Wang et al. 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.value, self.advantage = nn.Linear(24, 64), nn.Linear(64, 1), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.body(x))
        a = self.advantage(h)
        return self.value(h) + a - a.mean(1, keepdim=True)


@network(24)
class GatedLinear(nn.Module):
    """A gated linear unit between two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(24, 128), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.glu(self.a(x), 1))


@network(24)
class RmsNormMlp(nn.Module):
    """Root-mean-square norm from its pieces (Zhang and Sennrich 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.scale = nn.Linear(24, 64), nn.Linear(64, 10), nn.Parameter(torch.ones(64))

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        h = h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-6) * self.scale
        return self.b(F.silu(h))


@network(24)
class Fourier(nn.Module):
    """Sums and differences of slices of a sensor vector."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(48, 10)

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, 1)
        return self.fc(torch.cat([a + b, a - b, torch.max(a, b), torch.min(a, b)], 1))


@network(6, 128)
class CosineHead(nn.Module):
    """Cosines between features and columns."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.w = nn.Conv1d(6, 32, 5), nn.Parameter(torch.randn(10, 32))

    def forward(self, x: Tensor) -> Tensor:
        h = F.normalize(F.relu(self.conv(x)).mean(2), dim=1)
        return 16 * F.linear(h, F.normalize(self.w, dim=1))


# --- sensors: [C][T] and [T][F] ---


def _block(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2), nn.BatchNorm1d(outputs), nn.ReLU()]


sequential(
    "SensorCnn", (6, 128),
    lambda: [*_block(6, 32, 5), nn.MaxPool1d(2), *_block(32, 64, 5), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
             nn.Linear(64, 10)],
)  # fmt: skip
sequential(
    "SensorCnnFlat", (6, 128),
    lambda: [*_block(6, 16, 5, 2), nn.AvgPool1d(2), *_block(16, 16, 5, 2), nn.Flatten(), nn.Dropout(0.5),
             nn.Linear(256, 10)],
)  # fmt: skip
sequential(
    "M5", (1, 4000),
    lambda: [*_block(1, 32, 80, 16), nn.MaxPool1d(4), *_block(32, 32, 3), nn.MaxPool1d(4), *_block(32, 64, 3),
             nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(64, 10), nn.LogSoftmax(1)],
)  # fmt: skip


class _Chomp(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, : -self.size]


@network(6, 128)
class Tcn(nn.Module):
    """Causal dilated convolutions that cut their tail (Bai et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(((6, 32), (32, 32), (32, 32))):
            layers += [nn.Conv1d(a, b, 3, padding=2 << i, dilation=1 << i), _Chomp(2 << i), nn.ReLU()]
        self.body, self.fc = nn.Sequential(*layers), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.body(x)[:, :, -1])


@network(128, 6)
class TimeDistributed(nn.Module):
    """One linear layer for every time step."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 32), nn.Linear(32, 32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.c(F.relu(self.b(F.relu(self.a(x)))).mean(1))


class _Recurrent(nn.Module):
    def __init__(self, kind: Any, bidirectional: bool = False, layers: int = 1, last: bool = True) -> None:
        super().__init__()
        self.rnn = kind(6, 32, layers, batch_first=True, bidirectional=bidirectional)
        self.fc, self.last = nn.Linear(64 if bidirectional else 32, 10), last

    def forward(self, x: Tensor) -> Tensor:
        h, _ = self.rnn(x)
        return self.fc(h[:, -1] if self.last else h.mean(1))


NETWORKS |= {
    "Lstm": (lambda: _Recurrent(nn.LSTM), (64, 6)),
    "Gru": (lambda: _Recurrent(nn.GRU), (64, 6)),
    "Rnn": (lambda: _Recurrent(nn.RNN), (64, 6)),
    "BiLstm": (lambda: _Recurrent(nn.LSTM, True, last=False), (64, 6)),
    "Gru2": (lambda: _Recurrent(nn.GRU, layers=2), (64, 6)),
}


@network(6, 64)
class DeepConvLstm(nn.Module):
    """Convolutions, then an LSTM (Ordonez and Roggen 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(*_block(6, 32, 5), *_block(32, 32, 5))
        self.rnn, self.fc = nn.LSTM(32, 32, batch_first=True), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        h, _ = self.rnn(self.conv(x).transpose(1, 2))
        return self.fc(h[:, -1])


@network(64, 6)
class TimeTransformer(nn.Module):
    """Two encoder layers over a series, positions learned."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.positions = nn.Linear(6, 32), nn.Parameter(0.1 * torch.randn(1, 64, 32))
        self.blocks = nn.ModuleList(Block(32, 4, 2) for _ in range(2))
        self.norm, self.fc = nn.LayerNorm(32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x) + self.positions
        for block in self.blocks:
            h = block(h)
        return self.fc(self.norm(h).mean(1))


@network(3, 32, 32)
class TinyVit(nn.Module):
    """Patches, a class token, one block."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.token = nn.Conv2d(3, 32, 8, 8), nn.Parameter(0.1 * torch.randn(1, 1, 32))
        self.block, self.norm, self.fc = Block(32, 4, 2), nn.LayerNorm(32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = self.patch(x).flatten(2).transpose(1, 2)
        h = torch.cat([self.token.expand(h.shape[0], -1, -1), h], 1)
        return self.fc(self.norm(self.block(h))[:, 0])


@network(64, 6)
class TorchEncoderLayer(nn.Module):
    """PyTorch's own encoder layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(6, 32)
        self.layer, self.fc = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.layer(self.embed(x)).mean(1))


@network(64, 6)
class MlpMixer(nn.Module):
    """Layers over time and over features in turns (Tolstikhin et al. 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm1, self.norm2 = nn.Linear(6, 32), nn.LayerNorm(32), nn.LayerNorm(32)
        self.time = nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 64))
        self.features, self.fc = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32)), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x)
        h = h + self.time(self.norm1(h).transpose(1, 2)).transpose(1, 2)
        return self.fc((h + self.features(self.norm2(h))).mean(1))


@network(64, 6)
class AttentionPooling(nn.Module):
    """A weighted mean over time."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.score, self.fc = nn.Linear(6, 32), nn.Linear(32, 1), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.a(x))
        return self.fc((h * self.score(h).softmax(1)).sum(1))


# --- sound: [1][F][T] ---


def _separable(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False), nn.BatchNorm2d(inputs), nn.ReLU(),
            nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]  # fmt: skip


sequential(
    "DsCnn", (1, 49, 10),
    lambda: [nn.Conv2d(1, 64, (10, 4), 2, (5, 1)), nn.BatchNorm2d(64), nn.ReLU(), *_separable(64, 64),
             *_separable(64, 64), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)],
)  # fmt: skip


@network(40, 100)
class StatisticsPooling(nn.Module):
    """Mean and deviation over time, as speaker nets have them (Snyder et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.fc = nn.Sequential(*_block(40, 64, 5), *_block(64, 64, 3)), nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = self.body(x)
        mean = h.mean(2)
        deviation = torch.sqrt(((h - mean[:, :, None]) ** 2).mean(2) + 1e-5)
        return self.fc(torch.cat([mean, deviation], 1))


@network(1, 40, 100)
class Res2Block(nn.Module):
    """Channels in groups, each with the sum of the one before (Gao et al. 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 32, 3, 2, 1)
        self.convs, self.fc = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1) for _ in range(3)), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        parts = F.relu(self.stem(x)).chunk(4, 1)
        out = [parts[0]]
        for conv, part in zip(self.convs, parts[1:], strict=True):
            out.append(F.relu(conv(part + out[-1])))
        return self.fc(torch.cat(out, 1).mean((2, 3)))


@network(1, 64, 64)
class Crnn(nn.Module):
    """Convolutions, then a GRU over time."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, 2, 1), nn.ReLU())
        self.rnn, self.fc = nn.GRU(256, 32, batch_first=True), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv(x).permute(0, 3, 1, 2).flatten(2)
        return self.fc(self.rnn(h)[0].mean(1))


# --- pictures: [3][H][W] ---


@network(1, 32, 32)
class LeNet5(nn.Module):
    """Tanh and average pools (LeCun et al. 1998)."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.c, self.d, self.e = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = F.avg_pool2d(torch.tanh(self.a(x)), 2)
        h = F.avg_pool2d(torch.tanh(self.b(h)), 2).flatten(1)
        return self.e(torch.tanh(self.d(torch.tanh(self.c(h)))))


@network(1, 22, 128)
class EegNet(nn.Module):
    """Time and space convolutions with ELU (Lawhern et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, (1, 32), padding=(0, 16), bias=False), nn.BatchNorm2d(8),
            nn.Conv2d(8, 16, (22, 1), groups=8, bias=False), nn.BatchNorm2d(16), nn.ELU(), nn.AvgPool2d((1, 4)),
            nn.Conv2d(16, 16, (1, 16), padding=(0, 8), groups=16, bias=False), nn.Conv2d(16, 16, 1, bias=False),
            nn.BatchNorm2d(16), nn.ELU(), nn.AvgPool2d((1, 8)), nn.Flatten(), nn.LazyLinear(10),
        )  # fmt: skip
        self.body(torch.zeros(2, 1, 22, 128))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out


@network(3, 32, 32)
class SqueezeExcite(nn.Module):
    """Channels gated by their means (Hu et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.down, self.up, self.fc = (
            nn.Conv2d(3, 32, 3, 2, 1),
            nn.Linear(32, 8),
            nn.Linear(8, 32),
            nn.Linear(32, 10),
        )

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.conv(x))
        gate = torch.sigmoid(self.up(F.relu(self.down(h.mean((2, 3))))))
        return self.fc((h * gate[:, :, None, None]).mean((2, 3)))


@network(3, 32, 32)
class Cbam(nn.Module):
    """Channel and place attention by means and maxima (Woo et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.mlp = nn.Conv2d(3, 32, 3, 2, 1), nn.Sequential(nn.Linear(32, 8), nn.ReLU(), nn.Linear(8, 32))
        self.place, self.fc = nn.Conv2d(2, 1, 7, padding=3), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.conv(x))
        h = h * torch.sigmoid(self.mlp(h.mean((2, 3))) + self.mlp(h.amax((2, 3))))[:, :, None, None]
        h = h * torch.sigmoid(self.place(torch.cat([h.mean(1, keepdim=True), h.amax(1, keepdim=True)], 1)))
        return self.fc(h.mean((2, 3)))


@network(3, 32, 32)
class ShuffleUnit(nn.Module):
    """Half of the channels pass, then all are shuffled (Ma et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.branch = nn.Conv2d(3, 32, 3, 2, 1), nn.Sequential(*_separable(16, 16))
        self.fc = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        a, b = F.relu(self.stem(x)).chunk(2, 1)
        h = torch.cat([a, self.branch(b)], 1)
        n, c, height, width = h.shape
        h = h.view(n, 2, c // 2, height, width).transpose(1, 2).reshape(n, c, height, width)
        return self.fc(h.mean((2, 3)))


class _LayerNorm2d(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@network(3, 32, 32)
class ConvNext(nn.Module):
    """Depthwise convolution, layer norm, two layers over channels, a scale (Liu et al. 2022)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm0 = nn.Conv2d(3, 32, 4, 4), _LayerNorm2d(32)
        self.depthwise, self.norm = nn.Conv2d(32, 32, 7, padding=3, groups=32), nn.LayerNorm(32)
        self.up, self.down, self.gamma = nn.Linear(32, 128), nn.Linear(128, 32), nn.Parameter(torch.full((32,), 0.5))
        self.fc = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm0(self.stem(x))
        h = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        h = (self.gamma * self.down(F.gelu(self.up(h)))).permute(0, 3, 1, 2)
        return self.fc((x + h).mean((2, 3)))


@network(3, 32, 32)
class GroupNormNet(nn.Module):
    """Group norm and a residual sum."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.na = nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.GroupNorm(8, 32)
        self.b, self.nb, self.fc = nn.Conv2d(32, 32, 3, 1, 1, bias=False), nn.GroupNorm(8, 32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.na(self.a(x)))
        return self.fc(F.relu(h + self.nb(self.b(h))).mean((2, 3)))


@network(3, 32, 32)
class PaddedShortcut(nn.Module):
    """A shortcut of strided places and zero channels (He et al. 2016, option A)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a, self.fc = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 32, 3, 2, 1), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.stem(x))
        short = F.pad(h[:, :, ::2, ::2], (0, 0, 0, 0, 8, 8))
        return self.fc(F.relu(self.a(h) + short).mean((2, 3)))


@network(3, 32, 32)
class ReflectPadded(nn.Module):
    """Pads by reflection before each convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 16, 3, padding=1, padding_mode="reflect"), nn.Conv2d(16, 32, 3, 2)
        self.fc = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.leaky_relu(self.b(F.relu(self.a(x))), 0.1).mean((2, 3)))


@network(3, 32, 32)
class UpDown(nn.Module):
    """A small decoder: nearest and bilinear upsampling, sums of two scales."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 16, 3, 2, 1), nn.Conv2d(16, 16, 3, 1, 1)
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.a(x))
        b = F.relu(self.b(a))
        near = F.interpolate(b, scale_factor=2, mode="nearest")
        smooth = F.interpolate(b, scale_factor=2, mode="bilinear", align_corners=False)
        return self.fc(self.c(a + near + smooth).mean((2, 3)))


@network(3, 32, 32)
class Transposed(nn.Module):
    """A transposed convolution behind the bottleneck."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.up, self.fc = nn.Conv2d(3, 16, 3, 4, 1), nn.ConvTranspose2d(16, 8, 4, 2, 1), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu(self.up(F.relu(self.a(x)))).mean((2, 3)))


@network(64, 3)
class PointNet(nn.Module):
    """Points by one network each, then the maximum (Qi et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.fc = nn.Linear(3, 32), nn.Linear(32, 64), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu(self.b(F.relu(self.a(x)))).amax(1))


@network(3, 35, 35)
class UnevenPool(nn.Module):
    """Adaptive pooling to a size that does not divide."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.fc = nn.Conv2d(3, 16, 3, 2, 1), nn.Linear(16 * 25, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.adaptive_avg_pool2d(F.relu(self.a(x)), 5).flatten(1))


@network(3, 32, 32)
class WindowAttention(nn.Module):
    """Attention inside windows of a map (Liu et al. 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.block, self.fc = nn.Conv2d(3, 32, 4, 4), Block(32, 4, 2), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = self.patch(x).permute(0, 2, 3, 1)  # [N][8][8][32]
        n = h.shape[0]
        windows = h.reshape(n, 2, 4, 2, 4, 32).transpose(2, 3).reshape(n * 4, 16, 32)
        h = self.block(windows).reshape(n, 4, 16, 32).mean((1, 2))
        return self.fc(h)
