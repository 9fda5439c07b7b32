# The public names of edgecl.kernels_numba, each loaded when it is first used.
# Never here: an import of numba, so that importing the package costs nothing.
"""The sparse kernels of edgecl in Numba: an executable specification, and a place to try a new kernel or mask rule
without a compiler.

    from edgecl import kernels_numba as kn
    pattern = kn.build_pattern(mask)       # mask: bool (out, in, kernel height, kernel width) or (out, in)
    value = kn.values_of(pattern, weight)  # the stored weights, in the pattern's order
    y = kn.conv_forward(x, pattern, value, padding=(1, 1))
    dx = kn.conv_backward_data(dy, pattern, value, x.shape[2:], padding=(1, 1))
    dvalue, dbias = kn.conv_backward_weight(x, dy, pattern, padding=(1, 1))

Arrays are float32, images (rows, channels, height, width), linear layers (rows, channels). Every multiply-add is one
fused operation and every sum has the order of the C++ kernels (kernels/kernels.h), so the results are theirs bit for
bit. Weights outside the pattern are neither stored nor visited. Needs the extra `numba`; the first call of a kernel
compiles it (seconds).

To try a mask rule: make a new boolean mask, build its pattern, and carry values over with `dense_of` and `values_of`.
To try a kernel: copy the loop of spmm.py or sddmm.py, keep its order of operations, and compare with it.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "SparsePattern": "pattern",
    "build_pattern": "pattern",
    "channel_block": "pattern",
    "dense_of": "pattern",
    "transpose_pattern": "pattern",
    "values_of": "pattern",
    "conv_backward_data": "spmm",
    "conv_forward": "spmm",
    "linear_backward_data": "spmm",
    "linear_forward": "spmm",
    "conv_backward_weight": "sddmm",
    "linear_backward_weight": "sddmm",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"edgecl.kernels_numba.{_HOME[name]}"), name)
    raise AttributeError(f"module 'edgecl.kernels_numba' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
