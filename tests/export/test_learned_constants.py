# What a module computes from parameters and constants alone: it learns on the device as in PyTorch.
# Never here: tables that are picked from alone (test_attention.py), computed weights of layers (test_plain_weights.py).
from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from around import SHAPE, Around, check
from edgecl.export import ops
from edgecl.export.options import ExportOptions, Trainable
from edgecl.export.pipeline import prepare
from edgecl.export.torch_front import from_torch, graph_of_torch
from torch import Tensor, nn
from torch.nn import functional

Forward = Callable[["With", Tensor], Tensor]


class With(nn.Module):
    """A function of maps [8][6][6] and of parts of its own."""

    def __init__(self, forward: Forward, **parts: nn.Module | Tensor) -> None:
        super().__init__()
        self.__dict__["function"] = forward
        for name, part in parts.items():
            if isinstance(part, Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.function(self, x)
        return made


def some(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.rand(shape) + 0.2)


def tokens(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


def mlp(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 12), nn.GELU(), nn.Linear(12, outputs))


def line() -> Tensor:
    return torch.linspace(-1, 1, 36)[:, None]


def mixed(m: With, x: Tensor) -> Tensor:
    share = torch.softmax(m.w, 0)
    return share[0] * x + share[1] * torch.tanh(x) + share[2] * torch.relu(x)


def film(m: With, x: Tensor) -> Tensor:
    gamma, beta = m.layer(torch.tanh(m.code))[:, :, None, None].chunk(2, 1)
    return x * (1 + gamma) + beta


def embedded(m: With, x: Tensor) -> Tensor:
    return tokens(x) + m.table(torch.arange(36).expand(len(x), 36))


def token(m: With, x: Tensor) -> Tensor:
    return torch.cat([m.norm(m.layer(m.token)).expand(len(x), -1, -1), tokens(x)], 1)


def waves(m: With, x: Tensor) -> Tensor:
    y = torch.linspace(0, 3, 6).to(m.conv.weight)[None, :, None, None].expand(len(x), 6, 6, 4)
    return x + m.conv(torch.cat([y.sin(), y.cos()], -1).permute(0, 3, 1, 2))


class Relative(nn.Module):
    """Biases of relative positions by an MLP over a table, log scales, and scores as cosines (Liu et al. 2022)."""

    def __init__(self, absolute: bool) -> None:
        super().__init__()
        self.mlp, self.scale = mlp(2, 2), nn.Parameter(torch.rand(2, 1, 1))
        steps = torch.arange(-5.0, 6) / 5
        self.register_buffer("table", torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1)[None])
        places = torch.stack(torch.meshgrid(torch.arange(6), torch.arange(6), indexing="ij")).flatten(1)
        apart = places[:, :, None] - places[:, None]
        apart = apart.abs() if absolute else apart + 5
        self.register_buffer("index", (apart[0] * 11 + apart[1]).flatten())

    def forward(self, x: Tensor) -> Tensor:
        heads = functional.normalize(tokens(x).reshape(-1, 36, 2, 4).transpose(1, 2), dim=-1)
        bias = self.mlp(self.table).reshape(-1, 2)[self.index].reshape(36, 36, 2).permute(2, 0, 1)
        scores = heads @ heads.transpose(-2, -1) * self.scale.clamp(max=4.6).exp()
        return (scores + 16 * torch.sigmoid(bias)[None]).softmax(-1) @ heads


class Gated(nn.Module):
    """Attention by positions and by content, a gate a head between them (d'Ascoli et al. 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.positions, self.gate, self.qk = nn.Linear(3, 2), nn.Parameter(torch.rand(2)), nn.Linear(8, 16)
        self.register_buffer("places", torch.randn(1, 36, 36, 3))

    def forward(self, x: Tensor) -> Tensor:
        h = tokens(x)
        q, k = self.qk(h).reshape(-1, 36, 2, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        by_place = self.positions(self.places.expand(len(x), -1, -1, -1)).permute(0, 3, 1, 2).softmax(-1)
        gate = torch.sigmoid(self.gate.view(1, -1, 1, 1))
        scores = (1 - gate) * (q @ k.transpose(-2, -1)).softmax(-1) + gate * by_place
        return (scores / scores.sum(-1, keepdim=True)) @ h.reshape(-1, 36, 2, 4).transpose(1, 2)


class Reading(nn.Module):
    """Learned queries read the tokens."""

    def __init__(self, batch_first: bool, count: int = 4) -> None:
        super().__init__()
        self.queries, self.first = nn.Parameter(torch.randn(count, 8)), batch_first
        self.attention = nn.MultiheadAttention(8, 2, batch_first=batch_first)

    def forward(self, x: Tensor) -> Tensor:
        h = tokens(x) if self.first else tokens(x).transpose(0, 1)
        q = self.queries[None].expand(len(x), -1, -1) if self.first else self.queries[:, None].expand(-1, len(x), -1)
        made = self.attention(q, h, h)[0]
        return made if self.first else made.transpose(0, 1)


class Across(nn.Module):
    """Some tokens read the others: the weights of queries, keys and values are parts of one parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        first, others = tokens(x).split((5, 31), 1)
        made: Tensor = self.attention(first, others, others)[0]
        return made


class Root(nn.Module):
    """A norm whose gamma is 1 + weight, as some language models have it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = some(8)

    def forward(self, x: Tensor) -> Tensor:
        h = tokens(x)
        return h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-6) * (1 + self.weight)


class ByKeys(nn.Module):
    """Parts of a bias that a layer joins."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.first, self.last = some(24, 8), some(8), some(8)
        self.register_buffer("none", torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(tokens(x), self.weight, torch.cat([self.first, self.none, self.last]))


class Cleared(nn.Module):
    """A bias a third of which is set to zero in each pass."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 24)

    def forward(self, x: Tensor) -> Tensor:
        bias = self.layer.bias.clone()
        bias[8:16].zero_()
        return functional.linear(tokens(x), self.layer.weight, bias)


def kernel(m: With, x: Tensor) -> Tensor:
    return functional.conv2d(x, m.net(m.code).reshape(8, 4, 3, 3), m.bias, padding=1, stride=2, groups=2)


def steps_kernel(m: With, x: Tensor) -> Tensor:
    return functional.conv1d(x.flatten(2), m.net(m.code).reshape(6, 8, 3), torch.tanh(m.bias), dilation=2)


def power_mean(m: With, x: Tensor) -> Tensor:
    return x.clamp(min=1e-2).pow(m.p).mean((2, 3)).pow(1 / m.p)


def steps_apart(m: With, x: Tensor) -> Tensor:
    h, apart = tokens(x), torch.arange(36)[:, None] - torch.arange(36) + 35
    return torch.einsum("nqc,qkc->nqk", h, m.table[apart]).softmax(-1) @ h


def hypernetwork(m: With, x: Tensor) -> Tensor:
    return functional.linear(x.flatten(2), m.net(m.code).reshape(7, 36), m.bias)


def by_distance(m: With, x: Tensor) -> Tensor:
    """Rows of a table by the distance of two cells, times queries (Li et al. 2022)."""
    rows = m.table[torch.arange(6)[:, None] - torch.arange(6) + 5]
    return torch.einsum("bchw,hkc->bhwk", x, rows) + torch.einsum("bchw,wkc->bhwk", x, rows)


def windowed(m: With, x: Tensor) -> Tensor:
    """A window of positions beside an enlarged or reduced map of them (Bolya et al. 2023)."""
    smooth = functional.interpolate(m.p, x.shape[2:], mode="bicubic", antialias=True)
    return x + smooth + m.window.tile((x.shape[2] // 3, x.shape[3] // 2))


def tied(m: With, x: Tensor) -> Tensor:
    """An autoencoder whose decoder is its encoder turned."""
    code = torch.tanh(functional.linear(tokens(x), m.weight, m.bias))
    return functional.linear(code, m.weight.T, m.back)


def as_kernel_too(m: With, x: Tensor) -> Tensor:
    """One matrix over maps, over tokens, and turned for a vector."""
    y = torch.tanh(functional.conv2d(x, m.weight[:, :, None, None]))
    return functional.linear(tokens(y), m.weight).mean(1) @ m.weight + functional.linear(
        x.mean((2, 3)), m.weight, m.bias
    )


CASES: dict[str, Callable[[], nn.Module]] = {
    "exp": lambda: With(lambda m, x: x * m.p.exp(), p=some(8, 1, 1)),
    "a number": lambda: With(lambda m, x: torch.tanh(m.p) * x, p=nn.Parameter(torch.tensor(0.3))),
    "gate": lambda: With(lambda m, x: torch.sigmoid(m.p) * x + (1 - torch.sigmoid(m.p)) * torch.tanh(x), p=some(1)),
    "quotient": lambda: With(lambda m, x: x / functional.softplus(m.p), p=some(8, 1, 1)),
    "two parameters": lambda: With(lambda m, x: x * (m.p * m.q), p=some(8, 1, 1), q=some(8, 1, 1)),
    "own length": lambda: With(lambda m, x: x * (m.p / m.p.norm())[:, None, None], p=some(8)),
    "own use too": lambda: With(lambda m, x: x * m.p + m.p.exp(), p=some(8, 1, 1)),
    "running sum": lambda: With(lambda m, x: x.flatten(2) + functional.softplus(m.p).cumsum(0), p=some(36)),
    "choice": lambda: With(lambda m, x: x.flatten(2) + torch.where(torch.arange(36) < 18, m.p.exp(), m.p), p=some(36)),
    "enlarged": lambda: With(lambda m, x: x + functional.interpolate(m.p, (6, 6), mode="bilinear"), p=some(1, 8, 3, 3)),
    "mixture": lambda: With(mixed, w=some(3)),
    "positions": lambda: With(lambda m, x: tokens(x) + m.mlp(m.line), mlp=mlp(1, 8), line=line()),
    "positions, one axis more": lambda: With(lambda m, x: tokens(x) + m.mlp(m.line)[None], mlp=mlp(1, 8), line=line()),
    "positions, repeated": lambda: With(
        lambda m, x: tokens(x) + m.mlp(m.line.expand(len(x), -1, -1)), mlp=mlp(1, 8), line=line()[None]
    ),
    "positions as channels": lambda: With(lambda m, x: x.flatten(2) + m.mlp(m.line).T, mlp=mlp(1, 8), line=line()),
    "table of distances": lambda: With(by_distance, table=some(11, 8)),
    "windowed positions": lambda: With(windowed, p=some(1, 8, 9, 4), window=some(1, 8, 3, 2)),
    "bounds": lambda: With(lambda m, x: torch.minimum(torch.maximum(x, m.p - 0.5), m.q), p=some(8, 1, 1), q=some(6)),
    "a layer's scale of its weight": lambda: With(
        lambda m, x: m.layer(tokens(x)) * torch.sigmoid(m.layer.weight.mean(0)), layer=nn.Linear(8, 8)
    ),
    "tied weights": lambda: With(tied, weight=some(5, 8), bias=some(5), back=some(8)),
    "a matrix, a kernel and turned": lambda: With(as_kernel_too, weight=some(8, 8), bias=some(8)),
    "waves": lambda: With(waves, conv=nn.Conv2d(8, 8, 1)),
    "matrix that repeats": lambda: With(lambda m, x: x.flatten(2) @ m.p.exp().repeat(45).reshape(36, 5), p=some(4)),
    "hypernetwork": lambda: With(hypernetwork, net=nn.Linear(5, 252), code=some(5), bias=some(7)),
    "kernel": lambda: With(kernel, net=nn.Linear(5, 288), code=some(1, 5), bias=some(8)),
    "kernel of steps": lambda: With(steps_kernel, net=nn.Linear(5, 144), code=some(5), bias=some(6)),
    "kernel of one cell": lambda: With(
        lambda m, x: functional.conv2d(x, m.net(m.code).reshape(6, 8, 1, 1)), net=nn.Linear(5, 48), code=some(1, 5)
    ),
    "bias of a convolution": lambda: With(
        lambda m, x: functional.conv2d(x, m.weight, m.bias.exp()), weight=some(6, 8, 3, 3), bias=some(6)
    ),
    "slopes": lambda: With(lambda m, x: functional.prelu(x, m.p.exp()), p=some(8)),
    "exponent": lambda: With(power_mean, p=nn.Parameter(torch.full((1,), 3.0))),
    "gamma of a norm": Root,
    "gamma and beta": lambda: With(
        lambda m, x: functional.layer_norm(tokens(x), (8,), m.p.exp(), torch.tanh(m.q)), p=some(8), q=some(8)
    ),
    "beta": lambda: With(
        lambda m, x: functional.layer_norm(tokens(x), (8,), m.p, torch.tanh(m.q)), p=some(8), q=some(8)
    ),
    "film": lambda: With(film, layer=nn.Linear(6, 16), code=some(1, 6)),
    "embedding": lambda: With(embedded, table=nn.Embedding(36, 8)),
    "token": lambda: With(token, token=some(1, 1, 8), layer=nn.Linear(8, 8), norm=nn.LayerNorm(8)),
    "relative positions": lambda: Relative(absolute=False),
    "distances": lambda: Relative(absolute=True),
    "queries meet a table": lambda: With(steps_apart, table=some(71, 8)),
    "gated positions": Gated,
    "queries": lambda: Reading(True),
    "queries, batch behind": lambda: Reading(False),
    "one query": lambda: Reading(True, 1),
    "parts of a weight": Across,
    "parts of a bias": ByKeys,
    "cleared bias": Cleared,
}


@pytest.mark.parametrize("case", CASES)
def test_steps_are_those_of_pytorch(case: str) -> None:
    torch.manual_seed(4)
    module = Around(CASES[case]())
    assert not from_torch(module, torch.zeros(1, *SHAPE)).untrainable
    check(module, steps=2)


def test_several_threads_and_pruned_layers() -> None:
    torch.manual_seed(5)
    check(Around(Relative(absolute=False)), steps=1, n_threads=3)
    check(Around(Gated()), steps=1, density=0.5)


def kinds(module: nn.Module, trainable: Trainable) -> list[str]:
    graph = graph_of_torch(module, torch.zeros(1, *SHAPE), "test", None, trainable)
    return [op["kind"] for op in prepare(graph, ExportOptions(trainable=trainable), "test").plan["ops"]]


def test_what_does_not_learn_is_computed_at_export() -> None:
    module = Around(CASES["positions"]())
    assert kinds(module, "head") == kinds(module, ["head", "stem"]) == kinds(module, lambda name: "head" in name)
    some_of_it = len(kinds(module, ["head", "function.mlp.2"]))
    assert len(kinds(module, "head")) < some_of_it < len(kinds(module, "all"))
    report = from_torch(module, torch.zeros(1, *SHAPE), trainable=["head", "stem"])
    assert "train all, or name it" in report.untrainable[0].remedy
    assert {blocker.node for blocker in report.untrainable} == {
        f"function.mlp.{k}.{p}" for k in (0, 2) for p in ("weight", "bias")
    }


def test_what_costs_too_much_is_fixed_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops.learned, "MOST_NUMBERS", 500)
    report = from_torch(Around(CASES["positions"]()), torch.zeros(1, *SHAPE))
    assert "function.mlp.0.weight" in {blocker.node for blocker in report.untrainable}
    assert not from_torch(Around(CASES["film"]()), torch.zeros(1, *SHAPE)).untrainable


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: x * torch.sin(m.p),
        lambda m, x: x * torch.floor(m.p).exp(),
        lambda m, x: x * torch.sort(m.p, 0)[0],
    ],
)
def test_operators_that_the_device_lacks_are_computed_at_export(function: Forward) -> None:
    report = from_torch(Around(With(function, p=some(8, 1, 1))), torch.zeros(1, *SHAPE))
    assert [blocker.node for blocker in report.untrainable] == ["function.p"]


def test_a_large_layer_that_reads_the_parameter_too_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its part in the scale is left out, which is said."""
    monkeypatch.setattr("edgecl.export.ops.learned.MOST_TIED", 63)
    report = from_torch(Around(CASES["a layer's scale of its weight"]()), torch.zeros(1, *SHAPE))
    assert [blocker.node for blocker in report.untrainable] == ["function.layer.weight"]
    assert "left out" in report.untrainable[0].reason


def test_an_exponent_of_what_may_be_zero_is_fixed() -> None:
    """Its gradient has the logarithm."""
    module = Around(With(lambda m, x: torch.abs(x) ** m.p, p=nn.Parameter(torch.tensor(3.0))))
    assert [blocker.node for blocker in from_torch(module, torch.zeros(1, *SHAPE)).untrainable] == ["function.p"]


@pytest.mark.parametrize("case", ["gated positions", "positions"])
def test_a_frozen_part_ends_in_one_tensor(case: str) -> None:
    """Which latent replay keeps: constants behind it need nothing of the input."""
    core = pytest.importorskip("edgecl._core")

    class Deeper(Around):
        def __init__(self) -> None:
            super().__init__(CASES[case]())
            self.second = nn.Conv2d(8, 8, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.function(self.second(torch.tanh(self.stem(x)))).flatten(1))

    torch.manual_seed(6)
    report = from_torch(Deeper(), torch.zeros(1, *SHAPE), trainable=["second", "function", "head"])
    sizes = core.Model(data=report.bundle).sizes
    row, latent = (sizes(latent_replay=kept, replay_capacity=100)["replay_bytes"] for kept in (0, 1))
    assert 100 * 4 * (8 * 36 - 2 * 64) <= latent - row <= 100 * 4 * (8 * 36 - 2 * 64) + 64


class Twice(nn.Module):
    """A scale computed from a parameter in front of a layer, and one behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.early, self.second = nn.Conv2d(2, 8, 3, 2), some(8, 1, 1), nn.Conv2d(8, 8, 1)
        self.late, self.head = some(8, 1, 1), nn.Linear(72, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.second(self.stem(x) * self.early.exp()))
        made: Tensor = self.head((x * self.late.exp()).flatten(1))
        return made


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("tail:second", {"second.weight", "second.bias", "late", "head.weight", "head.bias"}),
        ("tail:late", {"late", "head.weight", "head.bias"}),
        ("tail:head", {"head.weight", "head.bias"}),
        ("tail", {"late", "head.weight", "head.bias"}),
    ],
)
def test_tails(choice: str, names: set[str]) -> None:
    module = Twice()
    report = from_torch(module, torch.zeros(1, *SHAPE), trainable=choice)
    assert {layer.name for layer in report.layers if layer.trainable} | {"late"} == {
        name.removesuffix(".weight") for name in names if not name.endswith("bias")
    } | {"late"}
    graph = graph_of_torch(module, torch.zeros(1, *SHAPE), "test", None, choice)
    plan = prepare(graph, ExportOptions(trainable=choice), "test").plan
    assert {record["name"] for record in plan["params"] if record["trainable"]} == names
    fixed = {blocker.node for blocker in report.untrainable}
    assert fixed == {"early", "late"} - names
