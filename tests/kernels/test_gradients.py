"""Every kernel, forward and gradients, against PyTorch autograd in double precision.
Never here: comparisons between levels (kernel_tests does them bit for bit), and tuned tolerances.
"""

import itertools
from typing import Any

import numpy as np
import pytest
from against_torch import BATCHES, F, Floats, check, double, gradients, kernels, normal, torch

# batch, in, out, height, width, kernel, stride, padding, dilation, groups
CONVOLUTIONS = [
    (3, 5, (7, 9), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (8, 6, (5, 5), (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (4, 7, (8, 8), (3, 3), (2, 2), (1, 1), (1, 1), 1),
    (3, 4, (11, 9), (7, 7), (2, 2), (3, 3), (1, 1), 1),
    (4, 4, (9, 9), (3, 3), (1, 1), (2, 2), (2, 2), 1),
    (6, 4, (6, 7), (3, 3), (1, 1), (1, 1), (1, 1), 2),
    (8, 8, (7, 7), (3, 3), (2, 2), (1, 1), (1, 1), 8),
    (4, 12, (5, 6), (3, 3), (1, 1), (1, 1), (1, 1), 4),
    (5, 3, (1, 33), (1, 5), (1, 2), (0, 2), (1, 1), 1),
    (3, 6, (6, 6), (2, 2), (3, 3), (0, 0), (1, 1), 1),
    (70, 40, (4, 4), (3, 3), (1, 1), (1, 1), (1, 1), 1),
]
Convolution = tuple[int, int, tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int], int]


# Sparse convolutions have one group.
DENSE_AND_SPARSE = [
    (shape, density) for shape in CONVOLUTIONS for density in (None, 0.15, 0.6) if not density or shape[-1] == 1
]


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("shape", "density"), DENSE_AND_SPARSE, ids=str)
def test_convolution(batch: int, shape: Convolution, density: float | None) -> None:
    n_in, n_out, size, kernel, stride, padding, dilation, groups = shape
    rng = np.random.default_rng([batch, n_in, n_out])
    x, bias = normal(rng, batch, n_in, *size), normal(rng, n_out)
    weight = normal(rng, n_out, n_in // groups, *kernel)
    window = {"stride": stride, "padding": padding, "dilation": dilation}
    pattern = np.ones(weight.shape, bool) if density is None else rng.random(weight.shape) < density
    weight[~pattern] = 0.0
    tx, tw, tb = double(x), double(weight), double(bias)
    ty = F.conv2d(tx, tw, tb, groups=groups, **window)
    dy = normal(rng, *ty.shape)
    dx, dw, db = gradients(ty, dy, tx, tw, tb)
    # The same sums of absolute values bound the terms.
    ax, aw, ab = double(np.abs(x)), double(np.abs(weight)), double(np.abs(bias))
    ay = F.conv2d(ax, aw, ab, groups=groups, **window)
    mx, mw, mb = gradients(ay, np.abs(dy), ax, aw, ab)
    n_forward, n_back = weight[0].size + 1, n_out // groups * kernel[0] * kernel[1]
    n_positions = batch * dy.shape[2] * dy.shape[3]
    before = normal(rng, *x.shape)
    if density is None:
        y = kernels.conv_forward(x, weight, bias, groups=groups, **window)
        got_dx = kernels.conv_backward_data(dy, weight, size, groups=groups, **window)
        added = kernels.conv_backward_data(dy, weight, size, before, groups=groups, **window)
        got_dw, got_db = kernels.conv_backward_weight(x, dy, kernel, groups=groups, **window)
    else:
        y = kernels.sparse_conv_forward(x, weight, pattern, bias, **window)
        got_dx = kernels.sparse_conv_backward_data(dy, weight, pattern, size, **window)
        added = kernels.sparse_conv_backward_data(dy, weight, pattern, size, before, **window)
        values, got_db = kernels.sparse_conv_backward_weight(x, dy, pattern, **window)
        got_dw = np.zeros(weight.shape, np.float32)
        got_dw[pattern] = values
        selected = rng.random(values.size) < 0.5
        some, _ = kernels.sparse_conv_backward_weight(x, dy, pattern, selected, **window)
        np.testing.assert_array_equal(some, np.where(selected, values, np.float32(0)))
        dw, mw = dw * torch.tensor(pattern), mw * torch.tensor(pattern)
    check(y, ty, n_forward, ay)
    check(got_dx, dx, n_back, mx)
    np.testing.assert_array_equal(added, before + got_dx)
    check(got_dw, dw, n_positions, mw)
    check(got_db, db, n_positions, mb)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("sizes", [(1, 1), (7, 5), (64, 10), (130, 33), (16, 100)], ids=str)
@pytest.mark.parametrize("density", [None, 0.1, 0.5])
def test_linear(batch: int, sizes: tuple[int, int], density: float | None) -> None:
    n_in, n_out = sizes
    rng = np.random.default_rng([batch, n_in, n_out])
    x, bias, weight, dy = (
        normal(rng, batch, n_in),
        normal(rng, n_out),
        normal(rng, n_out, n_in),
        normal(rng, batch, n_out),
    )
    pattern = np.ones(weight.shape, bool) if density is None else rng.random(weight.shape) < density
    weight[~pattern] = 0.0
    x64, w64, d64 = x.astype(float), weight.astype(float), dy.astype(float)
    if density is None:
        y = kernels.linear_forward(x, weight.T, bias)
        dx = kernels.linear_backward_data(dy, weight.T)
        transposed, db = kernels.linear_backward_weight(x, dy)
        dw = transposed.T
    else:
        y = kernels.sparse_linear_forward(x, weight, pattern, bias)
        dx = kernels.sparse_linear_backward_data(dy, weight, pattern)
        values, db = kernels.sparse_linear_backward_weight(x, dy, pattern)
        dw = np.zeros(weight.shape, np.float32)
        dw[pattern] = values
    check(y, x64 @ w64.T + bias, n_in + 1, np.abs(x64) @ np.abs(w64).T + np.abs(bias))
    check(dx, d64 @ w64, n_out, np.abs(d64) @ np.abs(w64))
    check(dw, np.where(pattern, d64.T @ x64, 0.0), batch, np.abs(d64).T @ np.abs(x64))
    check(db, d64.sum(0), batch, np.abs(d64).sum(0))


NORM_SHAPES = [(1, 6, 5, 7), (3, 6, 8, 8), (10, 4, 1, 9), (32, 2, 5, 5), (10, 6, 1, 1)]


def normalised_magnitude(x: Floats, rstd: Floats) -> float:
    """A bound of |x| and of |x - mean|, each times rstd: the terms of the statistics and of the normalised values."""
    return float(np.max(np.abs(x)) * np.max(rstd)) * 2 + 1


@pytest.mark.parametrize("shape", NORM_SHAPES, ids=str)
@pytest.mark.parametrize("activation", ["none", "relu", ("clip", -0.5, 1.0)], ids=str)
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("with_residual", [False, True])
def test_batch_norm(shape: tuple[int, ...], activation: Any, frozen: bool, with_residual: bool) -> None:
    rng = np.random.default_rng(list(shape))
    channels = shape[1]
    x, gamma, beta = normal(rng, *shape), normal(rng, channels), normal(rng, channels)
    residual = normal(rng, *shape) if with_residual else None
    dy = normal(rng, *shape)
    given_mean, given_rstd = normal(rng, channels), rng.uniform(0.5, 2, channels).astype(np.float32)
    mean, rstd = (given_mean, given_rstd) if frozen else (None, None)
    y, used_mean, used_rstd, variance = kernels.batch_norm_forward(
        x, gamma, beta, mean, rstd, residual=residual, activation=activation
    )
    tx, tg, tb = double(x), double(gamma), double(beta)
    tr = double(residual if residual is not None else np.zeros(shape, np.float32))
    if frozen:
        tm, ts = (torch.tensor(v.astype(float)).view(1, -1, 1, 1) for v in (given_mean, given_rstd))
    else:
        tm = tx.mean((0, 2, 3), keepdim=True)
        ts = (tx.var((0, 2, 3), unbiased=False, keepdim=True) + 1e-5).rsqrt()
    z = (tx - tm) * ts * tg.view(1, -1, 1, 1) + tb.view(1, -1, 1, 1) + tr
    clipped = z if activation == "none" else torch.relu(z) if activation == "relu" else torch.clamp(z, -0.5, 1.0)
    n = x.size // channels
    magnitude = normalised_magnitude(x, used_rstd) * float(np.max(np.abs(gamma))) + 3
    # Mean and variance carry an error of n u each into every value.
    check(y, clipped, 2 * n, magnitude)
    check(used_mean, tm.flatten(), n, float(np.max(np.abs(x))))
    if variance is not None and n > 1:
        check(variance, tx.var((0, 2, 3), unbiased=True), 2 * n, float(np.max(np.abs(x))) ** 2)
    got = kernels.batch_norm_backward(x, y, dy, gamma, used_mean, used_rstd, frozen, activation=activation)
    # The activation's mask is read from y: near its corners float32 and float64 may differ, so the oracle takes y's.
    mask = np.ones(shape, bool) if activation == "none" else y > 0 if activation == "relu" else (y > -0.5) & (y < 1.0)
    dz = np.where(mask, dy, np.float32(0))
    dx, dgamma, dbeta = gradients(z, dz, tx, tg, tb)
    size = normalised_magnitude(x, used_rstd)
    terms = np.abs(dz).sum((0, 2, 3), dtype=float)
    check(got[0], dx, 4 * n, float(np.max(np.abs(gamma * used_rstd))) * (1 + size) ** 2 * float(np.max(np.abs(dy))))
    check(got[1], dgamma, 3 * n, size * terms)
    check(got[2], dbeta, n, terms)
    np.testing.assert_array_equal(got[3], dz)


@pytest.mark.parametrize("shape", NORM_SHAPES, ids=str)
@pytest.mark.parametrize("n_groups", [1, 2])
@pytest.mark.parametrize("activation", ["none", "relu"])
def test_group_norm(shape: tuple[int, ...], n_groups: int, activation: str) -> None:
    rng = np.random.default_rng(list(shape))
    x, gamma, beta, dy = normal(rng, *shape), normal(rng, shape[1]), normal(rng, shape[1]), normal(rng, *shape)
    y, mean, rstd = kernels.group_norm_forward(x, gamma, beta, n_groups, activation=activation)
    tx, tg, tb = double(x), double(gamma), double(beta)
    z = F.group_norm(tx, n_groups, tg, tb, 1e-5)
    n = x[0].size // n_groups
    size = normalised_magnitude(x, rstd)
    check(y, torch.relu(z) if activation == "relu" else z, 2 * n, size * float(np.max(np.abs(gamma))) + 3)
    dz = np.where(y > 0, dy, np.float32(0)) if activation == "relu" else dy
    dx, dgamma, dbeta = gradients(z, dz, tx, tg, tb)
    got = kernels.group_norm_backward(x, y, dy, gamma, n_groups, mean, rstd, activation=activation)
    terms = np.abs(dz).sum((0, 2, 3), dtype=float)
    check(got[0], dx, 4 * n, float(np.max(np.abs(gamma)) * np.max(rstd)) * (1 + size) ** 2 * float(np.max(np.abs(dy))))
    check(got[1], dgamma, 3 * n + shape[0], size * terms)
    check(got[2], dbeta, n + shape[0], terms)


def test_group_norm_of_a_row_does_not_depend_on_its_batch() -> None:
    rng = np.random.default_rng(5)
    x, gamma, beta = normal(rng, 32, 6, 5, 5), normal(rng, 6), normal(rng, 6)
    whole = kernels.group_norm_forward(x, gamma, beta, 3)[0]
    for rows in (slice(0, 1), slice(3, 13), slice(16, 32)):
        np.testing.assert_array_equal(kernels.group_norm_forward(x[rows], gamma, beta, 3)[0], whole[rows])


L2_SHAPES = [(1, 1280), (10, 37), (16, 16), (1, 5, 4, 3), (3, 40, 1, 9), (32, 2, 5, 5), (7, 17, 13, 11)]


@pytest.mark.parametrize("shape", L2_SHAPES, ids=str)
@pytest.mark.parametrize("eps", [1e-12, 1.0])
def test_l2_normalize(shape: tuple[int, ...], eps: float) -> None:
    rng = np.random.default_rng(list(shape))
    # With eps 1 norms lie on both sides of it.
    x, dy = normal(rng, *shape) * np.float32(1.0 if eps < 1.0 else shape[1] ** -0.5), normal(rng, *shape)
    tx = double(x)
    y = F.normalize(tx, dim=1, eps=eps)
    (dx,) = gradients(y, dy, tx)
    factor = 1.0 / np.maximum(np.sqrt((x.astype(float) ** 2).sum(1, keepdims=True)), eps)
    check(kernels.l2_normalize_forward(x, eps), y, shape[1], np.abs(x) * factor)
    along = (np.abs(dy) * np.abs(x) * factor).sum(1, keepdims=True, dtype=float)
    check(
        kernels.l2_normalize_backward(x, dy, eps), dx, 3 * shape[1], factor * (np.abs(dy) + np.abs(x) * factor * along)
    )


def test_l2_normalize_of_zeros_and_at_epsilon() -> None:
    """As PyTorch in float32: a zero vector stays one and its gradient is dy / eps; a norm of exactly eps has the
    gradient of a norm."""
    x = np.zeros((3, 4), np.float32)
    x[1, 2], x[2, 0] = 0.5, 0.25
    dy = np.array([1.0, -2.0, 0.5, 4.0], np.float32) * np.ones((3, 1), np.float32)
    tx = torch.tensor(x, requires_grad=True)
    y = F.normalize(tx, dim=1, eps=0.5)
    (dx,) = torch.autograd.grad(y, (tx,), torch.tensor(dy))
    np.testing.assert_array_equal(kernels.l2_normalize_forward(x, 0.5), y.detach().numpy())
    np.testing.assert_array_equal(kernels.l2_normalize_backward(x, dy, 0.5), dx.numpy())
    np.testing.assert_array_equal(dx.numpy()[0], 2 * dy[0])
    assert dx.numpy()[1, 2] == 0.0


@pytest.mark.parametrize("shape", [(32, 1280), (32, 21, 5, 3)], ids=str)
def test_l2_normalize_of_a_row_does_not_depend_on_its_batch(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(6)
    x, dy = normal(rng, *shape), normal(rng, *shape)
    y, dx = kernels.l2_normalize_forward(x), kernels.l2_normalize_backward(x, dy)
    for rows in (slice(0, 1), slice(3, 13), slice(16, 32)):
        np.testing.assert_array_equal(kernels.l2_normalize_forward(x[rows]), y[rows])
        np.testing.assert_array_equal(kernels.l2_normalize_backward(x[rows], dy[rows]), dx[rows])


@pytest.mark.parametrize("eps", [0.0, -1.0, 1e-45, 2.0, float("nan")])
def test_l2_normalize_refuses_epsilon(eps: float) -> None:
    with pytest.raises(ValueError, match="normal number"):
        kernels.l2_normalize_forward(np.ones((2, 3), np.float32), eps)


ACTIVATIONS: list[tuple[Any, Any]] = [
    ("none", lambda x: x),
    ("relu", torch.relu),
    (("clip", 0.0, 6.0), F.relu6),
    ("hard_swish", F.hardswish),
    ("sigmoid", torch.sigmoid),
    (("hard_sigmoid", 1 / 6, 0.5), F.hardsigmoid),
    ("tanh", torch.tanh),
    ("gelu", F.gelu),
    ("gelu_tanh", lambda x: F.gelu(x, approximate="tanh")),
    (("elu", 0.7, 1.0), lambda x: F.elu(x, 0.7)),
    (("elu", 1.6732632423543772, 1.0507009873554805), F.selu),
    (("celu", 0.5, 0.0), lambda x: F.celu(x, 0.5)),
    (("leaky_relu", 0.01, 0.0), F.leaky_relu),
    ("softplus", lambda x: F.softplus(x, threshold=1e9)),
    ("mish", lambda x: x * torch.tanh(F.softplus(x, threshold=1e9))),
    (("silu", 1.0, 0.0), F.silu),
    (("silu", 1.702, 0.0), lambda x: x * torch.sigmoid(1.702 * x)),
    ("softsign", F.softsign),
    ("abs", torch.abs),
    ("negate", torch.neg),
    ("square", torch.square),
    ("erf", torch.erf),
]
# Only of positive numbers, or of such that do not overflow.
POSITIVE: list[tuple[str, Any]] = [
    ("exp", torch.exp),
    ("log", torch.log),
    ("sqrt", torch.sqrt),
    ("reciprocal", torch.reciprocal),
    ("reciprocal_sqrt", torch.rsqrt),
    ("cube", lambda x: x**3),
]


@pytest.mark.parametrize(("name", "function"), ACTIVATIONS, ids=lambda v: str(v) if not callable(v) else "")
def test_activation(name: Any, function: Any) -> None:
    rng = np.random.default_rng(2)
    x = np.concatenate([normal(rng, 1000) * 4, np.array([0.0, -90.0, 90.0, 7.0, -7.0], np.float32)])
    dy = normal(rng, x.size)
    tx = double(x)
    ty = function(tx)
    y = kernels.activation_forward(x, activation=name)
    # The sigmoid is off by the 2 ulp of exp and of the division; its argument is exact.
    size = x.astype(float) ** 2 if name == "square" else np.abs(x) + 1.0
    check(y, ty, 1, size)
    (dx,) = gradients(ty, dy, tx)
    check(kernels.activation_backward(x, y, dy, activation=name), dx, 1, np.abs(dy) * (np.abs(x) + 1.0))


@pytest.mark.parametrize(("name", "function"), POSITIVE, ids=[name for name, _ in POSITIVE])
def test_activation_of_positive_numbers(name: str, function: Any) -> None:
    rng = np.random.default_rng(3)
    x = rng.uniform(0.05, 20.0, 1000).astype(np.float32)
    dy = normal(rng, x.size)
    tx = double(x)
    ty = function(tx)
    y = kernels.activation_forward(x, activation=name)
    check(y, ty, 2, np.abs(ty.detach().numpy()) + (1.0 if name == "log" else 0.0))
    (dx,) = gradients(ty, dy, tx)
    check(kernels.activation_backward(x, y, dy, activation=name), dx, 3, np.abs(dx.numpy()))


def test_activation_kinds_are_all_here() -> None:
    names = {name if isinstance(name, str) else name[0] for name, _ in [*ACTIVATIONS, *POSITIVE]}
    assert len(names) == 26
    with pytest.raises(ValueError, match=r"activation of kernels\.h"):
        kernels.activation_forward(np.ones(3, np.float32), activation="sinh")


@pytest.mark.parametrize("op", ["add", "mul"])
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("axes", list(itertools.product([0, 1], repeat=4)), ids=str)
def test_binary(op: str, batch: int, axes: tuple[int, ...]) -> None:
    rng = np.random.default_rng([batch, *axes])
    shape = (batch, 5, 3, 4)
    a, b = normal(rng, *shape), normal(rng, *(n if keep else 1 for n, keep in zip(shape, axes, strict=True)))
    dy = normal(rng, *shape)
    ta, tb = double(a), double(b)
    ty = ta + tb if op == "add" else ta * tb
    da, db = gradients(ty, dy, ta, tb)
    aa, ab = double(np.abs(a)), double(np.abs(b))
    ma, mb = gradients(aa + ab if op == "add" else aa * ab, np.abs(dy), aa, ab)
    check(kernels.binary_forward(a, b, op), ty, 1, np.abs(a) + np.abs(b) if op == "add" else np.abs(a * b))
    got_da, got_db = kernels.binary_backward(a, b, dy, op)
    check(got_da, da, 1, ma)
    check(got_db, db, a.size // b.size, mb)


def test_accumulate_and_concat() -> None:
    rng = np.random.default_rng(3)
    x, y = normal(rng, 7, 5), normal(rng, 7, 5)
    np.testing.assert_array_equal(kernels.accumulate(y, x), y + x)
    for batch in BATCHES:
        parts = [normal(rng, batch, c, 3, 2) for c in (1, 4, 2)]
        whole = kernels.concat_forward(parts)
        np.testing.assert_array_equal(whole, np.concatenate(parts, axis=1))
        for got, want in zip(kernels.concat_backward(whole, [1, 4, 2]), parts, strict=True):
            np.testing.assert_array_equal(got, want)


# size, kernel, stride, padding, ceil mode
POOLS = [
    ((8, 8), (2, 2), (2, 2), (0, 0), False),
    ((9, 7), (3, 3), (2, 2), (1, 1), False),
    ((9, 8), (3, 3), (2, 2), (0, 0), True),
    ((6, 6), (3, 3), (1, 1), (1, 1), False),
    ((1, 20), (1, 4), (1, 3), (0, 2), False),
    ((5, 5), (5, 5), (1, 1), (0, 0), False),
]


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("pool", POOLS, ids=str)
@pytest.mark.parametrize("kind", ["max", "average", "average without pad"])
def test_pool(batch: int, pool: Any, kind: str) -> None:
    size, kernel, stride, padding, ceil = pool
    rng = np.random.default_rng([batch, *size])
    x = normal(rng, batch, 3, *size)
    tx = double(x)
    window = {"stride": stride, "padding": padding}
    if kind == "max":
        ty = F.max_pool2d(tx, kernel, ceil_mode=ceil, **window)
    else:
        window["count_include_pad"] = kind == "average"
        ty = F.avg_pool2d(tx, kernel, ceil_mode=ceil, **window)
    window["output_size"] = tuple(ty.shape[2:])
    dy = normal(rng, *ty.shape)
    (dx,) = gradients(ty, dy, tx)
    taps = kernel[0] * kernel[1]
    if kind == "max":
        window.pop("count_include_pad", None)
        y = kernels.max_pool_forward(x, kernel, **window)
        np.testing.assert_array_equal(y, ty.detach().numpy().astype(np.float32))
        got = kernels.max_pool_backward(x, y, dy, kernel, **window)
    else:
        y = kernels.average_pool_forward(x, kernel, **window)
        check(y, ty, taps, float(np.max(np.abs(x))))
        got = kernels.average_pool_backward(x, dy, kernel, **window)
    check(got, dx, taps, taps * float(np.max(np.abs(dy))))


@pytest.mark.parametrize("batch", BATCHES)
def test_global_average_pool(batch: int) -> None:
    rng = np.random.default_rng(batch)
    x, dy = normal(rng, batch, 13, 5, 7), normal(rng, batch, 13)
    check(kernels.global_average_pool_forward(x), x.mean((2, 3), dtype=float), 35, np.abs(x).mean((2, 3), dtype=float))
    dx = np.broadcast_to(dy[:, :, None, None].astype(float) / 35, x.shape)
    check(kernels.global_average_pool_backward(dy, (5, 7)), dx, 0, np.abs(dx))


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("u8", [False, True])
def test_input_normalize(batch: int, channels_last: bool, u8: bool) -> None:
    rng = np.random.default_rng(batch)
    images: Any = rng.integers(0, 256, (batch, 3, 6, 5)).astype(np.uint8) if u8 else normal(rng, batch, 3, 6, 5)
    scale, mean, inv_std = np.float32(1 / 255), normal(rng, 3), normal(rng, 3)
    crop_y, crop_x = rng.integers(-3, 4, batch).astype(np.int32), rng.integers(-3, 4, batch).astype(np.int32)
    flip = rng.random(batch) < 0.5
    padded = np.pad(images.astype(np.float32), ((0, 0), (0, 0), (3, 3), (3, 3)))
    want = np.stack(
        [padded[r, :, 3 + y : 9 + y, 3 + x : 8 + x] for r, (y, x) in enumerate(zip(crop_y, crop_x, strict=True))]
    )
    want = np.where(flip[:, None, None, None], np.flip(want, -1), want)
    want = (want * scale - mean[:, None, None]) * inv_std[:, None, None]
    given = np.ascontiguousarray(np.moveaxis(images, 1, 3)) if channels_last else images
    got = kernels.input_normalize(given, float(scale), mean, inv_std, channels_last, crop_y, crop_x, flip)
    np.testing.assert_array_equal(got, want.astype(np.float32))  # three rounded steps, so equal


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("classes", [1, 10, 100])
def test_losses(batch: int, classes: int) -> None:
    rng = np.random.default_rng([batch, classes])
    logits, target = normal(rng, batch, classes) * 4, normal(rng, batch, classes)
    allowed = rng.random(classes) < 0.7
    allowed[0] = True
    labels = rng.choice(np.flatnonzero(allowed), batch).astype(np.int32)
    tz = double(logits)
    masked = tz.masked_fill(~torch.tensor(allowed), -torch.inf)
    loss = F.cross_entropy(masked, torch.tensor(labels, dtype=torch.int64), reduction="none")
    (dz,) = torch.autograd.grad(0.5 * loss.sum(), tz)
    got_loss, got_dz = kernels.cross_entropy(logits, labels, allowed, 0.5)
    spread = float(np.ptp(logits))
    # exp's argument carries an error of u * spread, which is a relative error of every term of the sum.
    check(got_loss, 0.5 * loss, classes, 2 + spread)
    check(got_dz, dz, classes, 2 + spread)
    difference = np.where(allowed, logits.astype(float) - target, 0.0)
    got_loss, got_dz = kernels.logits_mse(logits, target, allowed, 0.25)
    size = (np.abs(logits) + np.abs(target)) ** 2
    check(got_loss, 0.25 * (difference**2).sum(1), classes, size.sum(1, dtype=float))
    check(got_dz, 0.5 * difference, 1, np.abs(logits) + np.abs(target))


# Cell, PyTorch's layer, where its gates stand in ONNX's order.
RECURRENT = [
    ("rnn_tanh", lambda i, h: torch.nn.RNN(i, h), [0]),
    ("rnn_relu", lambda i, h: torch.nn.RNN(i, h, nonlinearity="relu"), [0]),
    ("gru_linear", torch.nn.GRU, [1, 0, 2]),
    ("lstm", torch.nn.LSTM, [0, 3, 1, 2]),
]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("cell", "layer", "order"), RECURRENT, ids=[case[0] for case in RECURRENT])
def test_recurrent(cell: str, layer: Any, order: list[int], batch: int, reverse: bool) -> None:
    rng = np.random.default_rng(batch)
    inputs, hidden, steps = 7, 9, 20
    x = normal(rng, batch, inputs, 1, steps)
    dy = normal(rng, batch, hidden, 1, steps)
    sizes = [(inputs,), (hidden,), (), ()]
    numbers = [(0.5 * normal(rng, *size, len(order) * hidden)).astype(np.float32) for size in sizes]
    module = layer(inputs, hidden).double()
    named = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    back = np.argsort(order)
    with torch.no_grad():
        for name, values in zip(named, numbers, strict=True):
            gates = np.split(values.T, len(order))
            getattr(module, name).copy_(torch.tensor(np.concatenate([gates[k] for k in back])))
    sequence = double(x)
    turned = sequence[:, :, 0].permute(2, 0, 1)
    y = module(turned.flip(0) if reverse else turned)[0]
    y = (y.flip(0) if reverse else y).permute(1, 2, 0)[:, :, None]
    keywords: dict[str, Any] = {"cell": cell, "reverse": reverse}
    # Errors pass from step to step; a state is at most as large as what it is made of.
    depth, size = steps * (inputs + hidden), float(y.detach().abs().max()) * 8
    check(kernels.recurrent_forward(x, *numbers, **keywords), y, depth, size)
    found = kernels.recurrent_backward(x, dy, *numbers, **keywords)
    wanted = gradients(y, dy, sequence, *(getattr(module, name) for name in named))
    for k, (got, want) in enumerate(zip(found, wanted, strict=True)):
        if k > 0:
            parts = want.split(hidden)
            want = torch.cat([parts[i] for i in order])
            want = want.T if want.ndim == 2 else want
        check(got, want, depth * batch, float(want.abs().max()) * 8)


def test_sgd_is_pytorchs() -> None:
    rng = np.random.default_rng(8)
    weight: Floats = normal(rng, 50)
    velocity: Floats = np.zeros(50, np.float32)
    parameter = torch.nn.Parameter(torch.tensor(weight, dtype=torch.float64))
    optimiser = torch.optim.SGD([parameter], lr=0.1, momentum=0.9, weight_decay=5e-4)
    for step in range(1, 6):
        gradient = normal(rng, 50)
        parameter.grad = torch.tensor(gradient, dtype=torch.float64)
        optimiser.step()
        weight, velocity = kernels.sgd_update(weight, velocity, gradient, 0.1, 0.9, 5e-4)
        check(weight, parameter, 3 * step, 10.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: kernels.conv_forward(np.zeros((1, 3, 4, 4), np.float32), np.zeros((2, 4, 3, 3), np.float32)),
        lambda: kernels.conv_forward(np.zeros((1, 3, 2, 2), np.float32), np.zeros((2, 3, 3, 3), np.float32)),
        lambda: kernels.conv_forward(np.zeros((1, 3, 4), np.float32), np.zeros((2, 3, 3, 3), np.float32)),
        lambda: kernels.linear_forward(np.zeros((2, 3), np.float32), np.zeros((4, 2), np.float32)),
        lambda: kernels.sparse_linear_forward(
            np.zeros((2, 3), np.float32), np.zeros((4, 3), np.float32), np.ones((3, 4), bool)
        ),
        lambda: kernels.cross_entropy(np.zeros((2, 3), np.float32), np.array([0, 3], np.int32)),
        lambda: kernels.activation_forward(np.zeros(3, np.float32), activation="sinh"),
        lambda: kernels.linear_forward(np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32), level="mmx"),
        lambda: kernels.linear_forward(np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32), n_parts=0),
        lambda: kernels.binary_forward(np.zeros((2, 3), np.float32), np.zeros((3, 3), np.float32), "add"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any) -> None:
    with pytest.raises(ValueError, match=r"expected .*, found .*: "):
        call()


def test_unknown_keyword_is_refused() -> None:
    with pytest.raises(TypeError, match="strides"):
        kernels.conv_forward(np.zeros((1, 1, 4, 4), np.float32), np.zeros((1, 1, 3, 3), np.float32), strides=(2, 2))
