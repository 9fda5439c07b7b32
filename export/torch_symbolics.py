# Operators that PyTorch's tracer has no ONNX form of, or not for all sizes; norms in pieces that join_norms knows.
# Never here: tracing (torch_front.py).
"""`symbolics()` lends them to the tracer for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from edgecl.export.torch_pools import POOLS
from torch.onnx import symbolic_helper, utils


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


@contextmanager
def symbolics(opset: int) -> Iterator[None]:
    """While a module is traced. The tracer's table is that of the process, so what is lent is taken back."""
    lent: list[str] = []
    try:
        for name, function in {"aten::rms_norm": _rms_norm, **POOLS}.items():
            utils.register_custom_op_symbolic(name, function, opset)
            lent.append(name)
        yield
    finally:
        for name in lent:
            utils.unregister_custom_op_symbolic(name, opset)
