"""Layer normalisation and products of two tensors, forward and gradients, against PyTorch autograd in double precision.
Never here: comparisons between levels (kernel_tests does them bit for bit).
"""

import numpy as np
import pytest
from against_torch import BATCHES, F, check, double, gradients, kernels, normal

SHAPES = [(1, 6, 5, 7), (3, 6, 8, 8), (10, 4, 1, 9), (32, 2, 5, 5), (10, 33, 1, 1), (1, 300, 1, 1)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("centred", [True, False])
def test_layer_norm(shape: tuple[int, ...], affine: bool, centred: bool) -> None:
    rng = np.random.default_rng(list(shape))
    x, dy, gamma, beta = normal(rng, *shape), normal(rng, *shape), normal(rng, shape[1]), normal(rng, shape[1])
    given = (gamma, beta) if affine else (None, None)
    y, mean, rstd = kernels.layer_norm_forward(x, *given, centred=centred)
    tx, tg, tb = double(x), double(gamma), double(beta)
    last = tx.permute(0, 2, 3, 1)
    z = F.layer_norm(last, shape[1:2]) if centred else F.rms_norm(last, shape[1:2], eps=1e-5)
    z = (z * tg + tb if affine else z + 0 * (tg + tb)).permute(0, 3, 1, 2)
    n, size = shape[1], (float(np.abs(x).max()) + 1) * float(rstd.max())
    most = float(np.abs(gamma).max()) if affine else 1.0
    check(y, z, 2 * n, size * most + 3)
    dx, dgamma, dbeta = gradients(z, dy, tx, tg, tb)
    got = kernels.layer_norm_backward(x, dy, given[0], mean, rstd, centred=centred)
    terms = np.abs(dy).sum((0, 2, 3), dtype=float)
    check(got[0], dx, 4 * n, most * float(rstd.max()) * (1 + size) ** 2 * float(np.abs(dy).max()))
    if affine:
        check(got[1], dgamma, 3 * n + shape[0], size * terms)
        check(got[2], dbeta, n + dy.size, terms)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("size", [(2, 5, 7, 3), (1, 40, 33, 70), (3, 1, 17, 9), (2, 16, 1, 16)], ids=str)
def test_matmul(batch: int, size: tuple[int, int, int, int]) -> None:
    heads, m, n, k = size
    rng = np.random.default_rng([batch, m, n])
    a, b, dy = normal(rng, batch, heads, m, k), normal(rng, batch, heads, k, n), normal(rng, batch, heads, m, n)
    ta, tb = double(a), double(b)
    y = 0.3 * (ta @ tb)
    bound = 0.3 * (np.abs(a) @ np.abs(b))
    turned_a, turned_b = np.ascontiguousarray(a.swapaxes(2, 3)), np.ascontiguousarray(b.swapaxes(2, 3))
    for found in (
        kernels.matmul(a, b, scale=0.3),
        kernels.matmul(turned_a, b, transpose_a=True, scale=0.3),
        kernels.matmul(a, turned_b, transpose_b=True, scale=0.3),
    ):
        check(found, y, k, bound)
    da, db = gradients(y, dy, ta, tb)
    check(kernels.matmul(dy, b, transpose_b=True, scale=0.3), da, n, 0.3 * np.abs(dy) @ np.abs(b).swapaxes(2, 3))
    check(kernels.matmul(a, dy, transpose_a=True, scale=0.3), db, m, 0.3 * np.abs(a).swapaxes(2, 3) @ np.abs(dy))
