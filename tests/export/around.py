# A function between a convolution and a classifier: its outputs and training steps in the plan and on the device
# against PyTorch.
# Never here: functions that are tested.
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from edgecl.export import Recipe
from edgecl.export.options import ExportOptions
from edgecl.export.pipeline import prepare
from edgecl.export.torch_front import from_torch, graph_of_torch
from oracle import largest_difference, masked, sgd_step
from plan_interpreter import PlanInterpreter
from torch import Tensor, nn

SHAPE = (2, 8, 8)
Function = Callable[[Tensor], Tensor]


class Around(nn.Module):
    """A convolution to maps of 8 x 6 x 6, the function under test, and a classifier."""

    def __init__(self, function: Function | nn.Module) -> None:
        super().__init__()
        self.function = function
        self.stem = nn.Conv2d(2, 8, 3)
        with torch.no_grad():
            size = function(torch.ones(1, 8, 6, 6)).numel()
        self.head = nn.Linear(size, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.function(self.stem(x)).flatten(1))


def plan_of(module: nn.Module, density: float = 1.0) -> dict[str, Any]:
    options = ExportOptions(density=density)
    return prepare(graph_of_torch(module, torch.zeros(1, *SHAPE), "test"), options, "test").plan


def check(module: nn.Module, steps: int = 1, *, density: float = 1.0, n_threads: int = 1) -> None:
    """Outputs and steps: the plan in double, the device in float32; what is pruned stays so."""
    core = pytest.importorskip("edgecl._core")
    recipe = Recipe(method="finetune", learning_rate=0.1, replay_capacity=0, replay_batch=0, batch_size=16)
    report = from_torch(module, torch.zeros(1, *SHAPE), recipe=recipe, density=density)
    plan = plan_of(module, density)
    generator = torch.Generator().manual_seed(3)
    for n in (16, 5):
        rows, labels = torch.randn(n, *SHAPE, generator=generator), torch.randint(0, 4, (n,), generator=generator)
        session = core.Session(core.Model(data=report.bundle), n_threads=n_threads, max_batch=16)
        twin = masked(module, plan)
        interpreter = PlanInterpreter(plan)
        with torch.no_grad():
            expected = twin.eval()(rows.double())
        assert torch.allclose(interpreter.forward(rows, learn=False), expected, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(session.logits(rows.numpy()), expected.numpy(), rtol=1e-4, atol=1e-4)
        for _ in range(steps):
            gradient = sgd_step(twin, rows, labels, 0.1)
            twin = masked(twin, plan)
            interpreter.forward(rows, learn=True)
            interpreter.backward(gradient)
            interpreter.step(0.1, n)
            session.learn(rows.numpy(), labels.numpy().astype(np.int32))
            for parameters, bound in ((interpreter.parameters(), 1e-6), (session.parameters(), 1e-4)):
                worst, names = largest_difference(parameters, plan, twin)
                assert worst < bound and {"stem.weight", "head.weight"} <= set(names)
                assert set(dict(module.named_parameters())) <= set(names)
