# Weights that PyTorch computes from others in each pass: plain parameters in the bundle, and the module as it was.
# Never here: weights that a module's forward computes (test_untrainable.py).
from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import pytest
import torch
from around import Around, check
from edgecl.export.torch_front import from_torch
from edgecl.export.torch_weights import with_plain_weights
from torch import nn
from torch.nn.utils import parametrizations, prune


def old(name: str) -> Callable[[nn.Module], nn.Module]:
    def make(layer: nn.Module) -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            made: nn.Module = getattr(nn.utils, name)(layer)
        return made

    return make


def pruned(layer: nn.Module) -> nn.Module:
    prune.l1_unstructured(layer, "weight", 0.5)
    prune.random_unstructured(layer, "weight", 0.5)
    return layer


KINDS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "weight_norm": parametrizations.weight_norm,
    "spectral_norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "old weight_norm": old("weight_norm"),
    "old spectral_norm": old("spectral_norm"),
    "pruning": pruned,
}


@pytest.mark.parametrize("kind", KINDS)
def test_computed_weights_become_plain_and_the_module_stays(kind: str) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(KINDS[kind](nn.Conv1d(3, 4, 3)), nn.ReLU(), KINDS[kind](nn.Conv1d(4, 4, 3))).eval()
    rows, names = torch.randn(2, 3, 16), [name for name, _ in module.named_parameters()]
    before = module(rows)
    plain, notes = with_plain_weights(module)
    assert sorted(name for name, _ in plain.named_parameters()) == ["0.bias", "0.weight", "2.bias", "2.weight"]
    assert torch.equal(plain(rows), before)
    assert len(notes) == 1 and "0.weight, 2.weight" in notes[0]
    with torch.no_grad():
        plain.get_parameter("0.weight").add_(1)
    assert torch.equal(module(rows), before)
    assert [name for name, _ in module.named_parameters()] == names


def test_recurrent_layers() -> None:
    torch.manual_seed(2)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = parametrizations.weight_norm(nn.GRU(3, 5, batch_first=True), "weight_hh_l0")
            self.head = nn.Linear(5, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.as_tensor(self.head(self.rnn(x)[0][:, -1]))

    module = Net().eval()
    plain, notes = with_plain_weights(module)
    rows = torch.randn(4, 7, 3)
    assert torch.equal(plain(rows), module(rows)) and "rnn.weight_hh_l0" in notes[0]
    with torch.no_grad():
        plain.get_parameter("rnn.weight_hh_l0").mul_(3)
    assert not torch.equal(plain(rows), module(rows))
    assert not from_torch(module, torch.zeros(1, 7, 3)).untrainable


def test_plain_modules_are_not_copied() -> None:
    module = nn.Linear(3, 3)
    assert with_plain_weights(module) == (module, [])


def test_what_is_frozen_stays_so() -> None:
    layer = parametrizations.weight_norm(nn.Linear(3, 3))
    layer.requires_grad_(False)
    assert not with_plain_weights(layer)[0].get_parameter("weight").requires_grad


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_of_the_plain_weights(kind: str) -> None:
    torch.manual_seed(1)
    module = Around(nn.Sequential(KINDS[kind](nn.Conv2d(8, 8, 3)), nn.Tanh())).eval()
    report = from_torch(module, torch.zeros(1, 2, 8, 8))
    assert any("is left out: function.0.weight" in note for note in report.notes)
    assert not report.untrainable
    check(copy.deepcopy(with_plain_weights(module)[0]), 2)
