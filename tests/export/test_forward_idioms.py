# What forward functions do beside layers: assignments to slices, sums over edges, windows behind pads, rolls.
# Never here: where the batch lies (test_batch_axis.py), weights that a model computes (test_plain_weights.py).
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from edgecl import export
from oracle import assert_learns_alike
from torch import Tensor, nn
from torch.nn import functional as F

RECIPE = export.Recipe(method="finetune", learning_rate=0.1, momentum=0.0, weight_decay=0.0, replay_capacity=0)
ROWS = np.random.default_rng(0).standard_normal((8, 6, 5)).astype(np.float32)
LABELS = np.arange(8) % 3
EDGES = torch.tensor([[0, 1, 2, 3, 4, 0, 2, 2], [1, 2, 3, 4, 0, 3, 0, 2]])


class Between(nn.Module):
    """A layer over the last axis, a function of [N][6][5], a layer of all numbers."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.first = nn.Linear(5, 5)
        self.last = nn.Linear(function(torch.zeros(2, 6, 5)).flatten(1).shape[1], 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.function(torch.tanh(self.first(x))).flatten(1))
        return y


def rows_one_by_one(x: Tensor) -> Tensor:
    y = torch.zeros(x.shape, dtype=x.dtype)
    for k in range(6):
        y[:, k, :] = x[:, 5 - k, :] * (k + 1)
    return y


def box_set(x: Tensor) -> Tensor:
    y = x * 2
    y[:, 1:4, 2:] = x[:, 3:, :3]
    return y


def box_of_ones(x: Tensor) -> Tensor:
    y = torch.ones(x.shape, dtype=x.dtype)
    y[:, 1:4, 2:4] = x[:, 3:, :2]
    return y


def every_second(x: Tensor) -> Tensor:
    y = x * 2
    y[:, ::2] = x[:, 3:]
    return y


def numbers_set(x: Tensor) -> Tensor:
    y = x * 2
    y[:, 2] = 0.5
    y[:, :, -1] = -1.0
    return y


def summed_over_edges(x: Tensor) -> Tensor:
    sums = torch.zeros(x.shape, dtype=x.dtype).index_add(1, EDGES[1], x[:, EDGES[0]], alpha=0.5)
    return x.index_add(-1, torch.tensor([4, 0, 4]), sums[..., :3])


def scattered_sum(x: Tensor) -> Tensor:
    return torch.zeros(x.shape, dtype=x.dtype).scatter_add(1, EDGES[1][None, :6, None].expand(len(x), 6, 5), x)


def windows_behind_a_pad(x: Tensor) -> Tensor:
    return F.pad(x, (0, 3), mode="replicate").unfold(-1, 4, 2)


def rolled(x: Tensor) -> Tensor:
    return sum((torch.roll(x, k, 1) * (k + 1) for k in range(3)), torch.zeros(()))


def padded_to_a_whole_number(x: Tensor) -> Tensor:
    size = x.shape[1]
    rest = -(-size // 4) * 4 - size
    return torch.cat([x, torch.zeros(x.shape[0], rest, x.shape[2], dtype=x.dtype)], 1).reshape(len(x), 4, -1)


def soft_threshold(x: Tensor) -> Tensor:
    return F.softshrink(x, 0.2)


def gram(x: Tensor) -> Tensor:
    return x @ x.mT + (x @ x.transpose(1, 2)).adjoint()


def groups_of_tokens(x: Tensor) -> Tensor:
    return F.group_norm(x.transpose(1, 2).reshape(-1, 6), 1).reshape(len(x), 5, 6)


FUNCTIONS = [
    rows_one_by_one, box_set, box_of_ones, every_second, numbers_set, summed_over_edges, scattered_sum,
    windows_behind_a_pad, rolled, padded_to_a_whole_number, groups_of_tokens, soft_threshold, gram,
]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS)
def test_as_pytorch(function: Callable[[Tensor], Tensor], capfd: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    module = Between(function)
    report = export.from_torch(module, torch.zeros(1, 6, 5), recipe=RECIPE)
    assert not report.untrainable
    assert not "".join(capfd.readouterr())  # the tracer's own words
    assert_learns_alike(report.bundle, module, ROWS, LABELS)


def test_positions_that_differ_among_rows_are_refused() -> None:
    def diagonal(x: Tensor) -> Tensor:
        y = x * 2
        y[torch.arange(len(x)), torch.arange(len(x))] = x[:, 0]
        return y

    with pytest.raises(export.ExportError, match="mix the rows of a batch"):
        export.from_torch(Between(diagonal), torch.zeros(1, 6, 5), recipe=RECIPE)


def test_a_failing_trace_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    def unpooled(x: Tensor) -> Tensor:
        y, places = F.max_pool1d(x, 5, return_indices=True)
        return F.max_unpool1d(y, places, 5)

    with pytest.raises(export.ExportError):
        export.from_torch(Between(unpooled), torch.zeros(1, 6, 5), recipe=RECIPE)
    assert not "".join(capfd.readouterr())


class Head(nn.Module):
    """A head with parameters in a function of its own."""

    def __init__(self, function: Callable[[Tensor, nn.Parameter], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.first = nn.Linear(30, 4)
        self.held = nn.Parameter(torch.rand(3, 4) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(torch.tanh(self.first(x.flatten(1))), self.held)


@pytest.mark.parametrize(
    "function",
    [
        lambda z, held: -((z.unsqueeze(1) - held.unsqueeze(0)) ** 2).sum(-1),  # distances from prototypes
        lambda z, held: (held - z.unsqueeze(1)).abs().sum(-1),
        lambda z, held: (z.unsqueeze(1) / held).sum(-1),
    ],
)
def test_parameters_that_are_subtracted_or_divide_learn(function: Callable[[Tensor, nn.Parameter], Tensor]) -> None:
    torch.manual_seed(0)
    module = Head(function)
    report = export.from_torch(module, torch.zeros(1, 6, 5), recipe=RECIPE)
    assert not report.untrainable
    assert_learns_alike(report.bundle, module, ROWS, LABELS)


def recurrence(z: Tensor, held: nn.Parameter) -> Tensor:
    """States of zeros in front, with the batch's axis, beside numbers that are computed from the parameter."""
    state = torch.zeros_like(z)
    decay = torch.exp(-held[0])
    for _ in range(3):
        state = decay * state + z
    return state[:, :3]


def relative(z: Tensor, held: nn.Parameter) -> Tensor:
    """Rows of a table in a product, taken backwards."""
    places = torch.arange(2)[None] - torch.arange(2)[:, None] + 1
    return torch.einsum("nid,ijd->nij", z.reshape(-1, 2, 2), held[:, :2][places]).flatten(1)[:, :3]


@pytest.mark.parametrize("function", [recurrence, relative])
def test_parameters_beside_states_and_indices_learn(function: Callable[[Tensor, nn.Parameter], Tensor]) -> None:
    torch.manual_seed(0)
    module = Head(function)
    report = export.from_torch(module, torch.zeros(1, 6, 5), recipe=RECIPE)
    assert not report.untrainable
    assert_learns_alike(report.bundle, module, ROWS, LABELS)


class Experts(nn.Module):
    """Two layers of several matrices each, as mixtures and ensembles have them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(torch.randn(3, 5, 4) * 0.4), nn.Parameter(torch.randn(3, 4, 3) * 0.4)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(torch.einsum("btd,edf->btef", x, self.first))
        return torch.einsum("btef,efd->bd", hidden, self.second)


class LowRank(nn.Module):
    """A frozen layer, and what is added to its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.last = nn.Linear(30, 8), nn.Linear(8, 3)
        self.layer.requires_grad_(False)
        self.a, self.b = nn.Parameter(torch.randn(8, 2) * 0.3), nn.Parameter(torch.randn(2, 30) * 0.3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(torch.tanh(F.linear(x.flatten(1), self.layer.weight + self.a @ self.b, self.layer.bias)))
        return y


class Weighed(nn.Module):
    """A layer's weight that is a fixed matrix times a learned one, as graphs weigh their edges."""

    def __init__(self) -> None:
        super().__init__()
        self.edges, self.last = nn.Parameter(torch.rand(6, 6)), nn.Linear(30, 3)
        self.register_buffer("fixed", torch.rand(6, 6) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(torch.tanh(x.transpose(1, 2) @ (self.fixed * self.edges)).flatten(1))
        return y


@pytest.mark.parametrize("made", [Experts, LowRank, Weighed])
def test_weights_of_several_matrices_or_parameters_learn(made: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    module = made()
    report = export.from_torch(module, torch.zeros(1, 6, 5), recipe=RECIPE)
    assert not report.untrainable
    assert_learns_alike(report.bundle, module, ROWS, LABELS)


class Halves(nn.Module):
    """A body that the module itself keeps from learning, or all of it."""

    def __init__(self, whole: bool) -> None:
        super().__init__()
        self.body, self.last, self.whole = nn.Sequential(nn.Linear(30, 8), nn.Tanh()), nn.Linear(8, 3), whole

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            features = self.body(x.flatten(1))
            y: Tensor = self.last(features)
        return y if self.whole else self.last(features)


def test_what_the_module_lets_no_gradient_through_to_is_frozen() -> None:
    torch.manual_seed(0)
    module = Halves(whole=False)
    report = export.from_torch(module, torch.zeros(1, 6, 5), recipe=RECIPE)
    assert [layer.name for layer in report.layers if layer.trainable] == ["last"]
    assert any("no_grad" in note and "2 parameters, body.0.weight" in note for note in report.notes)
    assert_learns_alike(report.bundle, module, ROWS, LABELS)
    named = export.from_torch(Halves(whole=False), torch.zeros(1, 6, 5), recipe=RECIPE, trainable=["body", "last"])
    predicting = export.from_torch(Halves(whole=True), torch.zeros(1, 6, 5), recipe=RECIPE)
    for other in (named, predicting):
        assert [layer.name for layer in other.layers if layer.trainable] == ["body.0", "last"]
