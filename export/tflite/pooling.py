# AVERAGE_POOL_2D, MAX_POOL_2D and MEAN.
# Never here: the geometry of windows (convolution.py).
"""Pools and means."""

from __future__ import annotations

import numpy as np
from edgecl.export.errors import Unsupported
from edgecl.export.tflite.convolution import image, window_of
from edgecl.export.tflite.network import Network
from edgecl.export.tflite.read import Operator
from edgecl.export.tflite.registry import handles


@handles("AVERAGE_POOL_2D", "MAX_POOL_2D")
def convert_pool(network: Network, op: Operator) -> None:
    """Cells of the padding take part in neither. One window over the whole map is the global pool."""
    value = image(network, op)
    kernel = (op.option("FilterHeight", least=1), op.option("FilterWidth", least=1))
    window = window_of(op, value.shape, kernel)
    kind = "AveragePool" if op.kind == "AVERAGE_POOL_2D" else "MaxPool"
    if window.spatial == (1, 1) and kernel == value.shape[1:3]:
        name = network.node(network.label(op), f"Global{kind}", [value.name])
    else:
        name = network.node(
            network.label(op), kind, [value.name], kernel_shape=kernel, strides=window.strides, pads=window.pads
        )
    network.bind(op, name, (value.shape[0], *window.spatial, value.shape[3]), first=True)
    network.stored.exact_means.add(name)


@handles("MEAN")
def convert_mean(network: Network, op: Operator) -> None:
    """Over any axes behind the batch."""
    value = network.value(op)
    rank = len(value.shape)
    axes = sorted({int(axis) + (rank if axis < 0 else 0) for axis in np.ravel(network.constant(op, 1))})
    if not axes or axes[0] < 1 or axes[-1] >= rank:
        raise Unsupported(f"a mean over axes {axes} of {list(value.shape)}", "reduce axes behind the batch")
    keep = bool(op.option("KeepDims", 0))
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(value.shape) if keep or axis not in axes)
    first = value.first and (keep or rank - 1 not in axes)  # without its channels a map is plain
    places = [1 if axis == rank - 1 else axis + 1 for axis in axes] if value.first else axes
    source = value.name if value.first else network.plain(value)
    name = network.node(network.label(op), "ReduceMean", [source], axes=sorted(places), keepdims=int(keep))
    network.bind(op, name, shape, first=first and len(shape) > 2)
