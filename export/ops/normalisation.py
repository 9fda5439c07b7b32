# BatchNormalization, GroupNormalization, InstanceNormalization.
# Never here: deciding whether a batch-norm is frozen (trainable.py), folding (fuse.py).
"""Normalisation layers."""

from __future__ import annotations

import numpy as np
from edgecl.export.context import Context, Node, Row
from edgecl.export.errors import Unsupported
from edgecl.export.ops.registry import handles


@handles("BatchNormalization")
def convert_batch_norm(context: Context, node: Node) -> None:
    """Inference and training form alike: the device decides per call. ONNX's momentum weighs the old value, the
    bundle's the new one."""
    row = context.row(node)
    params = [
        context.param(context.floats(node, index, role), role if index < 3 else "statistic")
        for index, role in enumerate(("gamma", "beta", "running mean", "running variance"), start=1)
    ]
    _check_lengths([param.values.size for param in params], row, "one number a channel")
    momentum = 1.0 - node.number("momentum", 0.9)
    if not 0.0 <= momentum <= 1.0:
        raise Unsupported(f"expected momentum in 0..1; found {1.0 - momentum}", "set a fixed momentum (0.1 in PyTorch)")
    if (params[3].values < 0).any():
        raise Unsupported("negative running variance", "repair the model's statistics")
    result = context.emit(
        node,
        "batch_norm",
        [row],
        row.dims,
        params=params,
        epsilon=node.number("epsilon", 1e-5),
        momentum=float(np.float32(momentum)),
    )
    context.bind(node, result)


@handles("GroupNormalization")
def convert_group_norm(context: Context, node: Node) -> None:
    """Scale and bias a channel (operator set 21) or a group (18); the latter are repeated for the channels of the
    group."""
    row = context.row(node)
    groups = node.integer("num_groups", 1)
    channels = row.dims[0] if row.dims else 1
    if groups < 1 or channels % groups:
        raise Unsupported(f"expected {channels} channels in whole groups; found {groups} groups", "correct num_groups")
    params = []
    for index, role in ((1, "gamma"), (2, "beta")):
        constant = context.floats(node, index, role)
        if constant.values.size == groups and groups != channels:
            params.append(context.param(constant, "fixed", np.repeat(constant.values.reshape(-1), channels // groups)))
        else:
            params.append(context.param(constant, role))
    _check_lengths([param.values.size for param in params], row, "one number a channel")
    result = context.emit(
        node, "group_norm", [row], row.dims, params=params, epsilon=node.number("epsilon", 1e-5), i=(groups,)
    )
    context.bind(node, result)


@handles("InstanceNormalization")
def convert_instance_norm(context: Context, node: Node) -> None:
    """Group normalisation with one channel a group."""
    row = context.row(node)
    params = [context.param(context.floats(node, index, role), role) for index, role in ((1, "gamma"), (2, "beta"))]
    _check_lengths([param.values.size for param in params], row, "one number a channel")
    result = context.emit(
        node, "group_norm", [row], row.dims, params=params, epsilon=node.number("epsilon", 1e-5), i=(row.dims[0],)
    )
    context.bind(node, result)


def _check_lengths(lengths: list[int], row: Row, what: str) -> None:
    channels = row.dims[0] if row.dims else 1
    if any(length != channels for length in lengths):
        raise Unsupported(f"expected {what} ({channels}); found {lengths}", "correct the node's parameters")
