"""What the tests of kernels against PyTorch share: the oracle, and the bound that an error has to keep.
Never here: tests.
"""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")
kernels = pytest.importorskip("edgecl_kernels", reason="edgecl_kernels is not built here (tools/setup)")
F = torch.nn.functional

Floats = NDArray[np.float32]
UNIT_ROUNDOFF = 2.0**-24  # of float32, round to nearest
BATCHES = [1, 3, 10, 32]


def tolerance(n_accumulated: int, magnitude: float) -> float:
    """Largest error that a float32 result may have: (n + 8) u sum|terms|.

    Higham, Accuracy and Stability of Numerical Algorithms (2002), 3.1 and 4.2: a sum or dot product of n rounded
    terms, in any order, is wrong by at most gamma_n * sum|terms| with gamma_n about n u; a chain of fused
    multiply-adds is no worse. `magnitude` is a bound of sum|terms|. The 8 covers the few operations around the sum
    (scale, shift, activation, division), each one rounding.
    """
    return (n_accumulated + 8) * UNIT_ROUNDOFF * magnitude


def check(got: Floats, want: Any, n_accumulated: int, magnitude: Any) -> None:
    """Compares element by element; magnitude is a number or an array like want."""
    expected = np.asarray(want.detach().numpy() if isinstance(want, torch.Tensor) else want, dtype=np.float64)
    size = np.asarray(magnitude.detach().numpy() if isinstance(magnitude, torch.Tensor) else magnitude)
    bound = tolerance(n_accumulated, 1.0) * size
    assert got.dtype == np.float32
    assert got.shape == expected.shape
    error = np.abs(got - expected)
    worst = np.max(error - bound) if error.size else 0.0
    assert worst <= 0.0, f"error {np.max(error):.3g} beyond the derived bound by {worst:.3g}"


def normal(rng: np.random.Generator, *shape: int) -> Floats:
    return rng.standard_normal(shape).astype(np.float32)


def double(a: Floats) -> Any:
    return torch.tensor(a, dtype=torch.float64, requires_grad=True)


def gradients(output: Any, dy: Floats, *inputs: Any) -> tuple[Any, ...]:
    return tuple(torch.autograd.grad(output, inputs, torch.tensor(dy, dtype=torch.float64)))
