# More small networks, one block of a kind each: as people write them for speech, tokens, points, graphs, control.
# Never here: exporting them (model_zoo.py), the networks that came first (zoo_networks.py).
# What a module gives has no type:
# mypy: disable-error-code="no-any-return"
"""`NETWORKS` of zoo_networks.py, and these."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations
from zoo_networks import NETWORKS, network, sequential

__all__ = ["NETWORKS"]
Layer = Callable[[nn.Module], nn.Module]


# --- speech and other series ---


class _ConformerBlock(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.first, self.last = self._half(dim), self._half(dim)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = nn.MultiheadAttention(dim, 4, batch_first=True)
        self.gate, self.out = nn.Conv1d(dim, 2 * dim, 1), nn.Conv1d(dim, dim, 1)
        self.depthwise, self.batch_norm = nn.Conv1d(dim, dim, 15, padding=7, groups=dim), nn.BatchNorm1d(dim)

    @staticmethod
    def _half(dim: int) -> nn.Module:
        return nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.SiLU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x + 0.5 * self.first(x)
        h = self.norm1(x)
        x = x + self.attention(h, h, h, need_weights=False)[0]
        h = F.glu(self.gate(self.norm2(x).transpose(1, 2)), dim=1)
        x = x + self.out(F.silu(self.batch_norm(self.depthwise(h)))).transpose(1, 2)
        return self.norm3(x + 0.5 * self.last(x))


@network(1, 40, 64)
class Conformer(nn.Module):
    """Two strided convolutions, then blocks of attention and gated depthwise convolutions (Gulati et al. 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.front = nn.Sequential(nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 32, 3, 2, 1), nn.ReLU())
        self.project, self.blocks = nn.Linear(320, 32), nn.Sequential(_ConformerBlock(32), _ConformerBlock(32))
        self.fc = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = self.front(x)
        n, c, f, t = h.shape
        h = self.project(h.permute(0, 3, 1, 2).contiguous().view(n, t, c * f))
        return self.fc(self.blocks(h).mean(dim=1))


class _CausalBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, dilation: int, norm: Layer) -> None:
        super().__init__()
        self.pad = 2 * dilation
        self.a = norm(nn.Conv1d(inputs, outputs, 3, padding=self.pad, dilation=dilation))
        self.b = norm(nn.Conv1d(outputs, outputs, 3, padding=self.pad, dilation=dilation))
        self.short = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.a(x)[:, :, : -self.pad])
        return F.relu(F.relu(self.b(h)[:, :, : -self.pad]) + self.short(x))


class _NormedTcn(nn.Module):
    def __init__(self, norm: Layer) -> None:
        super().__init__()
        self.body = nn.Sequential(_CausalBlock(6, 32, 1, norm), _CausalBlock(32, 32, 2, norm))
        self.fc = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.body(x)[:, :, -1])


NETWORKS["TcnWeightNorm"] = (lambda: _NormedTcn(parametrizations.weight_norm), (6, 128))
sequential(
    "SpectralNorm", (3, 32, 32),
    lambda: [parametrizations.spectral_norm(nn.Conv2d(3, 16, 3, 2, 1)), nn.LeakyReLU(0.2), nn.AdaptiveAvgPool2d(1),
             nn.Flatten(), parametrizations.spectral_norm(nn.Linear(16, 10))],
)  # fmt: skip


@network(1, 512)
class WaveNet(nn.Module):
    """Gated dilated convolutions whose skips are summed (van den Oord et al. 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.entry, self.out, self.fc = nn.Conv1d(1, 16, 1), nn.Conv1d(24, 24, 1), nn.Linear(24, 10)
        self.gates = nn.ModuleList(nn.Conv1d(16, 32, 2, dilation=1 << i) for i in range(5))
        self.skips = nn.ModuleList(nn.Conv1d(16, 24, 1) for _ in range(5))
        self.rest = nn.ModuleList(nn.Conv1d(16, 16, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h, total = self.entry(x), torch.zeros(1)
        for i, (gate, skip) in enumerate(zip(self.gates, self.skips, strict=True)):
            a, b = gate(F.pad(h, (1 << i, 0))).chunk(2, 1)
            z = torch.tanh(a) * torch.sigmoid(b)
            total = skip(z) if i == 0 else total + skip(z)
            if i < 4:
                h = h + self.rest[i](z)
        return self.fc(F.relu(self.out(F.relu(total))).mean(2))


@network(1, 4000)
class LearnedFrontEnd(nn.Module):
    """A filter bank over the waveform that learns, its logarithm, then a GRU's last state."""

    def __init__(self) -> None:
        super().__init__()
        self.bank, self.norm = nn.Conv1d(1, 40, 400, 160, bias=False), nn.BatchNorm1d(40)
        self.rnn, self.fc = nn.GRU(40, 32, batch_first=True), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(torch.log(self.bank(x).abs() + 1e-3))
        return self.fc(self.rnn(h.transpose(1, 2))[1][-1])


@network(129, 50)
class LogMel(nn.Module):
    """A fixed filter matrix over spectra, the logarithm, the mean over time taken off."""

    def __init__(self) -> None:
        super().__init__()
        self.filters: Tensor
        self.register_buffer("filters", torch.rand(129, 40))
        self.conv, self.fc = nn.Conv1d(40, 32, 3, padding=1), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.log(torch.clamp(x.pow(2).transpose(1, 2) @ self.filters, min=1e-2)).transpose(1, 2)
        return self.fc(F.relu(self.conv(h - h.mean(dim=-1, keepdim=True))).mean(-1))


@network(6, 128)
class Unet1d(nn.Module):
    """Down and up again over a series, with skips (Ronneberger et al. 2015)."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv1d(6, 16, 3, 1, 1), nn.Conv1d(16, 32, 3, 1, 1), nn.Conv1d(64, 16, 3, 1, 1)
        self.up, self.fc = nn.ConvTranspose1d(32, 48, 2, 2), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.a(x))
        b = F.relu(self.b(F.max_pool1d(a, 2)))
        return self.fc(F.relu(self.c(torch.cat([self.up(b), a], 1))).mean(-1))


@network(64, 6)
class LastStates(nn.Module):
    """Both directions' last states of two layers, zeros made in the forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(6, 32, 2, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        zeros = x.new_zeros(4, x.size(0), 32)
        _, (h, _) = self.rnn(x, (zeros, torch.zeros_like(zeros)))
        return self.fc(torch.cat((h[-2], h[-1]), dim=1))


@network(64, 6)
class BiGruAttention(nn.Module):
    """A weighted mean over a GRU's steps, as a product of matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(6, 32, batch_first=True, bidirectional=True)
        self.a, self.b, self.fc = nn.Linear(64, 32), nn.Linear(32, 1, bias=False), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        h, _ = self.rnn(x)
        weights = torch.softmax(self.b(torch.tanh(self.a(h))).squeeze(-1), dim=1)
        return self.fc(torch.bmm(weights.unsqueeze(1), h).squeeze(1))


@network(6, 128)
class PatchSeries(nn.Module):
    """Channels apart, windows that overlap as tokens (Nie et al. 2023)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.positions = nn.Linear(16, 32), nn.Parameter(0.1 * torch.randn(15, 32))
        self.layer, self.fc = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), nn.Linear(192, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x.unfold(-1, 16, 8)) + self.positions
        n, c, t, f = h.shape
        return self.fc(self.layer(h.reshape(n * c, t, f)).reshape(n, c, t, f).mean(2).flatten(1))


@network(6, 64)
class RunningMean(nn.Module):
    """Means of all steps so far."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv1d(6, 16, 3, padding=1), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.cumsum(F.relu(self.conv(x)), -1) / torch.arange(1, 65)
        return self.fc(torch.cat([h[..., -1], h.amax(-1)], 1))


# --- tokens ---


class _Rms(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


@network(32, 6)
class CausalDecoder(nn.Module):
    """Root-mean-square norms, turned positions, causal attention, a gated layer (Touvron et al. 2023)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm1, self.norm2, self.norm3 = nn.Linear(6, 32), _Rms(32), _Rms(32), _Rms(32)
        self.q, self.k, self.v, self.out = (nn.Linear(32, 32, bias=False) for _ in range(4))
        self.gate, self.up, self.down = nn.Linear(32, 64), nn.Linear(32, 64), nn.Linear(64, 32)
        self.fc = nn.Linear(32, 10)
        angles = torch.outer(torch.arange(32.0), 1 / 10000 ** (torch.arange(0, 8, 2) / 8))
        self.cos: Tensor
        self.sin: Tensor
        self.register_buffer("cos", torch.cat([angles, angles], -1).cos())
        self.register_buffer("sin", torch.cat([angles, angles], -1).sin())

    def turned(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, -1)
        return x * self.cos + torch.cat([-b, a], -1) * self.sin

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x)
        n, t, f = h.shape
        z = self.norm1(h)
        q, k, v = (layer(z).view(n, t, 4, 8).transpose(1, 2) for layer in (self.q, self.k, self.v))
        z = F.scaled_dot_product_attention(self.turned(q), self.turned(k), v, is_causal=True)
        h = h + self.out(z.transpose(1, 2).reshape(n, t, f))
        z = self.norm2(h)
        h = h + self.down(F.silu(self.gate(z)) * self.up(z))
        return self.fc(self.norm3(h)[:, -1])


@network(64, 6)
class MaskedEncoder(nn.Module):
    """Steps first, positions by index, a square mask of minus infinity."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.positions = nn.Linear(6, 32), nn.Embedding(64, 32)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64), 1, norm=nn.LayerNorm(32))
        self.fc = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x) + self.positions(torch.arange(64))
        mask = nn.Transformer.generate_square_subsequent_mask(64, dtype=x.dtype)
        return self.fc(self.encoder(h.permute(1, 0, 2), mask=mask)[-1])


@network(64, 6)
class SinePositions(nn.Module):
    """Positions computed in the forward pass, norms in front of the layers."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True, activation="gelu")
        self.embed, self.fc = nn.Linear(6, 32), nn.Linear(32, 10)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        places = torch.arange(x.size(1)).unsqueeze(1)
        angles = places * torch.exp(torch.arange(0, 32, 2) * (-math.log(10000.0) / 32))
        positions = torch.zeros(x.size(1), 32)
        positions[:, 0::2], positions[:, 1::2] = torch.sin(angles), torch.cos(angles)
        return self.fc(self.encoder(self.embed(x) * math.sqrt(32) + positions)[:, 0])


@network(64, 6)
class LearnedQueries(nn.Module):
    """A few tokens of its own read the series (Jaegle et al. 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.queries = nn.Linear(6, 32), nn.Parameter(torch.randn(4, 32))
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)
        self.norm, self.fc = nn.LayerNorm(32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x)
        q = self.queries.unsqueeze(0).expand(x.size(0), -1, -1)
        return self.fc(self.norm(self.attention(q, h, h)[0]).mean(1))


# --- control, points, graphs ---


@network(34)
class Film(nn.Module):
    """Features scaled and moved by a condition (Perez et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.condition, self.conv, self.fc = nn.Linear(2, 64), nn.Conv1d(1, 32, 5, padding=2), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        gain, offset = self.condition(x[:, 32:]).chunk(2, dim=-1)
        h = self.conv(x[:, :32].unsqueeze(1))
        return self.fc(F.relu((1 + gain.unsqueeze(-1)) * h + offset.unsqueeze(-1)).mean(-1))


@network(24)
class BilinearNet(nn.Module):
    """Products of two projections, and their cosine."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.both = nn.Linear(24, 8), nn.Linear(24, 8), nn.Bilinear(8, 8, 16)
        self.cosine, self.fc = nn.CosineSimilarity(dim=1), nn.Linear(17, 10)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.a(x), self.b(x)
        return self.fc(torch.cat([F.relu(self.both(a, b)), self.cosine(a, b).unsqueeze(1)], 1))


@network(24)
class Experts(nn.Module):
    """Four networks under soft gates."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(24, 4)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(24, 32), nn.ReLU(), nn.Linear(32, 10)) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        weights = F.softmax(self.gate(x), -1)
        return (weights.unsqueeze(-1) * torch.stack([expert(x) for expert in self.experts], 1)).sum(1)


@network(24)
class RadialKan(nn.Module):
    """Sums of Gaussian bumps of each input."""

    def __init__(self) -> None:
        super().__init__()
        self.grid: Tensor
        self.register_buffer("grid", torch.linspace(-2, 2, 8))
        self.norm, self.bumps, self.base = nn.LayerNorm(24), nn.Linear(192, 10, bias=False), nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        bumps = torch.exp(-(((self.norm(x)[..., None] - self.grid) / 0.57) ** 2))
        return self.bumps(bumps.flatten(1)) + self.base(F.silu(x))


@network(3, 128)
class TurnedPoints(nn.Module):
    """Points turned by a matrix that a small network finds (Qi et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.small, self.turn = nn.Sequential(nn.Conv1d(3, 16, 1), nn.BatchNorm1d(16), nn.ReLU()), nn.Linear(16, 9)
        self.a, self.b, self.fc = nn.Conv1d(3, 32, 1), nn.Conv1d(32, 64, 1), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        turn = self.turn(torch.max(self.small(x), 2)[0]) + torch.eye(3).view(1, 9).repeat(x.size(0), 1)
        h = torch.bmm(x.transpose(2, 1), turn.view(-1, 3, 3)).transpose(2, 1)
        return self.fc(self.b(F.relu(self.a(h))).max(2)[0])


@network(3, 32, 21)
class SkeletonGraph(nn.Module):
    """Joints mixed by a matrix that learns, then over time (Yan et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.edges = nn.Parameter(torch.softmax(torch.randn(21, 21), 1))
        self.a, self.norm, self.time = (
            nn.Conv2d(3, 16, 1),
            nn.BatchNorm2d(16),
            nn.Conv2d(16, 16, (9, 1), padding=(4, 0)),
        )
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm(torch.matmul(self.a(x), self.edges)))
        return self.fc(F.relu(self.time(h)).mean((2, 3)))


# --- pictures ---


@network(3, 32, 32)
class SpatialSoftmax(nn.Module):
    """Where each channel lies, as a policy reads it (Levine et al. 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 16, 5, 2), nn.Linear(32, 10)
        self.places: Tensor
        self.register_buffer("places", torch.linspace(-1, 1, 14))

    def forward(self, x: Tensor) -> Tensor:
        h = F.softmax(self.conv(x).flatten(2), dim=-1).view(-1, 16, 14, 14)
        across, down = (h.sum(2) * self.places).sum(-1), (h.sum(3) * self.places).sum(-1)
        return self.fc(torch.cat([across, down], 1))


@network(3, 32, 32)
class NonLocal(nn.Module):
    """Each place reads all others (Wang et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out, self.fc = nn.Conv2d(3, 32, 3, 4, 1), nn.Conv2d(16, 32, 1), nn.Linear(32, 10)
        self.q, self.k, self.v = nn.Conv2d(32, 16, 1), nn.Conv2d(32, 16, 1), nn.Conv2d(32, 16, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.conv(x))
        n, _, height, width = h.shape
        q, k, v = (layer(h).view(n, 16, -1) for layer in (self.q, self.k, self.v))
        mixed = torch.bmm(torch.softmax(torch.bmm(q.permute(0, 2, 1), k), -1), v.permute(0, 2, 1))
        return self.fc((h + self.out(mixed.permute(0, 2, 1).view(n, 16, height, width))).mean((2, 3)))


@network(3, 32, 32)
class PixelShuffles(nn.Module):
    """Channels to places and back (Shi et al. 2016)."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(4, 16, 3, 1, 1), nn.Conv2d(64, 32, 1)
        self.up, self.down, self.fc = nn.PixelShuffle(2), nn.PixelUnshuffle(2), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.b(self.up(F.relu(self.a(x)))))
        return self.fc(F.relu(self.c(self.down(h))).mean((2, 3)))


# --- parameters that are used several times ---


@network(32, 24)
class SharedBlock(nn.Module):
    """One transformer block in three layers (Lan et al. 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.fc = nn.Linear(24, 32), nn.Linear(32, 10)
        self.block = nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x)
        for _ in range(3):
            h = self.block(h)
        return self.fc(h.mean(1))


@network(16, 12)
class CellInLoop(nn.Module):
    """A GRU cell, step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.fc = nn.GRUCell(12, 32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(len(x), 32)
        for t in range(16):
            h = self.cell(x[:, t], h)
        return self.fc(h)


@network(2, 28, 28)
class Siamese(nn.Module):
    """One tower for both channels; the difference of what it finds (Bromley et al. 1993)."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = nn.Sequential(
            nn.Conv2d(1, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()
        )
        self.fc = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc((self.tower(x[:, :1]) - self.tower(x[:, 1:])).abs().mean((2, 3)))


@network(3, 32, 32)
class PyramidHead(nn.Module):
    """One head over maps of three sizes (Lin et al. 2017)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 16, 3, 2, 1)
        self.head, self.score = nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.stem(x))
        total = x.new_zeros(len(x), 10)
        for _ in range(3):
            total = total + self.score(F.relu(self.head(h))).mean((2, 3))
            h = F.relu(self.down(h))
        return total


class _StandardisedConv(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(x, weight / (weight.std((1, 2, 3), keepdim=True) + 1e-5), self.bias)


sequential(
    "Standardised", (3, 32, 32),
    lambda: [
        _StandardisedConv(3, 16, 3, 2, 1), nn.GroupNorm(4, 16), nn.ReLU(),
        _StandardisedConv(16, 32, 3, 2, 1), nn.GroupNorm(4, 32), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    ],
)  # fmt: skip
