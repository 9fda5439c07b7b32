"""Moments, covariance, Cholesky factor and solutions against NumPy and SciPy.
Never here: comparisons between levels (kernel_tests does them bit for bit), and what heads make of the results.
"""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

kernels = pytest.importorskip("edgecl_kernels", reason="edgecl_kernels is not built here (tools/setup)")
linalg = pytest.importorskip("scipy.linalg", reason="SciPy is the oracle of these tests")

SIZES = [1, 5, 8, 13, 64, 100, 200, 513]
LIMIT = 16383  # of a quantised value
UNIT_ROUNDOFF = 2.0**-53  # of float64, round to nearest
Array = NDArray[Any]


def packed(matrix: Array) -> Array:
    """The packed triangle of a symmetric matrix."""
    d = len(matrix)
    places = kernels.triangle_places(d)
    triangle = np.zeros(8 * sum(d - 8 * p for p in range((d + 7) // 8)), matrix.dtype)
    triangle[places] = matrix[np.tril_indices(d)]
    return triangle


def lower(triangle: Array, d: int) -> Array:
    """The lower triangle as a matrix; what is no entry of it must be zero."""
    places = kernels.triangle_places(d)
    matrix = np.zeros((d, d), triangle.dtype)
    matrix[np.tril_indices(d)] = triangle[places]
    padding = np.ones(triangle.size, bool)
    padding[places] = False
    assert not np.any(triangle[padding])
    return matrix


def scatter(rng: np.random.Generator, d: int) -> Array:
    """A covariance as embeddings have it: eigenvalues over two powers of ten."""
    x = rng.standard_normal((2 * d + 5, d)) * np.logspace(0, -1, d)
    return x.T @ x / len(x)


def test_places_are_those_of_panels() -> None:
    """Panels of eight columns, one behind the other; a row of a panel is eight values."""
    d = 11
    i, j = np.tril_indices(d)
    start = np.where(j < 8, 0, 8 * d)
    np.testing.assert_array_equal(kernels.triangle_places(d), start + 8 * (i - j // 8 * 8) + j % 8)


@pytest.mark.parametrize("d", SIZES)
def test_quantize_rows(d: int) -> None:
    rng = np.random.default_rng(d)
    x = rng.standard_normal((5, d)).astype(np.float32) * np.array([[1e-3], [1], [3], [30], [1e30]], np.float32)
    x[0] = np.round(x[0] * 4096) / 4096  # halves of a unit
    scale = np.float32(2048)
    whole = np.rint(x * scale)
    q, saturated = kernels.quantize_rows(x, float(scale))
    np.testing.assert_array_equal(q, np.clip(whole, -LIMIT, LIMIT))
    np.testing.assert_array_equal(saturated, np.sum(np.abs(whole) > LIMIT, axis=1))


@pytest.mark.parametrize("d", SIZES)
@pytest.mark.parametrize("n", [1, 3, 8, 16, 17, 32])
def test_moments_are_exact(d: int, n: int) -> None:
    rng = np.random.default_rng([d, n])
    q = rng.choice([-LIMIT, LIMIT, 0, 1], (n, d)) if n == 32 else rng.integers(-LIMIT, LIMIT, (n, d), endpoint=True)
    more = rng.integers(-LIMIT, LIMIT, (4, d), endpoint=True)
    before = more.T @ more
    start = packed(before)
    after = kernels.moments_update(start, q)
    np.testing.assert_array_equal(lower(after, d), np.tril(before + q.T @ q))
    np.testing.assert_array_equal(kernels.moments_update(after, q, subtract=True), start)


@pytest.mark.parametrize("d", SIZES)
def test_order_of_rows_and_devices_does_not_matter(d: int) -> None:
    rng = np.random.default_rng(d)
    rows = rng.integers(-LIMIT, LIMIT, (48, d), endpoint=True)
    empty = np.zeros_like(packed(np.zeros((d, d), np.int64)))
    together = kernels.moments_update(kernels.moments_update(empty, rows[:32]), rows[32:])
    there = kernels.moments_update(empty, rng.permutation(rows[30:]))
    here = empty
    for row in rows[:30]:
        here = kernels.moments_update(here, row[None], n_parts=2)
    np.testing.assert_array_equal(here + there, together)


@pytest.mark.parametrize("d", SIZES)
@pytest.mark.parametrize("k", [0, 1, 9, 130])
def test_covariance(d: int, k: int) -> None:
    rng = np.random.default_rng([d, k])
    counts = rng.integers(1, 9, k)
    rows = [rng.integers(-LIMIT, LIMIT, (n, d), endpoint=True) for n in counts]
    sums = np.array([r.sum(axis=0) for r in rows], np.int64).reshape(k, d)
    moments = sum((r.T @ r for r in rows), np.zeros((d, d), np.int64))
    got = kernels.moments_to_covariance(packed(moments), sums, 1 / counts, alpha=0.9, ridge=2.5)
    terms = np.einsum("v,vi,vj->vij", 1 / counts, sums, sums)
    want = 0.9 * moments - terms.sum(axis=0) + 2.5 * np.eye(d)
    # Higham (2002), 3.1: a chain of k rounded terms errs by at most (k + few) u times the sum of their magnitudes.
    bound = (2 * k + 8) * UNIT_ROUNDOFF * (np.abs(moments) + np.abs(terms).sum(axis=0) + 2.5)
    assert np.all(np.abs(lower(got, d) - np.tril(want)) <= bound)


@pytest.mark.parametrize("d", SIZES)
@pytest.mark.parametrize("n_parts", [1, 3])
def test_cholesky_factor(d: int, n_parts: int) -> None:
    matrix = scatter(np.random.default_rng(d), d)
    factor, failed = kernels.cholesky_factor(packed(matrix), d, n_parts=n_parts)
    want = linalg.cholesky(matrix, lower=True)
    assert failed == -1
    assert np.max(np.abs(lower(factor, d) - want)) <= 1e-12 * np.max(np.abs(want))


@pytest.mark.parametrize("d", [1, 8, 100, 200])
def test_a_pivot_that_is_too_small_is_named(d: int) -> None:
    matrix = scatter(np.random.default_rng(d), d)
    pivots = np.diag(linalg.cholesky(matrix, lower=True)) ** 2
    assert kernels.cholesky_factor(packed(matrix), d, floor=0.999 * pivots.min())[1] == -1
    floor = 1.001 * np.median(pivots)
    assert kernels.cholesky_factor(packed(matrix), d, floor=floor)[1] == np.flatnonzero(pivots <= floor)[0]
    matrix[-1, -1] -= pivots[-1] * (1 + 1e-9)
    assert kernels.cholesky_factor(packed(matrix), d)[1] == d - 1
    matrix[d // 2, d // 2] = -1.0
    assert kernels.cholesky_factor(packed(matrix), d, n_parts=2)[1] == d // 2


@pytest.mark.parametrize("d", SIZES)
@pytest.mark.parametrize("columns", [1, 10, 50])
def test_cholesky_solve(d: int, columns: int) -> None:
    rng = np.random.default_rng([d, columns])
    matrix, b = scatter(rng, d), rng.standard_normal((d, columns))
    factor, _ = kernels.cholesky_factor(packed(matrix), d)
    got = kernels.cholesky_solve(factor, b, n_parts=2)
    # Higham (2002), 10.1: the residual is at most about 3 d u |L||L^T| |w|, normwise d times that of the matrix.
    scale = np.abs(matrix).sum(axis=1).max() * np.abs(got).max()
    assert np.max(np.abs(matrix @ got - b)) <= 4 * d * UNIT_ROUNDOFF * d**0.5 * scale
    want = linalg.cho_solve((linalg.cholesky(matrix, lower=True), True), b)
    assert np.max(np.abs(got - want)) <= 1e-11 * np.max(np.abs(want))
    half = kernels.cholesky_solve(factor, b, forward_only=True)
    want = linalg.solve_triangular(lower(factor, d), b, lower=True)
    assert np.max(np.abs(half - want)) <= 1e-12 * np.max(np.abs(want))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kernels.quantize_rows(np.array([[np.nan]], np.float32), 1.0), "NaN"),
        (lambda: kernels.moments_update(np.zeros(8, np.int64), np.zeros((33, 1), np.int16)), "32 rows"),
        (lambda: kernels.moments_update(np.zeros(8, np.int64), np.array([[16384]])), "16384"),
        (lambda: kernels.moments_update(np.zeros(9, np.int64), np.array([[1]])), "moments of shape"),
        (lambda: kernels.moments_to_covariance(np.zeros(8, int), np.zeros((1, 1), int), np.zeros(2)), "weight"),
        (lambda: kernels.moments_to_covariance(np.zeros(8, int), np.zeros((0, 1), int), np.zeros(0), -1.0), "alpha"),
        (lambda: kernels.cholesky_factor(np.zeros(8), 2), "matrix of shape"),
        (lambda: kernels.cholesky_factor(np.ones(8), 1, -1.0), "floor"),
        (lambda: kernels.cholesky_solve(np.ones(8), np.zeros((2, 1))), "factor of shape"),
        (lambda: kernels.triangle_places(0), "features"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
