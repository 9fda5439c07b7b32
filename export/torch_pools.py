# Adaptive pools whose windows differ in size, which PyTorch's own ONNX export refuses.
# Never here: lending them to the tracer (torch_symbolics.py).
"""`POOLS`: adaptive pools written with standard operators, by PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def _bounds(size: int, cells: int) -> list[tuple[int, int]]:
    """Cell i of an adaptive pool covers floor(i * size / cells) to ceil((i + 1) * size / cells) (PyTorch)."""
    return [(i * size // cells, -(-(i + 1) * size // cells)) for i in range(cells)]


def _matrix(size: int, cells: int) -> torch.Tensor:
    """[size][cells]: a row of `size` numbers times it is the means of its windows."""
    matrix = torch.zeros(size, cells)
    for cell, (begin, end) in enumerate(_bounds(size, cells)):
        matrix[begin:end, cell] = 1.0 / (end - begin)
    return matrix


def traced_sizes(g: Any, index: int = 0) -> list[int]:
    """Of input `index` of the operator, as it was traced. What is made of it so far may have none: the shapes of what
    was padded are lost."""
    sizes: list[int] = g.original_node.inputsAt(index).type().sizes()
    return sizes


def _constant(g: Any, values: Any) -> Any:
    return g.op("Constant", value_t=torch.as_tensor(values))


def _means(g: Any, x: Any, axis: int, rank: int, size: int, cells: int) -> Any:
    order = list(range(rank))
    order[axis], order[-1] = order[-1], order[axis]
    turned = g.op("Transpose", x, perm_i=order) if axis != rank - 1 else x
    means = g.op("MatMul", turned, _constant(g, _matrix(size, cells)))
    return g.op("Transpose", means, perm_i=order) if axis != rank - 1 else means


def _maxima(g: Any, x: Any, axis: int, rank: int, size: int, cells: int) -> Any:
    pieces = [
        g.op(
            "ReduceMax",
            g.op("Slice", x, _constant(g, [begin]), _constant(g, [end]), _constant(g, [axis])),
            _constant(g, [axis]),
            keepdims_i=1,
        )
        for begin, end in _bounds(size, cells)
    ]
    return g.op("Concat", *pieces, axis_i=axis)


def _written(one_axis: Callable[..., Any], equal: str, spatial: int, outputs: int) -> Callable[..., Any]:
    """The symbolic function of a pool over `spatial` axes. `equal`: the operator where all windows are of one size. A
    second output, the places of the maxima, is not there."""

    def symbolic(g: Any, x: Any, output_size: Any) -> Any:
        node = output_size.node()
        given = node.t("value") if node.kind() == "onnx::Constant" else None
        wanted = [int(v) for v in given.reshape(-1)] if given is not None else [_integer(v) for v in node.inputs()]
        if all(cells == 1 for cells in wanted):  # also where the tracer does not know the sizes
            pooled = g.op(f"Global{equal}", x)
            return pooled if outputs == 1 else (pooled, None)
        sizes = traced_sizes(g)
        own = sizes[-spatial:]
        wanted = [size if cells is None else cells for size, cells in zip(own, wanted, strict=True)]
        if all(size % cells == 0 for size, cells in zip(own, wanted, strict=True)):
            if all(cells == 1 for cells in wanted):
                pooled = g.op(f"Global{equal}", x)
                return pooled if outputs == 1 else (pooled, None)
            windows = [size // cells for size, cells in zip(own, wanted, strict=True)]
            pooled = g.op(equal, x, kernel_shape_i=windows, strides_i=windows)
            return pooled if outputs == 1 else (pooled, None)
        for axis, (size, cells) in enumerate(zip(own, wanted, strict=True), start=len(sizes) - spatial):
            if size != cells:
                x = one_axis(g, x, axis, len(sizes), size, cells)
        return x if outputs == 1 else (x, None)

    return symbolic


def _integer(value: Any) -> int | None:
    """A constant of the traced graph; None for None, which keeps an axis."""
    node = value.node()
    if node.kind() != "onnx::Constant":
        return None
    return int(node.t("value"))


POOLS: dict[str, Callable[..., Any]] = {
    f"aten::adaptive_{kind}_pool{spatial}d": _written(one_axis, equal, spatial, outputs)
    for kind, one_axis, equal, outputs in (("avg", _means, "AveragePool", 1), ("max", _maxima, "MaxPool", 2))
    for spatial in (1, 2, 3)
}
