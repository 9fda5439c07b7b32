# Transposed convolutions that learn: outputs, and those after steps, against PyTorch.
# Never here: those with fixed weights (test_views.py, test_untrainable.py).
from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from edgecl.export import Recipe
from edgecl.export.torch_front import from_torch
from torch import nn

RATE, ROWS = 0.1, 8
LAYERS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "kernel of a stride": (nn.ConvTranspose2d, {"kernel_size": 2, "stride": 2}),
    "two strides, cut": (nn.ConvTranspose2d, {"kernel_size": 4, "stride": 2, "padding": 1}),
    "without bias": (nn.ConvTranspose2d, {"kernel_size": 4, "stride": 2, "padding": 2, "bias": False}),
    "in groups": (nn.ConvTranspose2d, {"kernel_size": (3, 2), "stride": (3, 1), "groups": 2}),
    "padding of the output": (nn.ConvTranspose2d, {"kernel_size": 6, "stride": 3, "output_padding": 2, "padding": 1}),
    "stride 1": (nn.ConvTranspose2d, {"kernel_size": 3, "padding": 1}),
    "line": (nn.ConvTranspose1d, {"kernel_size": 4, "stride": 2, "padding": 1}),
}


@pytest.mark.parametrize("name", LAYERS)
def test_steps_are_those_of_pytorch(name: str) -> None:
    core = pytest.importorskip("edgecl._core")
    torch.manual_seed(3)
    kind, given = LAYERS[name]
    line = kind is nn.ConvTranspose1d
    shape = (2, 9) if line else (2, 7, 6)
    front = nn.Conv1d(2, 4, 3) if line else nn.Conv2d(2, 4, 3)
    module = nn.Sequential(front, nn.Tanh(), kind(4, 6, **given), nn.Tanh(), nn.Flatten(), nn.LazyLinear(3))
    module(torch.zeros(1, *shape))
    recipe = Recipe(method="finetune", learning_rate=RATE, replay_capacity=0, replay_batch=0, batch_size=ROWS)
    report = from_torch(module, torch.zeros(1, *shape), recipe=recipe)
    assert not report.untrainable
    assert any("'2.weight' of a transposed convolution lies" in note for note in report.notes)
    rows, labels = torch.randn(ROWS, *shape), torch.arange(ROWS) % 3
    session = core.Session(core.Model(data=report.bundle), max_batch=ROWS)
    twin = copy.deepcopy(module).double()
    before = twin.get_parameter("2.weight").detach().clone()
    optimiser = torch.optim.SGD(twin.parameters(), lr=RATE)
    for _ in range(3):
        optimiser.zero_grad()
        nn.functional.cross_entropy(twin(rows.double()), labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        session.learn(rows.numpy(), labels.numpy().astype(np.int32))
    assert (twin.get_parameter("2.weight") - before).abs().max() > 1e-3
    with torch.no_grad():
        np.testing.assert_allclose(session.logits(rows.numpy()), twin(rows.double()).numpy(), rtol=1e-4, atol=1e-5)
