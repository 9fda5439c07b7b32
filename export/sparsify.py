# Densities of the sparse layers and their initial masks.
# Never here: changing masks during training (the runtime's), storage order of the bundle (plan.py).
"""Uniform and Erdos-Renyi-kernel densities; magnitude and random masks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from math import prod

import numpy as np
from edgecl.export.errors import ExportError
from edgecl.export.graph import Graph, Op
from edgecl.export.options import Distribution, InitialMask, InitialScale, NamePredicate
from numpy.typing import NDArray


def choose_sparse_layers(graph: Graph, choice: Sequence[str] | NamePredicate | None) -> list[Op]:
    """Layers to be stored sparse.

    Default (SparCL, Wang et al. 2022): every convolution but the first, the 1 x 1 ones and grouped ones, and every
    linear layer but the head; a linear layer over tokens counts as one. Names and predicates see the layer's name (its
    weight's without ".weight"). Grouped convolutions and the head cannot be sparse.

    Raises:
        ExportError: a name is unknown or names a layer that cannot be sparse.
    """
    layers = [op for op in graph.ops if op.kind in ("conv", "linear")]
    head = graph.head()
    able = [op for op in layers if op is _last_of_able(graph, op, head)]
    if choice is None:
        first = next((op for op in layers if op.kind == "conv" and len(op.weight().source_shape) != 2), None)
        return [op for op in able if op is not first and not _is_pointwise(op)]
    if callable(choice):
        return [op for op in able if choice(op.layer)]
    names = {op.layer for op in able} | {op.weight().name for op in able}
    unknown = [name for name in choice if name not in names]
    if unknown:
        raise ExportError(
            f"expected names of layers that can be sparse; found {unknown}; these can: "
            f"{', '.join(op.layer for op in able)} "
            "(not the head, not grouped convolutions)",
            -23,
        )
    return [op for op in able if op.layer in choice or op.weight().name in choice]


def _is_pointwise(op: Op) -> bool:
    """A 1 x 1 convolution of the source, also where it became a linear layer because its map has one cell; a linear
    layer over tokens is none."""
    return op.kernel == (1, 1) and len(op.weight().source_shape) > 2


def _last_of_able(graph: Graph, op: Op, head: Op | None) -> Op | None:
    """The last layer with the weight of this one, where all of them can be sparse: not the head, without groups, and
    the weight's numbers are those of one initialiser, so that the source can be masked alike."""
    weight = op.weight()
    users = [other for other in graph.ops if weight in other.params]
    able = weight.source is not None and all(
        user.kind in ("conv", "linear") and user is not head and user.groups == 1 for user in users
    )
    return users[-1] if able else None


def densities(layers: Sequence[Op], density: float, distribution: Distribution) -> list[float]:
    """Density of each layer; the weighted mean is `density`.

    "uniform": the same everywhere. "erk" (Erdos-Renyi-kernel; Evci et al. 2020, after Mocanu et al. 2018): d_l = min(1,
        eps * (n_out + n_in +
    kh + kw) / (n_out * n_in * kh * kw)) with eps such that the stored weights add up; layers that would exceed 1 become
    dense, one by one.
    """
    if distribution == "uniform" or not layers:
        return [density] * len(layers)
    shapes = [_weight_shape(op) for op in layers]
    sizes = np.array([prod(shape) for shape in shapes], np.float64)
    raw = np.array([sum(shape) for shape in shapes], np.float64) / sizes
    dense = np.zeros(len(layers), bool)
    while True:
        free = ~dense
        if not free.any():
            return [1.0] * len(layers)
        eps = (density * sizes.sum() - sizes[dense].sum()) / (raw[free] * sizes[free]).sum()
        if eps * raw[free].max() <= 1.0:
            break
        dense |= free & (raw == raw[free].max())
    return [float(value) for value in np.where(dense, 1.0, eps * raw)]


def _weight_shape(op: Op) -> tuple[int, ...]:
    weight = op.weight()
    shape = weight.source_shape if weight.source_shape and not weight.transposed else weight.values.shape
    return tuple(shape)


def apply_masks(
    layers: Sequence[Op], kept: Sequence[float], how: InitialMask, seed: int, scale: InitialScale = "none"
) -> None:
    """Sets `Param.mask` and zeroes the other weights; round(density * n) entries stay, at least one.

    "magnitude": the largest |w| of each layer (ties: the earlier position). "random": uniform without replacement,
        PCG64 from `seed`.
    scale "variance": what stays is multiplied so that the layer keeps its sum of squares, and with it the variance of
        its outputs at the start of training; pruning a fresh layer otherwise shrinks them by a constant factor.
    """
    generator = np.random.default_rng(seed)
    pick: Callable[[NDArray[np.float32], int], NDArray[np.int64]]
    if how == "magnitude":
        pick = lambda values, count: np.argsort(-np.abs(values), kind="stable")[:count]  # noqa: E731
    else:
        pick = lambda values, count: generator.choice(values.size, count, replace=False)  # noqa: E731
    for op, density in zip(layers, kept, strict=True):
        if density >= 1.0:
            continue
        weight = op.weight()
        flat = weight.values.reshape(-1)
        mask = np.zeros(flat.size, bool)
        mask[pick(flat, max(1, round(density * flat.size)))] = True
        weight.mask = mask.reshape(weight.values.shape)
        weight.values = np.where(weight.mask, weight.values, np.float32(0.0))
        if scale == "variance":
            squares = float(np.sum(np.square(flat, dtype=np.float64)))
            left = float(np.sum(np.square(weight.values, dtype=np.float64)))
            if left > 0:
                weight.values = weight.values * np.float32(math.sqrt(squares / left))
