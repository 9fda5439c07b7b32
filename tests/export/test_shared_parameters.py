# Parameters that a network uses several times, side by side or one use behind the other: outputs and steps against
# PyTorch, dense and sparse; what is refused.
# Never here: the kernels that add gradients (tests/runtime/core_executor.cpp).
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from around import SHAPE, Around, check, plan_of
from edgecl.export import Recipe
from edgecl.export.errors import ExportError
from edgecl.export.torch_front import from_torch
from torch import Tensor, nn


class Repeated(nn.Module):
    """A layer on its own result, three times."""

    def __init__(self, layer: nn.Module, before: Callable[[Tensor], Tensor] = torch.tanh) -> None:
        super().__init__()
        self.layer, self.before = layer, before

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = self.layer(self.before(x))
        return x


class Parallel(nn.Module):
    """A layer on several inputs of one size."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.layer(x), torch.relu(self.layer(x.flip(2))), self.layer(torch.tanh(x))], 1)


class ChannelAttention(nn.Module):
    """CBAM's: one pair of layers over means and maxima."""

    def __init__(self) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(8, 3), nn.GELU(), nn.Linear(3, 8))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3)))).reshape(-1, 8, 1, 1)


class Levels(nn.Module):
    """The head of a region proposal network over maps of three sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.score = nn.Conv2d(8, 6, 3, padding=1), nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        levels = [x, nn.functional.max_pool2d(x, 2), nn.functional.max_pool2d(x, 3)]
        return torch.cat([self.score(torch.relu(self.conv(level))).flatten(1) for level in levels], 1)


class Towers(nn.Module):
    """Siamese: convolution, normalisation and slopes of one tower on two halves."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.tower = nn.Sequential(nn.Conv2d(4, 5, 3, bias=False), norm, nn.PReLU(5), nn.Conv2d(5, 4, 3))

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.tower(x[:, :4]), self.tower(x[:, 4:])
        return torch.cat([(a - b) ** 2, a * b], 1)


class Block(nn.Module):
    """ALBERT: one block of attention and two layers, applied three times."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(8, 8) for _ in range(4))
        self.first, self.second = nn.LayerNorm(8), nn.LayerNorm(8)
        self.up, self.down = nn.Linear(8, 12), nn.Linear(12, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2).transpose(1, 2)
        for _ in range(3):
            scores = (self.q(x) @ self.k(x).transpose(1, 2) / 8**0.5).softmax(-1)
            x = self.first(x + self.out(scores @ self.v(x)))
            x = self.second(x + self.down(nn.functional.gelu(self.up(x))))
        return x.mean(1)


class Unrolled(nn.Module):
    """A cell in a loop over the rows of a map."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        steps = x.mean(3)
        h = torch.zeros_like(steps[:, :5, 0])
        c = h
        for t in range(6):
            found = self.cell(steps[:, :, t], (h, c) if isinstance(self.cell, nn.LSTMCell) else h)
            h, c = found if isinstance(found, tuple) else (found, c)
        return h


class Constants(nn.Module):
    """Offsets and factors of maps that are used again; a bias of its own that two layers add."""

    def __init__(self) -> None:
        super().__init__()
        self.offset, self.factor = nn.Parameter(torch.randn(8, 6, 6)), nn.Parameter(torch.randn(8, 1, 1))
        self.first, self.second = nn.Conv2d(8, 8, 1, bias=False), nn.Conv2d(8, 8, 1, bias=False)
        self.bias = nn.Parameter(torch.randn(8, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(x + self.offset) * self.factor
        x = torch.tanh(x + self.offset) * self.factor
        return self.second(torch.tanh(self.first(x) + self.bias)) + self.bias


MODULES: dict[str, Callable[[], nn.Module]] = {
    "conv": lambda: Repeated(nn.Conv2d(8, 8, 3, padding=1)),
    "conv without bias": lambda: Repeated(nn.Conv2d(8, 8, 3, padding=1, bias=False)),
    "depthwise": lambda: Repeated(nn.Conv2d(8, 8, 3, padding=1, groups=8)),
    "pointwise": lambda: Repeated(nn.Conv2d(8, 8, 1)),
    "linear over tokens": lambda: Repeated(nn.Linear(6, 6)),
    "linear over tokens without bias": lambda: Repeated(nn.Linear(6, 6, bias=False)),
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(288, 16), Repeated(nn.Linear(16, 16))),
    "layer norm": lambda: Repeated(nn.LayerNorm(6)),
    "group norm": lambda: Repeated(nn.GroupNorm(2, 8)),
    "batch norm": lambda: Repeated(nn.BatchNorm2d(8)),
    "prelu": lambda: Repeated(nn.PReLU(8)),
    "parallel convs": lambda: Parallel(nn.Conv2d(8, 4, 3, stride=2)),
    "parallel groups": lambda: Parallel(nn.Conv2d(8, 4, 1, groups=2)),
    "parallel linear": lambda: Parallel(nn.Linear(6, 5)),
    "parallel norm": lambda: Parallel(nn.LayerNorm((6,))),
    "recurrent": lambda: Repeated(_Sequence(nn.GRU(6, 6, batch_first=True))),
    "channel attention": ChannelAttention,
    "levels": Levels,
    "towers": lambda: Towers(nn.BatchNorm2d(5)),
    "towers of group norms": lambda: Towers(nn.GroupNorm(1, 5)),
    "block": Block,
    "rnn cell": lambda: Unrolled(nn.RNNCell(8, 5)),
    "gru cell": lambda: Unrolled(nn.GRUCell(8, 5)),
    "lstm cell": lambda: Unrolled(nn.LSTMCell(8, 5)),
    "constants": Constants,
}


class _Sequence(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layer(x.flatten(1, 2) if x.dim() == 4 else x)[0]
        return result


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("name", MODULES)
def test_steps_are_those_of_all_uses(name: str, n_threads: int) -> None:
    torch.manual_seed(21)
    check(Around(MODULES[name]()), steps=3, n_threads=n_threads)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize(
    "name", ["conv", "linear", "linear over tokens", "parallel convs", "levels", "block", "gru cell"]
)
def test_sparse_steps(name: str, n_threads: int) -> None:
    torch.manual_seed(22)
    module = Around(MODULES[name]())
    assert any("positions" in param for param in plan_of(module, 0.1)["params"])
    check(module, steps=3, density=0.1, n_threads=n_threads)


def test_one_layer_stays_one_parameter() -> None:
    plan = plan_of(Around(MODULES["conv"]()))
    assert [param["name"] for param in plan["params"]].count("function.layer.weight") == 1
    assert sum(op["kind"] == "conv" for op in plan["ops"]) == 4


def test_the_report_says_so() -> None:
    report = from_torch(Around(MODULES["conv"]()), torch.zeros(1, *SHAPE))
    assert (
        "2 parameters are used several times and learn from all their uses: function.layer.weight (3), "
        "function.layer.bias (3)"
    ) in report.notes
    assert not any("several times" in note for note in from_torch(
        Around(MODULES["conv"]()), torch.zeros(1, *SHAPE), trainable="head").notes)  # fmt: skip


class Tied(nn.Module):
    """An output matrix that is the input matrix, transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Parameter(torch.randn(5, 8))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x.mean((2, 3)) @ self.shared.t()) @ self.shared


class TwoKinds(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Parameter(torch.rand(8))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.layer_norm(torch.prelu(x, self.shared).mean((2, 3)), (8,), self.shared)


@pytest.mark.parametrize(
    ("function", "why"), [(Tied(), "in several shapes or orders"), (TwoKinds(), "which are of several kinds")]
)
def test_what_cannot_be_added_is_refused(function: nn.Module, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the size that each row of a batch may hold."""
    module = Around(function)
    (note,) = [note for note in from_torch(module, torch.zeros(1, *SHAPE)).notes if "in several ways" in note]
    assert note.startswith("'function.shared' is read") and "tensor of its own" in note
    monkeypatch.setattr("edgecl.export.ops.learned.MOST_TIED", 7)
    with pytest.raises(ExportError, match=rf"function\.shared.*shared by 2 nodes.*{why}.*freeze it"):
        from_torch(module, torch.zeros(1, *SHAPE))
    assert from_torch(module, torch.zeros(1, *SHAPE), trainable=["stem", "head"]).parity is not None


def test_the_layer_of_the_logits_shares_nothing() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.head = nn.Linear(128, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(torch.relu(self.head(self.stem(x.flatten(1)))))

    with pytest.raises(ExportError, match=r"head\.weight.*shared by 2 nodes.*the layer of the logits"):
        from_torch(Network(), torch.zeros(1, *SHAPE))


class Standardised(nn.Conv2d):
    """Weight standardisation (Qiao et al. 2019), written out."""

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.standard(), self.bias)

    def standard(self) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return weight / (weight.std((1, 2, 3), keepdim=True) + 1e-5)


@pytest.mark.parametrize("form", ["once", "repeated"])
def test_standardised_weights_learn_as_plain_ones(form: str) -> None:
    """Those that the forward computes, anew for each use."""
    core = pytest.importorskip("edgecl._core")
    torch.manual_seed(23)
    plain, computed = nn.Conv2d(8, 8, 3, padding=1), Standardised(8, 8, 3, padding=1)
    with torch.no_grad():
        plain.weight.copy_(computed.standard())
        plain.bias.copy_(computed.bias)
    around = Around(plain)
    rows, labels = torch.randn(8, *SHAPE), np.arange(8, dtype=np.int32) % 4
    found = []
    for layer in (plain, computed):
        around.function = Repeated(layer) if form == "repeated" else nn.Sequential(layer)
        report = from_torch(around, torch.zeros(1, *SHAPE), recipe=Recipe(method="finetune", learning_rate=0.01))
        assert report.untrainable == []
        assert any("is left out: function." in note for note in report.notes) == (layer is computed)
        session = core.Session(core.Model(data=report.bundle), max_batch=8)
        for _ in range(3):
            session.learn(rows.numpy(), labels)
        found.append(session.parameters())
    assert set(found[0]) == set(found[1])
    for name, values in found[0].items():
        np.testing.assert_allclose(values, found[1][name], rtol=0, atol=1e-4)


@pytest.mark.parametrize("choice", [{"structure": "set"}, {"structure": "tdm"}, {"gradient_mask": "dgm"},
                                    {"gradient_mask": "migu"}, {"gradient_mask": "hft"}], ids=str)  # fmt: skip
def test_structures_and_masks_know_a_shared_layer_once(choice: dict[str, str]) -> None:
    """The same state for both numbers of threads, and as many weights as were planned."""
    core = pytest.importorskip("edgecl._core")
    torch.manual_seed(24)
    recipe = Recipe(method="finetune", learning_rate=0.02, structure_interval=2, structure_intra=0.2, **choice)
    report = from_torch(Around(Levels()), torch.zeros(1, *SHAPE), recipe=recipe, density=0.2)
    rows, labels = torch.randn(16, *SHAPE).numpy(), np.arange(16, dtype=np.int32) % 4
    digests = []
    for n_threads in (1, 2):
        session = core.Session(core.Model(data=report.bundle), n_threads=n_threads, max_batch=16)
        for _ in range(2):
            session.begin_task()
            losses = [session.learn(rows, labels)["loss"] for _ in range(6)]
        assert np.isfinite(losses).all()
        digests.append(session.state_digest())
    assert digests[0] == digests[1]


def test_growth_by_gradient_is_refused() -> None:
    pytest.importorskip("edgecl._core")
    from edgecl.errors import UnsupportedError

    recipe = Recipe(method="finetune", structure="rigl")
    with pytest.raises(UnsupportedError, match=r"one use.*function\.conv\.weight.*structure set"):
        from_torch(Around(Levels()), torch.zeros(1, *SHAPE), recipe=recipe, density=0.2)


def test_a_gradient_through_a_computed_constant_is_named() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.rand(8, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(x * self.scale) + torch.sin(self.scale)

    (named,) = from_torch(Around(Network()), torch.zeros(1, *SHAPE)).untrainable
    assert named.node == "function.scale" and "their part of its gradient is left out" in named.reason
