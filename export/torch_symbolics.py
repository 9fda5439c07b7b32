# Operators that PyTorch's tracer has no ONNX form of, or not for all sizes; norms in pieces that join_norms knows.
# Never here: tracing (torch_front.py).
"""`symbolics()` lends them to the tracer for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from edgecl.export.torch_pools import POOLS, traced_sizes
from torch.onnx import symbolic_helper, symbolic_opset9, utils


def _rms_norm(g: Any, x: Any, normalized_shape: Any, weight: Any, eps: Any) -> Any:
    """x / sqrt(mean of x * x + eps) over the last axes, times weight."""
    axes = list(range(-len(symbolic_helper._maybe_get_const(normalized_shape, "is")), 0))
    least = symbolic_helper._maybe_get_const(eps, "f")
    if not isinstance(least, float):
        least = torch.finfo(torch.float32).eps
    squares = g.op("Mul", x, x)
    mean = g.op("ReduceMean", squares, g.op("Constant", value_t=torch.tensor(axes)), keepdims_i=1)
    root = g.op("Sqrt", g.op("Add", mean, g.op("Constant", value_t=torch.tensor(least))))
    y = g.op("Div", x, root)
    return y if symbolic_helper._is_none(weight) else g.op("Mul", y, weight)


def _unfold(g: Any, x: Any, dimension: Any, size: Any, step: Any) -> Any:
    """Windows along an axis, their places as last axis. The tracer's own form takes a negative axis for another one."""
    sizes = traced_sizes(g)
    axis, taken, apart = (symbolic_helper._maybe_get_const(value, "i") for value in (dimension, size, step))
    axis %= len(sizes)
    begins = torch.arange(0, sizes[axis] - taken + 1, apart)
    places = g.op("Constant", value_t=begins[:, None] + torch.arange(taken))
    order = [k for k in range(len(sizes) + 1) if k != axis + 1]
    return g.op("Transpose", g.op("Gather", x, places, axis_i=axis), perm_i=[*order, axis + 1])


def _bilinear(g: Any, left: Any, right: Any, weight: Any, bias: Any) -> Any:
    """A linear layer over the products of each number of one row with each of the other."""
    outputs, a, b = symbolic_helper._get_tensor_sizes(weight)
    sizes = traced_sizes(g)

    def numbers(*values: int) -> Any:
        return g.op("Constant", value_t=torch.tensor(values))

    products = g.op("Mul", g.op("Unsqueeze", left, numbers(-1)), g.op("Unsqueeze", right, numbers(-2)))
    flat = g.op("Reshape", products, numbers(-1, *sizes[1:-1], a * b))
    matrix = g.op("Transpose", g.op("Reshape", weight, numbers(outputs, a * b)), perm_i=[1, 0])
    y = g.op("MatMul", flat, matrix)
    return y if symbolic_helper._is_none(bias) else g.op("Add", y, bias)


def _instance_norm(
    g: Any, x: Any, weight: Any, bias: Any, mean: Any, variance: Any, of_rows: Any, momentum: Any, eps: Any, cudnn: Any
) -> Any:
    """By running statistics it is a batch-norm. The tracer's own form for that joins the batch and the channels."""
    if symbolic_helper._maybe_get_const(of_rows, "b"):
        return symbolic_opset9.instance_norm(g, x, weight, bias, mean, variance, of_rows, momentum, eps, cudnn)
    channels = traced_sizes(g)[1]
    gamma, beta = (
        g.op("Constant", value_t=torch.full((channels,), value)) if symbolic_helper._is_none(given) else given
        for given, value in ((weight, 1.0), (bias, 0.0))
    )
    epsilon = symbolic_helper._maybe_get_const(eps, "f")
    return g.op("BatchNormalization", x, gamma, beta, mean, variance, epsilon_f=epsilon)


def _col2im(g: Any, x: Any, size: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    """The sum of windows. The tracer's own form fails where the map's size is computed, and mixes the pads' order."""
    taken, steps, pads, apart = (
        symbolic_helper._maybe_get_const(value, "is") for value in (kernel, dilation, padding, stride)
    )
    sizes = g.original_node.output().type().sizes()[-2:]
    return g.op(
        "Col2Im",
        x,
        g.op("Constant", value_t=torch.tensor(sizes)),
        g.op("Constant", value_t=torch.tensor(taken)),
        dilations_i=steps,
        pads_i=[*pads, *pads],
        strides_i=apart,
    )


def _matrices_turned(g: Any, x: Any) -> Any:
    """mT, mH, adjoint: the last two axes in the other order."""
    rank = len(traced_sizes(g))
    return g.op("Transpose", x, perm_i=[*range(rank - 2), rank - 1, rank - 2])


def _index_add(g: Any, x: Any, dimension: Any, index: Any, source: Any, alpha: Any) -> Any:
    """Sums along an axis. The tracer's own form counts no place twice."""
    rank, axis = len(traced_sizes(g)), symbolic_helper._maybe_get_const(dimension, "i")
    axis %= rank
    shape = g.op("Constant", value_t=torch.tensor([-1 if k == axis else 1 for k in range(rank)]))
    places = g.op("Expand", g.op("Reshape", index, shape), g.op("Shape", source))
    factor = symbolic_helper._maybe_get_const(alpha, "f")
    if isinstance(factor, (int, float)) and factor != 1:
        source = g.op("Mul", source, g.op("Constant", value_t=torch.tensor(float(factor))))
    return g.op("ScatterElements", x, places, source, axis_i=axis, reduction_s="add")


def _softshrink(g: Any, x: Any, threshold: Any) -> Any:
    """relu(x - t) - relu(-x - t). The tracer's own form chooses by values."""
    least = g.op("Constant", value_t=torch.tensor(float(symbolic_helper._maybe_get_const(threshold, "f"))))
    above, below = (g.op("Relu", g.op("Sub", side, least)) for side in (x, g.op("Neg", x)))
    return g.op("Sub", above, below)


def _threshold(g: Any, x: Any, threshold: Any, value: Any) -> Any:
    """A choice by values."""
    least, other = (
        g.op("Constant", value_t=torch.tensor(float(symbolic_helper._maybe_get_const(given, "f"))))
        for given in (threshold, value)
    )
    return g.op("Where", g.op("Greater", x, least), x, other)


def _floor_divide(g: Any, a: Any, b: Any) -> Any:
    """Of whole numbers: (a - a mod b) / b. The tracer's own form rounds towards zero, so -(-a // b) comes out one too
    small."""
    if symbolic_helper._is_fp(a) or symbolic_helper._is_fp(b):
        return symbolic_opset9.floor_divide(g, a, b)
    return g.op("Div", g.op("Sub", a, g.op("Mod", a, b)), b)


def _tile(g: Any, x: Any, dims: Any) -> Any:
    """By the sizes that were traced. The tracer's own form chooses between two branches at run time."""
    own, full = traced_sizes(g), g.original_node.output().type().sizes()
    front = len(full) - len(own)
    if front:
        x = g.op("Unsqueeze", x, g.op("Constant", value_t=torch.arange(front)))
    counts = [size // part for size, part in zip(full, [1] * front + own, strict=True)]
    return g.op("Tile", x, g.op("Constant", value_t=torch.tensor(counts)))


def _smoothed(name: str) -> Callable[..., Any]:
    """Interpolation with antialiasing, an axis at a time: a product with what it makes of an identity."""
    resize = getattr(torch.ops.aten, name)

    def symbolic(g: Any, x: Any, size: Any, corners: Any, scales: Any) -> Any:
        aligned = bool(symbolic_helper._maybe_get_const(corners, "b"))
        own, full = traced_sizes(g), g.original_node.output().type().sizes()
        rank = len(full)
        order = [*range(rank - 2), rank - 1, rank - 2]
        factors = None if symbolic_helper._is_none(scales) else symbolic_helper._maybe_get_const(scales, "fs")
        for axis in (rank - 1, rank - 2):
            scale = None if factors is None else factors[axis - rank]
            rows = resize(torch.eye(own[axis])[None, :, None], [1, full[axis]], aligned, None, scale)
            x = g.op("Transpose", g.op("MatMul", x, g.op("Constant", value_t=rows[0, :, 0])), perm_i=order)
        return x

    return symbolic


_LENT: dict[str, Callable[..., Any]] = {
    "aten::adjoint": _matrices_turned,
    "aten::floor_divide": _floor_divide,
    "aten::index_add": _index_add,
    "aten::mH": _matrices_turned,
    "aten::mT": _matrices_turned,
    "aten::rms_norm": _rms_norm,
    "aten::softshrink": _softshrink,
    "aten::threshold": _threshold,
    "aten::unfold": _unfold,
    "aten::bilinear": _bilinear,
    "aten::col2im": _col2im,
    "aten::instance_norm": _instance_norm,
    "aten::tile": _tile,
    **{f"aten::{name}": _smoothed(name) for name in ("_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa")},
    **POOLS,
}


@contextmanager
def symbolics(opset: int) -> Iterator[None]:
    """While a module is traced. The tracer's table is that of the process, so what is lent is taken back."""
    lent: list[str] = []
    try:
        for name, function in _LENT.items():
            utils.register_custom_op_symbolic(name, function, opset)
            lent.append(name)
        yield
    finally:
        for name in lent:
            utils.unregister_custom_op_symbolic(name, opset)
