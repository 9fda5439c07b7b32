# The Numba kernels against PyTorch (masked dense layers) and, bit for bit, against the C++ kernels.
# Never here: tests of the C++ kernels by themselves (tests/kernels).
"""Tests of edgecl.kernels_numba."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba", reason="the extra `numba` is not installed")
kn = pytest.importorskip("edgecl.kernels_numba", reason="edgecl is not installed")

# (rows, in, out, height, width, kernel, stride, padding (top, left, bottom, right), dilation)
CONVOLUTIONS = [
    (1, 3, 4, 6, 7, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),
    (3, 5, 4, 9, 8, (3, 3), (2, 2), (1, 1, 1, 1), (1, 1)),
    (10, 17, 6, 4, 4, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),
    (16, 4, 5, 5, 5, (5, 5), (1, 1), (2, 2, 2, 2), (1, 1)),
    (20, 20, 3, 8, 8, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),
    (32, 6, 4, 7, 7, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),
    (32, 6, 4, 8, 8, (3, 3), (2, 2), (1, 1, 1, 1), (1, 1)),
    (2, 6, 7, 8, 8, (1, 1), (2, 2), (0, 0, 0, 0), (1, 1)),
    (2, 3, 4, 1, 20, (1, 5), (1, 3), (0, 2, 0, 2), (1, 1)),
    (3, 3, 4, 11, 10, (3, 2), (3, 2), (2, 0, 1, 1), (2, 3)),
]
LINEAR = [(1, 30, 7), (3, 300, 11), (10, 40, 20), (32, 513, 9)]
DENSITIES = [0.0, 0.1, 0.5, 1.0]


def _floats(rng: np.random.Generator, *shape: int) -> Any:
    return rng.standard_normal(shape).astype(np.float32)


def _mask(rng: np.random.Generator, shape: tuple[int, ...], density: float) -> Any:
    mask = rng.random(shape) < density
    if density < 1.0:
        mask[shape[0] // 2] = False  # an empty row
    return mask


def _conv_case(case: Any, density: float) -> dict[str, Any]:
    rows, inputs, outputs, height, width, kernel, stride, padding, dilation = case
    rng = np.random.default_rng([rows, inputs, int(density * 100)])
    mask = _mask(rng, (outputs, inputs, *kernel), density)
    top, left, bottom, right = padding
    out_h = (height + top + bottom - dilation[0] * (kernel[0] - 1) - 1) // stride[0] + 1
    out_w = (width + left + right - dilation[1] * (kernel[1] - 1) - 1) // stride[1] + 1
    weight = np.where(mask, _floats(rng, *mask.shape), np.float32(0))
    return {
        "x": _floats(rng, rows, inputs, height, width),
        "dy": _floats(rng, rows, outputs, out_h, out_w),
        "bias": _floats(rng, outputs),
        "mask": mask,
        "weight": weight,
        "window": {"stride": stride, "padding": padding, "dilation": dilation},
        "pattern": kn.build_pattern(mask),
    }


def _linear_case(case: tuple[int, int, int], density: float) -> dict[str, Any]:
    rows, inputs, outputs = case
    rng = np.random.default_rng([*case, int(density * 100)])
    mask = _mask(rng, (outputs, inputs), density)
    weight = np.where(mask, _floats(rng, outputs, inputs), np.float32(0))
    return {
        "x": _floats(rng, rows, inputs),
        "dy": _floats(rng, rows, outputs),
        "bias": _floats(rng, outputs),
        "mask": mask,
        "weight": weight,
        "pattern": kn.build_pattern(mask),
    }


def _assert_close(found: Any, wanted: Any) -> None:
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5 * (1.0 + float(np.abs(wanted).max(initial=0.0))))


def _assert_same_bits(found: Any, wanted: Any) -> None:
    assert found.shape == wanted.shape
    np.testing.assert_array_equal(
        np.ascontiguousarray(found, np.float32).view(np.uint32),
        np.ascontiguousarray(wanted, np.float32).view(np.uint32),
    )


def _torch_conv(c: dict[str, Any]) -> tuple[Any, ...]:
    torch = pytest.importorskip("torch", reason="torch (extra `export`) is not installed")
    x = torch.tensor(c["x"], requires_grad=True)
    weight = torch.tensor(c["weight"], requires_grad=True)
    bias = torch.tensor(c["bias"], requires_grad=True)
    top, left, bottom, right = c["window"]["padding"]
    padded = torch.nn.functional.pad(x, (left, right, top, bottom))
    y = torch.nn.functional.conv2d(padded, weight, bias, stride=c["window"]["stride"], dilation=c["window"]["dilation"])
    y.backward(torch.tensor(c["dy"]))
    return tuple(t.detach().numpy() for t in (y, x.grad, weight.grad, bias.grad))


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution_against_torch(case: Any, density: float) -> None:
    c = _conv_case(case, density)
    pattern, windows = c["pattern"], c["window"]
    y, dx, dweight, dbias = _torch_conv(c)
    value = kn.values_of(pattern, c["weight"])
    _assert_close(kn.conv_forward(c["x"], pattern, value, c["bias"], **windows), y)
    _assert_close(kn.conv_backward_data(c["dy"], pattern, value, c["x"].shape[2:], **windows), dx)
    dvalue, found_dbias = kn.conv_backward_weight(c["x"], c["dy"], pattern, **windows)
    _assert_close(dvalue, kn.values_of(pattern, dweight))
    _assert_close(found_dbias, dbias)


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("case", LINEAR)
def test_linear_against_torch(case: tuple[int, int, int], density: float) -> None:
    torch = pytest.importorskip("torch", reason="torch (extra `export`) is not installed")
    c = _linear_case(case, density)
    pattern = c["pattern"]
    x, weight, bias = (torch.tensor(c[name], requires_grad=True) for name in ("x", "weight", "bias"))
    y = torch.nn.functional.linear(x, weight, bias)
    y.backward(torch.tensor(c["dy"]))
    value = kn.values_of(pattern, c["weight"])
    _assert_close(kn.linear_forward(c["x"], pattern, value, c["bias"]), y.detach().numpy())
    _assert_close(kn.linear_backward_data(c["dy"], pattern, value), x.grad.numpy())
    dvalue, dbias = kn.linear_backward_weight(c["x"], c["dy"], pattern)
    _assert_close(dvalue, kn.values_of(pattern, weight.grad.numpy()))
    _assert_close(dbias, bias.grad.numpy())


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution_same_bits_as_kernels(case: Any, density: float) -> None:
    kernels = pytest.importorskip("edgecl_kernels", reason="edgecl_kernels is not built here (tools/setup)")
    c = _conv_case(case, density)
    pattern, windows, mask = c["pattern"], c["window"], c["mask"]
    value = kn.values_of(pattern, c["weight"])
    size = c["x"].shape[2:]
    selected = np.random.default_rng(5).random(pattern.nnz) < 0.5  # in the order of flatnonzero(mask)
    chosen = np.empty_like(selected)
    chosen[pattern.order] = selected
    y = kernels.sparse_conv_forward(c["x"], c["weight"], mask, c["bias"], **windows)
    dx = kernels.sparse_conv_backward_data(c["dy"], c["weight"], mask, size, **windows)
    dvalue, dbias = kernels.sparse_conv_backward_weight(c["x"], c["dy"], mask, **windows)
    dchosen, _ = kernels.sparse_conv_backward_weight(c["x"], c["dy"], mask, selected, **windows)
    _assert_same_bits(kn.conv_forward(c["x"], pattern, value, c["bias"], **windows), y)
    _assert_same_bits(kn.conv_backward_data(c["dy"], pattern, value, size, **windows), dx)
    found, found_dbias = kn.conv_backward_weight(c["x"], c["dy"], pattern, **windows)
    _assert_same_bits(found[pattern.order], dvalue)
    _assert_same_bits(found_dbias, dbias)
    _assert_same_bits(kn.conv_backward_weight(c["x"], c["dy"], pattern, chosen, **windows)[0][pattern.order], dchosen)


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("case", LINEAR)
def test_linear_same_bits_as_kernels(case: tuple[int, int, int], density: float) -> None:
    kernels = pytest.importorskip("edgecl_kernels", reason="edgecl_kernels is not built here (tools/setup)")
    c = _linear_case(case, density)
    pattern, mask = c["pattern"], c["mask"]
    value = kn.values_of(pattern, c["weight"])
    y = kernels.sparse_linear_forward(c["x"], c["weight"], mask, c["bias"])
    dx = kernels.sparse_linear_backward_data(c["dy"], c["weight"], mask)
    dvalue, dbias = kernels.sparse_linear_backward_weight(c["x"], c["dy"], mask)
    _assert_same_bits(kn.linear_forward(c["x"], pattern, value, c["bias"]), y)
    _assert_same_bits(kn.linear_backward_data(c["dy"], pattern, value), dx)
    found, found_dbias = kn.linear_backward_weight(c["x"], c["dy"], pattern)
    _assert_same_bits(found[pattern.order], dvalue)
    _assert_same_bits(found_dbias, dbias)


def test_pattern_order_and_transpose() -> None:
    rng = np.random.default_rng(2)
    mask = _mask(rng, (7, 70, 3, 3), 0.2)
    pattern = kn.build_pattern(mask)
    weight = np.where(mask, _floats(rng, *mask.shape), np.float32(0))
    value = kn.values_of(pattern, weight)
    np.testing.assert_array_equal(kn.dense_of(pattern, value), weight)
    np.testing.assert_array_equal(value[pattern.order], weight[mask])
    row, channel, tap = pattern.coordinates()
    block = channel // pattern.channel_block
    key = ((block * pattern.rows + row) * pattern.channels + channel) * pattern.taps + tap
    assert (np.diff(key) > 0).all()
    turned = kn.transpose_pattern(pattern)
    np.testing.assert_array_equal(kn.dense_of(turned, value[turned.source]), weight.transpose(1, 0, 2, 3))


def test_bad_arguments() -> None:
    pattern = kn.build_pattern(np.ones((2, 3, 3, 3), np.bool_))
    value = np.zeros(pattern.nnz, np.float32)
    with pytest.raises(ValueError, match="boolean mask"):
        kn.build_pattern(np.ones((2, 3), np.float32))
    with pytest.raises(ValueError, match="expected x of shape"):
        kn.conv_forward(np.zeros((1, 4, 5, 5), np.float32), pattern, value)
    with pytest.raises(ValueError, match="window that fits"):
        kn.conv_forward(np.zeros((1, 3, 2, 2), np.float32), pattern, value)
    with pytest.raises(ValueError, match="one flag per entry"):
        kn.conv_backward_weight(
            np.zeros((1, 3, 3, 3), np.float32), np.zeros((1, 2, 1, 1), np.float32), pattern, np.ones(3, np.bool_)
        )


def test_import_leaves_numba_alone() -> None:
    code = "import sys, edgecl.kernels_numba; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
