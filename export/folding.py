# Constant folding: nodes whose inputs are all known are evaluated at export, by the rules of their own operator set.
# Never here: nodes that depend on the network's input (ops/).
"""`fold` evaluates one node, `origin` finds the initialiser that a folded constant is a part of."""

from __future__ import annotations

from collections.abc import Container
from functools import lru_cache
from typing import Any

import numpy as np
import onnx
from edgecl.export.context import ROW, Constant, Context, Node
from edgecl.export.errors import Unsupported
from edgecl.export.graph import Dims
from edgecl.export.opset import changed_since, upgraded_node
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

_ORDER_KEEPING = ("Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast")
_PRODUCTS = ("Mul", "MatMul")
_MOVING = ("Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Concat", "Slice", "Split", "Gather")


def can_fold(proto: onnx.NodeProto) -> bool:
    """Its outputs depend on its inputs alone, and it holds no graph of its own."""
    return not proto.op_type.startswith("Random") and not any(
        attribute.type == onnx.AttributeProto.GRAPH for attribute in proto.attribute
    )


def fold(context: Context, node: Node, constants: list[Constant]) -> None:
    """Binds the outputs of a node, and keeps track of initialisers whose numbers only move.

    Raises:
        Unsupported: the evaluator cannot.
    """
    if node.op_type == "Constant" and "value" in node.attributes:
        context.bind(node, Constant(node.outputs[0], numpy_helper.to_array(node.attributes["value"])))
        return
    feeds = {key: context.environment[key] for key in node.inputs if key}
    values = {key: value.values for key, value in feeds.items() if isinstance(value, Constant)}
    try:
        results = [np.asarray(result) for result in _evaluate(node.proto, values, context.opset)]
    except Exception as error:  # the evaluator raises whatever its operators raise
        raise Unsupported(
            f"a constant expression that could not be evaluated ({error})", "simplify the model before export"
        ) from error
    for index, array in enumerate(results):
        source: str | None = None
        shape: Dims = ()
        transposed = False
        if constants and constants[0].source is not None and array.dtype == constants[0].values.dtype:
            first = constants[0]
            same = node.op_type in ("Expand", "Tile") and array.size == first.values.size
            if (same or node.op_type in _ORDER_KEEPING) and not first.transposed:
                source, shape = first.source, first.source_shape
            elif (
                node.op_type == "Transpose"
                and array.ndim == 2
                and not np.array_equal(node.attributes.get("perm", [1, 0]), [0, 1])
            ):
                source, shape, transposed = first.source, first.source_shape, not first.transposed
        one = _repeated(context, node, constants[0], array) if constants else None
        context.bind(node, Constant(node.outputs[index], array, source, shape, transposed, one), index)
        context.folded[node.outputs[index]] = node.proto


def origin(context: Context, key: str, part: tuple[Any, ...]) -> tuple[str | None, bool]:
    """The initialiser that all numbers of a part of a constant come from, only moved, and whether the part is all of
    it. PyTorch writes its gates in another order: slices of a weight, joined."""
    names: list[str] = []
    numbers = _origins(context, key, names)[part].reshape(-1)
    if numbers.size == 0 or numbers.min() < 0:
        return None, False
    first = int(numbers[0] >> _BITS)
    if np.any(numbers >> _BITS != first):
        return None, False
    places = np.sort(numbers & ((1 << _BITS) - 1))
    held = context.environment[names[first]]
    whole = isinstance(held, Constant) and np.array_equal(places, np.arange(held.values.size))
    return names[first], whole


def picked(context: Context, key: str) -> tuple[str, NDArray[np.int64]] | None:
    """The one initialiser whose numbers a folded constant picks, and the place of each there; None: it is computed, or
    picks from several."""
    if key not in context.folded:
        return None
    names: list[str] = []
    numbers = _origins(context, key, names)
    if numbers.size == 0 or numbers.min() < 0 or np.any(numbers >> _BITS != numbers.reshape(-1)[0] >> _BITS):
        return None
    return names[int(numbers.reshape(-1)[0] >> _BITS)], numbers & ((1 << _BITS) - 1)


def sources_of(context: Context, key: str, behind: Container[str] = ()) -> list[str]:
    """The initialisers whose numbers went into a folded constant, or which it is; not those that did by operators of
    the types `behind`."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    waiting = [key.removesuffix(ROW)]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        proto = context.folded.get(name)
        if proto is None:
            held = context.environment.get(name)
            if isinstance(held, Constant) and held.source is not None:
                found[held.source] = None
        elif proto.op_type not in ("Shape", "Size") and proto.op_type not in behind:
            zeros = [given for given in proto.input if proto.op_type in _PRODUCTS and _is_zero(context, given)]
            waiting += zeros or proto.input  # what meets zeros, a state that begins, counts for nothing
    return list(found)


def _is_zero(context: Context, key: str) -> bool:
    held = context.environment.get(key)
    return isinstance(held, Constant) and held.values.dtype == np.float32 and not held.values.any()


_BITS = 40  # of a place in an initialiser; the number of the initialiser stands above


def _origins(context: Context, key: str, names: list[str]) -> NDArray[np.int64]:
    """Which initialiser each number of a constant comes from, and its place there; -1 where it is computed."""
    held = context.environment.get(key)
    assert isinstance(held, Constant)
    proto = context.folded.get(key)
    if proto is None and held.source == key:
        if key not in names:
            names.append(key)
        places = np.arange(held.values.size, dtype=np.int64) + (names.index(key) << _BITS)
        return places.reshape(held.values.shape)
    if proto is None or proto.op_type not in _MOVING:
        return np.full(held.values.shape, -1, np.int64)
    moved = len(proto.input) if proto.op_type == "Concat" else 1
    values: dict[str, NDArray[Any]] = {}
    for index, name in enumerate(proto.input):
        given = context.environment.get(name)
        if isinstance(given, Constant):
            values[name] = _origins(context, name, names) if index < moved else given.values
    results = _evaluate(proto, values, context.opset)
    return np.asarray(results[list(proto.output).index(key)], np.int64)


def _repeated(context: Context, node: Node, first: Constant, array: NDArray[Any]) -> Constant | None:
    """What Expand and Tile repeat for each row of a batch: class tokens, positions. Reshapes of that keep it."""
    if first.one is not None and node.op_type in _ORDER_KEEPING and array.shape[:1] == (context.batch,):
        first = first.one
    elif node.op_type not in ("Expand", "Tile") or array.size != context.batch * first.values.size:
        return None
    values = first.values.reshape(1, *array.shape[1:]) if array.shape[:1] == (context.batch,) else first.values
    fits = values.ndim <= array.ndim and all(
        own in (1, size) for own, size in zip(values.shape[::-1], array.shape[::-1], strict=False)
    )
    if not fits or array.dtype != values.dtype or not np.array_equal(np.broadcast_to(values, array.shape), array):
        return None
    return Constant(first.name, values, first.source, first.source_shape, first.transposed)


def _evaluate(proto: onnx.NodeProto, values: dict[str, NDArray[Any]], opset: int) -> list[Any]:
    """The evaluator takes a node alone as one of the newest operator set, whatever it is told; so older ones are
    rewritten first. That takes longer than all else of a fold, so nodes alike are rewritten once."""
    if not changed_since(proto.op_type, opset):
        return list(ReferenceEvaluator(proto).run(None, values))
    places = {key: f"i{k}" for k, key in enumerate(dict.fromkeys(key for key in proto.input if key))}
    alike = onnx.NodeProto(op_type=proto.op_type, domain=proto.domain, attribute=proto.attribute)
    alike.input.extend(places.get(key, "") for key in proto.input)
    alike.output.extend(f"o{k}" if key else "" for k, key in enumerate(proto.output))
    kinds = tuple((name, values[key].dtype.str, values[key].shape) for key, name in places.items())
    evaluator = _evaluator(alike.SerializeToString(deterministic=True), kinds, opset)
    return list(evaluator.run(None, {name: values[key] for key, name in places.items()}))


@lru_cache(maxsize=1024)
def _evaluator(node: bytes, inputs: tuple[tuple[str, str, tuple[int, ...]], ...], opset: int) -> ReferenceEvaluator:
    given = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), shape)
        for name, kind, shape in inputs
    ]
    return ReferenceEvaluator(upgraded_node(onnx.NodeProto.FromString(node), given, opset))
