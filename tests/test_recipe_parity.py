"""Each learning method gives PyTorch's loss and PyTorch's update, from the same weights, samples and replay slots.

Never here: long runs and accuracy (tools/bench/parity_trajectory.py, accuracy.py).
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
METHODS = ("er", "er_ace", "derpp")


@pytest.fixture(scope="module")
def parity() -> ModuleType:
    pytest.importorskip("torch", reason="PyTorch is the reference")
    path = ROOT / "tools/bench/parity_trajectory.py"
    spec = importlib.util.spec_from_file_location("parity_trajectory", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("density", [1.0, 0.1])
@pytest.mark.parametrize("method", METHODS)
def test_mlp_for_200_steps(parity: ModuleType, method: str, density: float) -> None:
    case = parity.Case("mlp", method, density)
    case = parity.run(case, steps=200, batch=10, seed=3, momentum=0.9, learning_rate=0.003)
    print(case)
    assert case.free < parity.TOLERANCE and case.synced < parity.TOLERANCE
    assert case.final_loss > 0, "a loss of exactly zero would prove nothing"


@pytest.mark.slow
@pytest.mark.parametrize(("method", "density"), [("er_ace", 1.0), ("derpp", 0.1)])
def test_resnet_losses_for_a_few_steps(parity: ModuleType, method: str, density: float) -> None:
    """Before a step, PyTorch takes over the runtime's weights: batch-norm nets part ways by rounding alone."""
    case = parity.Case("resnet18-nf20", method, density)
    case = parity.run(case, steps=4, batch=10, seed=3, momentum=0.9, learning_rate=0.003)
    print(case)
    assert case.synced < parity.TOLERANCE


@pytest.mark.parametrize(("batch", "seed"), [(1, 1), (10, 10), (20, 101), (32, 100)])
@pytest.mark.parametrize("density", [1.0, 0.1])
def test_resnet_update_of_every_parameter(parity: ModuleType, density: float, batch: int, seed: int) -> None:
    """One step: each parameter moves as in PyTorch (float64), within a hundredth of its largest movement.

    A wrong gradient anywhere is a share of that movement of order one. The seeds are such that no pre-activation lies
    so close to zero that rounding decides over a ReLU; the runtime's side of it is the same bits on every machine.
    """
    import torch
    from edgecl import _core, export
    from edgecl.cli.models import BUILT_IN

    torch.manual_seed(2)
    module = BUILT_IN["resnet18-nf20"].build((3, 32, 32), 10)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, 3, 32, 32), dtype=np.float32)
    y = rng.integers(0, 10, batch).astype(np.int32)
    recipe = export.Recipe(method="finetune", learning_rate=0.003, batch_size=batch)
    report = export.from_torch(module, torch.zeros(1, 3, 32, 32), density=density, classes=10, recipe=recipe)
    model = _core.Model(data=report.bundle)
    session = _core.Session(model)
    layers = model.layers()
    masks = parity.masks_of(session, layers, module)
    twin = parity.TorchRecipe(module.double(), "er", 0.003, masks=masks)
    turned = {layer["name"] for layer in layers if len(layer["dims"]) == 2 and not layer["sparse"]}

    before = session.parameters()
    ours = session.learn(x, y)["loss"]
    theirs = twin.step(torch.from_numpy(x).double(), y, np.zeros(0, np.int64))
    assert ours == pytest.approx(theirs, rel=1e-5)
    after = session.parameters()
    errors = {}
    for name, parameter in twin.module.named_parameters():
        moved = after[name] - before[name].astype(np.float64)
        wanted = parameter.detach().numpy().reshape(moved.T.shape if name in turned else moved.shape)
        wanted = (wanted.T if name in turned else wanted) - before[name]
        errors[name] = np.abs(moved - wanted).max() / np.abs(wanted).max()
    worst = max(errors, key=lambda name: errors[name])
    print(f"worst {worst}: {errors[worst]:.1e}")
    assert errors[worst] < 1e-2, {name: f"{e:.1e}" for name, e in errors.items() if e > 1e-3}
