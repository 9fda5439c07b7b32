"""Each learning method gives PyTorch's loss at every step, from the same weights, samples and replay slots.

Never here: long runs and accuracy (tools/bench/parity_trajectory.py, parity_statistics.py).
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

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
    case = parity.run(
        parity.Case("mlp", method, density), steps=200, batch=10, seed=3, momentum=0.9, learning_rate=0.003
    )
    print(case)
    assert case.free < parity.TOLERANCE and case.synced < parity.TOLERANCE
    assert case.final_loss > 0, "a loss of exactly zero would prove nothing"


@pytest.mark.parametrize(("method", "density"), [("er_ace", 1.0), ("derpp", 0.1)])
def test_resnet_for_a_few_steps(parity: ModuleType, method: str, density: float) -> None:
    """Before a step, PyTorch takes over the runtime's weights: batch-norm nets part ways by rounding alone."""
    case = parity.run(
        parity.Case("resnet18-nf20", method, density), steps=5, batch=10, seed=3, momentum=0.9, learning_rate=0.003
    )
    print(case)
    assert case.synced < parity.TOLERANCE
    assert case.free < 10 * parity.TOLERANCE
