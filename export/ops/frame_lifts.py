# Operators over several maps of one row, [N * maps][C][...].
# Never here: operators whose form does not depend on maps (batch_lift.py), stacking maps (frames.py).
"""`FRAME_LIFTS`: operator -> function that converts a node of it over such a tensor."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
from edgecl.export.context import BatchAt, Constant, Context, Node, Row
from edgecl.export.errors import Unfit
from edgecl.export.norm_patterns import JOINED
from edgecl.export.ops.batch_axis import BATCH_FIRST, settled, whole
from edgecl.export.ops.elementwise import combine
from edgecl.export.ops.frames import convolve_frames
from edgecl.export.ops.registry import HANDLERS
from edgecl.export.ops.views import permute


def _maps(context: Context, node: Node) -> BatchAt:
    """Input 0, of which one row has several maps."""
    value = whole(context, node)
    if value.axis not in (0, None) or len(value.row.dims) < 3:
        raise Unfit(value.reason, BATCH_FIRST)
    return value


def _bind(context: Context, node: Node, value: BatchAt, row: Row) -> None:
    context.environment[node.outputs[0]] = settled(context, node, row, value.axis, value.outer, value.inner)


def _on_channels(context: Context, node: Node, twin: Node, row: Row) -> Row:
    """What an operator makes of all channels side by side, by maps again."""
    twin.inputs = [f"{node.outputs[0]}/maps", *twin.inputs[1:]]
    twin.outputs = [f"{node.outputs[0]}/by maps"]
    maps, channels, *sizes = row.dims
    context.environment[twin.inputs[0]] = context.reshape(node, row, (maps * channels, *sizes))
    HANDLERS[twin.op_type](context, twin)
    made = context.environment[twin.outputs[0]]
    assert isinstance(made, Row)
    return context.reshape(node, made, (maps, made.dims[0] // maps, *made.dims[1:]))


def _convolution(context: Context, node: Node) -> None:
    """One convolution over all maps of a row."""
    value = _maps(context, node)
    turned = [1, 0, *range(2, len(value.row.dims))]
    weight = context.floats(node, 1, "weight")
    bias = context.param(context.floats(node, 2, "bias"), "bias") if node.has_input(2) else None
    made = convolve_frames(context, node, permute(context, node, value.row, turned), weight, bias)
    _bind(context, node, value, permute(context, node, made, turned))


def _channel_by_channel(context: Context, node: Node) -> None:
    """Operators that do the same to each channel."""
    value = _maps(context, node)
    _bind(context, node, value, _on_channels(context, node, copy.copy(node), value.row))


def _resize(context: Context, node: Node) -> None:
    """As that; a size for each axis names the channels too."""
    value, twin = _maps(context, node), copy.copy(node)
    if node.op_type == "Resize" and node.has_input(3) and not node.integers("axes", []):
        sizes = context.integers(node, 3, "sizes")
        key = f"{node.outputs[0]}/sizes"
        channels = value.row.dims[0] * sizes[1]
        context.environment[key] = Constant(key, np.array([context.batch, channels, *sizes[2:]], np.int64))
        twin.inputs = [*node.inputs[:3], key]
    _bind(context, node, value, _on_channels(context, node, twin, value.row))


def _pixel_shuffle(context: Context, node: Node) -> None:
    """Where the channels of a block lie together."""
    if node.text("mode", "DCR") != "CRD":
        raise Unfit(_maps(context, node).reason, BATCH_FIRST)
    _channel_by_channel(context, node)


def _instance_norm(context: Context, node: Node) -> None:
    """A norm over each channel of each map, then factors and offsets of the channels. PyTorch writes a group norm of
    tokens, [N * T][C], so."""
    value, twin = _maps(context, node), copy.copy(node)
    row = value.row
    twin.op_type, twin.inputs = JOINED, node.inputs[:1]
    twin.attributes = {"axes": list(range(2, len(row.dims))), "epsilon": node.number("epsilon", 1e-5)}
    made = _on_channels(context, node, twin, row)
    for index, kind, neutral in ((1, "mul", 1.0), (2, "add", 0.0)):
        constant = context.floats(node, index, "a number a channel")
        role = "scale" if kind == "mul" else "offset"
        learns = constant.source is not None and context.learns(constant.source, role)
        if learns or np.any(constant.values != neutral):
            values = constant.values.reshape(1, 1, -1, *(1 for _ in row.dims[2:]))
            held = Constant(constant.name, values, constant.source, constant.source_shape)
            made = combine(context, node, kind, made, held, role)
    _bind(context, node, value, made)


_POOLS = ("AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool")
FRAME_LIFTS: dict[str, Callable[[Context, Node], None]] = {
    **dict.fromkeys(_POOLS, _channel_by_channel),
    "Conv": _convolution,
    "DepthToSpace": _pixel_shuffle,
    "InstanceNormalization": _instance_norm,
    "Resize": _resize,
    "Upsample": _resize,
}
