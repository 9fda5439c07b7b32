# Transposes move through what stands behind them: the function stays the same, and pairs cancel.
# Never here: views themselves (test_views.py).
from __future__ import annotations

import random
from collections import Counter
from math import prod

import numpy as np
import pytest
import torch
from edgecl import export
from edgecl.export.options import ExportOptions
from edgecl.export.pipeline import prepare
from edgecl.export.torch_front import graph_of_torch
from edgecl.export.view_algebra import View
from torch import Tensor, nn
from torch.nn import functional


def kinds(module: nn.Module, shape: tuple[int, ...]) -> Counter[str]:
    """Operators of the bundle, without reshapes, which cost nothing."""
    graph = graph_of_torch(module.eval(), torch.zeros(1, *shape), "net")
    found = Counter(op["kind"] for op in prepare(graph, ExportOptions(), "test").plan["ops"])
    del found["reshape"]
    return found


class Islands(nn.Module):
    """Convolutions with layers over channels-last maps between (Liu et al. 2022, without its norm)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 2, 2)
        self.depthwise = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1, groups=8) for _ in range(2))
        self.wide = nn.ModuleList(nn.Linear(8, 16) for _ in range(2))
        self.narrow = nn.ModuleList(nn.Linear(16, 8) for _ in range(2))
        self.gamma = nn.ParameterList(torch.rand(8) for _ in range(2))
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for depthwise, wide, narrow, gamma in zip(self.depthwise, self.wide, self.narrow, self.gamma, strict=True):
            y = depthwise(x).permute(0, 2, 3, 1)
            x = x + (gamma * narrow(functional.gelu(wide(y)))).permute(0, 3, 1, 2)
        return self.head(x.mean((2, 3)))


class Tokens(nn.Module):
    """Patches as tokens, positions that learn, two residual layers and the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.positions = nn.Parameter(torch.randn(1, 16, 8))
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.Linear(12, 8)) for _ in range(2))
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        for layer in self.layers:
            x = x + layer(x)
        return self.head(x.mean(1))


class Mixer(nn.Module):
    """Layers over tokens and over features in turns: each turn needs a copy, there and back."""

    def __init__(self) -> None:
        super().__init__()
        self.over_time, self.over_features, self.last = nn.Linear(12, 12), nn.Linear(6, 6), nn.Linear(6, 6)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = x + functional.gelu(self.over_features(x))
        x = x + functional.gelu(self.over_time(x.transpose(1, 2))).transpose(1, 2)
        return self.head((x + self.last(x).relu()).mean(1))


def test_islands_and_tokens_need_no_copy() -> None:
    assert kinds(Islands(), (3, 12, 12)) == {
        "conv": 7, "activation": 2, "mul": 2, "add": 2, "global_average_pool": 1, "linear": 1
    }  # fmt: skip
    assert kinds(Tokens(), (3, 16, 16)) == {"conv": 5, "activation": 2, "add": 3, "global_average_pool": 1, "linear": 1}


def three_steps(module: nn.Module, shape: tuple[int, ...]) -> float:
    """The largest difference of logits after three steps here and in PyTorch, as a share of their scale."""
    from edgecl import Classifier

    recipe = export.Recipe(method="finetune", learning_rate=0.05, momentum=0.0, weight_decay=0.0, replay_capacity=0)
    report = export.from_torch(module.eval(), torch.zeros(1, *shape), recipe=recipe)
    assert not report.untrainable
    assert report.parity is not None and report.parity.max_abs <= 2e-5 * report.parity.reference_abs
    x = np.random.default_rng(0).standard_normal((8, *shape)).astype(np.float32)
    y = np.arange(8) % 4
    learner = Classifier(report.bundle, batch_size=8)
    optimiser = torch.optim.SGD(module.parameters(), 0.05)
    for _ in range(3):
        optimiser.zero_grad()
        functional.cross_entropy(module(torch.from_numpy(x)), torch.from_numpy(y)).backward()
        optimiser.step()
        learner.partial_fit(x, y)
    expected = module(torch.from_numpy(x)).detach().numpy()
    return float(np.abs(learner.decision_function(x) - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize(
    ("module", "shape"), [(Islands, (3, 12, 12)), (Tokens, (3, 16, 16)), (Mixer, (12, 6))], ids=lambda v: str(v)[-12:]
)
def test_they_learn_as_pytorch_does(module: type[nn.Module], shape: tuple[int, ...]) -> None:
    assert three_steps(module(), shape) <= 2e-5


class TwoOrders(nn.Module):
    """A sum of two tensors whose numbers are moved in different ways, neither of them its own inverse."""

    def __init__(self, first: tuple[int, ...], second: tuple[int, ...]) -> None:
        super().__init__()
        self.orders = first, second
        self.one, self.two, self.head = nn.Conv2d(2, 4, 1), nn.Conv2d(2, 4, 1), nn.Linear(64, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = x.reshape(-1, 2, 4, 4)
        y = self.one(x).permute(0, *self.orders[0]) + self.two(x).permute(0, *self.orders[1])
        return self.head(torch.tanh(y).flatten(1))


@pytest.mark.parametrize("first", [(2, 3, 1), (3, 1, 2), (2, 1, 3)])
@pytest.mark.parametrize("second", [(2, 3, 1), (3, 2, 1), (1, 3, 2), (1, 2, 3)])
def test_sums_of_two_orders(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    assert three_steps(TwoOrders(first, second), (2, 4, 4)) <= 2e-5


class Attention(nn.Module):
    """Heads out of one layer for queries, keys and values (Vaswani et al. 2017)."""

    def __init__(self, windows: bool = False) -> None:
        super().__init__()
        self.windows, self.stem = windows, nn.Conv2d(3, 8, 1)
        self.qkv, self.out, self.head = nn.Linear(8, 24), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        n, c, h, w = x.shape
        if self.windows:  # of 4 x 4 places (Liu et al. 2021)
            y = x.permute(0, 2, 3, 1).reshape(n, h // 4, 4, w // 4, 4, c).transpose(2, 3).reshape(-1, 16, c)
        else:
            y = x.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(y).reshape(y.shape[0], -1, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        scores = torch.softmax(q @ k.transpose(-2, -1) * 0.5, -1)
        y = self.out((scores @ v).transpose(1, 2).reshape(y.shape))
        if self.windows:
            y = y.reshape(n, h // 4, w // 4, 4, 4, c).transpose(2, 3).reshape(n, h, w, c)
        return self.head((x.flatten(2).transpose(1, 2) + y.reshape(n, -1, c)).mean(1))


@pytest.mark.parametrize("windows", [False, True])
def test_attention_learns_as_pytorch_does(windows: bool) -> None:
    assert three_steps(Attention(windows), (3, 8, 8)) <= 2e-5


def test_attention_copies_its_queries_alone() -> None:
    assert kinds(Attention(), (3, 8, 8)) == {
        "conv": 3, "strided": 1, "matmul": 2, "softmax": 1, "add": 1, "global_average_pool": 1, "linear": 1
    }  # fmt: skip


class Positions(nn.Module):
    """Scores with biases of relative positions from a table that learns, [heads][offsets] or [offsets][heads]."""

    def __init__(self, heads_first: bool) -> None:
        super().__init__()
        self.heads_first = heads_first
        self.table = nn.Parameter(torch.randn(2, 9) if heads_first else torch.randn(9, 2))
        y, x = np.divmod(np.arange(9), 3)
        offsets = np.abs(y[:, None] - y) * 3 + np.abs(x[:, None] - x)
        self.register_buffer("offsets", torch.from_numpy(offsets))
        self.qk, self.v, self.head = nn.Linear(4, 8), nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        q, k = self.qk(x).reshape(-1, 9, 2, 2, 2).permute(2, 0, 3, 1, 4).unbind(0)
        v = self.v(x).reshape(-1, 9, 2, 2).transpose(1, 2)
        if self.heads_first:
            bias = self.table[:, self.offsets]
        else:
            bias = self.table[self.offsets.reshape(-1)].reshape(9, 9, 2).permute(2, 0, 1).unsqueeze(0)
        weights = (q @ k.transpose(-2, -1) + bias).softmax(-1)
        return self.head((weights @ v).transpose(1, 2).reshape(-1, 9, 4).mean(1))


@pytest.mark.parametrize("heads_first", [True, False])
def test_tables_of_relative_positions_learn(heads_first: bool) -> None:
    assert three_steps(Positions(heads_first), (9, 4)) <= 2e-5


class Chain(nn.Module):
    """Random operators on a tensor of three or four axes, some of which move its numbers."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.layers = nn.ModuleDict()
        self.constants = nn.ParameterDict()
        with torch.no_grad():
            width = self.body(torch.randn(2, 4, 6, 2)).flatten(1).shape[1]
        self.head = nn.Linear(width, 4)

    def body(self, x: Tensor) -> Tensor:
        pick = random.Random(self.seed)
        kept = [x]
        for step in range(9):
            key, rank = str(step), x.ndim
            match pick.choice("ppplrescmtjadxwk"):
                case "p":
                    order = list(range(1, rank))
                    pick.shuffle(order)
                    x = x.permute(0, *order)
                case "l":
                    outputs = pick.choice([2, 4, 6])
                    if key not in self.layers:
                        self.layers[key] = nn.Linear(x.shape[-1], outputs)
                    x = self.layers[key](x)
                case "r":
                    axis = pick.randrange(1, rank)
                    dims = list(x.shape)
                    if rank == 4 and axis < 3:
                        x = x.reshape(*dims[:axis], dims[axis] * dims[axis + 1], *dims[axis + 2 :])
                    elif rank == 3 and dims[axis] % 2 == 0:
                        x = x.reshape(*dims[:axis], 2, dims[axis] // 2, *dims[axis + 1 :])
                case "e":
                    x = torch.tanh(x)
                case "s":
                    x = torch.softmax(x, pick.randrange(1, rank))
                case "c":
                    axis = pick.randrange(1, rank)
                    x = torch.cat([x, x.abs()] if pick.random() < 0.5 else [x.relu(), x], axis)
                case "m":
                    axis = pick.randrange(1, rank)
                    x = x * x.mean(axis, keepdim=True) if pick.random() < 0.7 else x + x.amax(axis, keepdim=True)
                case "t":
                    shape = [1] * (rank - 1)
                    for axis in pick.sample(range(rank - 1), pick.randrange(1, rank)):
                        shape[axis] = x.shape[axis + 1]
                    if key not in self.constants:
                        self.constants[key] = nn.Parameter(torch.randn(*shape))
                    x = x + self.constants[key] if pick.random() < 0.5 else x * self.constants[key]
                case "j" | "a":
                    other = pick.choice(kept)
                    x = x + other if other.shape == x.shape else x
                case "d":
                    axis = pick.randrange(1, rank)
                    x = x.narrow(axis, 0, max(1, x.shape[axis] - 1)) if prod(x.shape[1:]) > 8 else x
                case "x":
                    x = functional.pad(x, (0, 1, 1, 0)) if prod(x.shape[1:]) < 200 else x
                case "w":
                    x = x.sum(pick.randrange(1, rank), keepdim=True)
                case "k":
                    kept.append(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).flatten(1))


@pytest.mark.parametrize("seed", range(40))
def test_random_chains(seed: int) -> None:
    module = Chain(seed)
    assert three_steps(module, (4, 6, 2)) <= 1e-4


def numbers(view: View) -> np.ndarray:
    """The places that a view reads, in order."""
    found = np.array([view.offset])
    for size, stride in view.axes:
        found = (found[:, None] + np.arange(size) * stride).reshape(-1)
    return found


def random_view(size: int, pick: random.Random, cut: bool) -> View:
    dims = []
    while (rest := size // prod(dims)) > 1:
        dims.append(pick.choice([k for k in range(2, rest + 1) if rest % k == 0]))
    axes, offset = [], 0
    for k, length in enumerate(dims):
        stride = prod(dims[k + 1 :])
        first = pick.randrange(length) if cut and pick.random() < 0.3 else 0
        step = pick.choice([1, 2]) if cut else 1
        offset += first * stride
        axes.append((len(range(first, length, step)), step * stride))
    if cut and pick.random() < 0.1:
        axes.append((2, 0))
    pick.shuffle(axes)
    return View.of(axes, offset)


def test_views_of_views() -> None:
    pick, joined = random.Random(0), 0
    for _ in range(2000):
        size = pick.choice([12, 24, 36, 60, 64])
        inner = random_view(size, pick, True)
        outer = random_view(inner.size, pick, True)
        both = outer.after(inner)
        if both is not None:
            joined += 1
            np.testing.assert_array_equal(numbers(both), numbers(inner)[numbers(outer)])
        turned = random_view(size, pick, False)
        assert turned.permutes(size)
        np.testing.assert_array_equal(numbers(turned.inverse())[numbers(turned)], np.arange(size))
    assert joined > 1000
