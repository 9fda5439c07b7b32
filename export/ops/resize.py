# Resize and Upsample.
# Never here: emitting views (views.py).
"""Maps of other sizes."""

from __future__ import annotations

from math import floor, prod

import numpy as np
import onnx
from edgecl.export.context import Constant, Context, Node, Row
from edgecl.export.errors import Unsupported
from edgecl.export.ops.registry import handles
from edgecl.export.ops.slices import BATCH
from edgecl.export.ops.views import permute, take
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator

_MAX_WEIGHTS = 1 << 20  # scalars of the matrix of one axis


@handles("Resize", "Upsample")
def convert_resize(context: Context, node: Node) -> None:
    """To sizes or by factors that are known now. Nearest neighbours are a view; linear and cubic interpolation, axis by
    axis, a 1 x 1 convolution of fixed weights with that axis as its channels."""
    row = context.row(node)
    mode = node.text("mode", "nearest")
    own = (context.batch, *row.dims)
    places = {"Upsample": (1, 9)}.get(node.op_type, (2, 3) if len(node.inputs) > 2 else (1, 9))
    axes = [axis % len(own) for axis in node.integers("axes", list(range(len(own))))]
    factors: list[float] = [1.0] * len(own)
    sizes = list(own)
    if node.has_input(places[1]):
        for axis, size in zip(axes, context.integers(node, places[1], "sizes"), strict=True):
            sizes[axis], factors[axis] = size, size / own[axis]
    else:
        scales = (
            [float(v) for v in context.constant(node, places[0], "scales").values.reshape(-1)]
            if node.has_input(places[0])
            else [float(v) for v in node.attributes.get("scales", [])]
        )
        for axis, scale in zip(axes, scales, strict=True):
            factors[axis], sizes[axis] = scale, floor(own[axis] * scale)
    if sizes[0] != own[0]:
        raise Unsupported("a resize of the batch axis", BATCH)
    if node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Unsupported("a resize that keeps the aspect ratio", "give the sizes that follow from it")
    if node.text("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        raise Unsupported("a resize of a part", "slice it first")
    old = node.op_type == "Upsample" or context.opset < 11
    where = "asymmetric" if old else node.text("coordinate_transformation_mode", "half_pixel")
    rounding = "floor" if old else node.text("nearest_mode", "round_prefer_floor")
    for axis in range(1, len(own)):
        if sizes[axis] == own[axis] and factors[axis] == 1.0:
            continue
        if mode != "nearest":
            row = _interpolated(
                context, node, row, axis - 1, _weights(context, node, own[axis], sizes[axis], factors[axis])
            )
        else:
            indices = _nearest(own[axis], sizes[axis], factors[axis], where, rounding)
            row = take(context, node, row, axis - 1, indices)
    context.bind(node, row)


def _weights(context: Context, node: Node, own: int, size: int, factor: float) -> NDArray[np.float32]:
    """The matrix [size][own] of an interpolation along one axis: the node itself, run on the rows of an identity."""
    if own * size > _MAX_WEIGHTS:
        raise Unsupported(f"an interpolation from {own} to {size} cells", "use nearest neighbours")
    proto = onnx.NodeProto()
    proto.CopyFrom(node.proto)
    kept = [a for a in proto.attribute if a.name not in ("axes", "scales")]
    del proto.attribute[:]
    proto.attribute.extend(kept)
    opset, new = context.opset, node.op_type == "Resize" and context.opset >= 11
    given = "sizes" if new and node.has_input(3) else "scales"
    places = {"scales": 2, "sizes": 3}
    if not new:  # which the evaluator knows for nearest neighbours alone
        proto.op_type, opset = "Resize", 11
        proto.attribute.append(helper.make_attribute("coordinate_transformation_mode", "asymmetric"))
    proto.input[:] = ["x", *[""] * (places[given] - 1), given]
    proto.output[:] = ["y"]
    values = np.array([own, size], np.int64) if given == "sizes" else np.array([1.0, factor], np.float32)
    identity = np.eye(own, dtype=np.float32)
    evaluator = ReferenceEvaluator(proto, opsets={"": opset})
    (result,) = evaluator.run(None, {"x": identity, given: values})
    return np.ascontiguousarray(np.asarray(result, np.float32).T)


def _interpolated(context: Context, node: Node, row: Row, axis: int, weights: NDArray[np.float32]) -> Row:
    before, after = prod(row.dims[:axis]), prod(row.dims[axis + 1 :])
    size, own = weights.shape
    dims = (*row.dims[:axis], size, *row.dims[axis + 1 :])
    block = permute(context, node, context.reshape(node, row, (before, own, after)), (1, 0, 2))
    kernel = context.param(Constant(f"{node.name}.axis{axis}", weights), "fixed", weights.reshape(size, own, 1, 1))
    turned = context.emit(node, "conv", [block], (size, before, after), params=[kernel, None], suffix=f"axis{axis}")
    return context.reshape(node, permute(context, node, turned, (1, 0, 2)), dims)


def _nearest(own: int, size: int, factor: float, where: str, rounding: str) -> NDArray[np.int64]:
    """The source of each output cell along one axis (ONNX Resize)."""
    x = np.arange(size, dtype=np.float64)
    if where == "asymmetric":
        at = x / factor
    elif where in ("half_pixel", "pytorch_half_pixel"):
        at = (x + 0.5) / factor - 0.5
        if where == "pytorch_half_pixel" and size == 1:
            at = x * 0
    elif where == "half_pixel_symmetric":
        adjustment = size / (factor * own)
        at = own / 2 * (1 - adjustment) + (x + 0.5) / factor - 0.5
    elif where == "align_corners":
        at = x * (own - 1) / (size - 1) if size > 1 else x * 0
    else:
        raise Unsupported(f"a resize of coordinates '{where}'", "use 'asymmetric' or 'half_pixel'")
    if rounding == "round_prefer_floor":
        found = np.ceil(at - 0.5)
    elif rounding == "round_prefer_ceil":
        found = np.floor(at + 0.5)
    else:
        found = np.floor(at) if rounding == "floor" else np.ceil(at)
    return np.clip(found, 0, own - 1).astype(np.int64)
