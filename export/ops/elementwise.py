# Add, Sub, Mul, Div, Max, Min, Sum, Mean and Pow of tensors and constants, with broadcasting over the axes of a row.
# Never here: fusing a constant into a bias (fuse.py).
"""Elementwise arithmetic."""

from __future__ import annotations

from math import prod

import numpy as np
from edgecl.export.context import Constant, Context, Node, Norm, Row
from edgecl.export.errors import Unfit, Unsupported
from edgecl.export.graph import FLOAT_MAX, Activation, Dims, canonical
from edgecl.export.ops.l2_norm import at_least, is_epsilon, normalize
from edgecl.export.ops.rearrange import constant_row
from edgecl.export.ops.reduce import apply, one_over
from edgecl.export.ops.registry import handles
from edgecl.export.ops.tables import picked_row
from edgecl.export.ops.views import expand
from numpy.typing import NDArray

MASKED = np.float32(-1e30)  # for minus infinity in a sum: its softmax is 0 as well, and it stays finite


@handles("Add")
def convert_add(context: Context, node: Node) -> None:
    """a + b."""
    context.bind(node, combine(context, node, "add", context.value(node, 0), context.value(node, 1)))


@handles("Mul")
def convert_mul(context: Context, node: Node) -> None:
    """a * b."""
    context.bind(node, combine(context, node, "mul", context.value(node, 0), context.value(node, 1)))


@handles("Sub")
def convert_sub(context: Context, node: Node) -> None:
    """a - b."""
    context.bind(node, difference(context, node, context.value(node, 0), context.value(node, 1)))


def difference(context: Context, node: Node, left: Row | Constant, right: Row | Constant) -> Row:
    """left - right as left + (-right), one of them a row: the negation is done now for a constant, else by an operator
    (exact). A right side that learns stays as it is: -(-left + right), which has the same bits."""
    if isinstance(left, Row) and isinstance(right, Constant) and _learns(context, right, "offset"):
        turned = combine(context, node, "add", apply(context, node, left, "negate"), right)
        return apply(context, node, turned, "negate")
    negated = (
        _derived(right, "negated", -right.values)
        if isinstance(right, Constant)
        else apply(context, node, right, "negate")
    )
    return combine(context, node, "add", left, negated)


@handles("Div")
def convert_div(context: Context, node: Node) -> None:
    """a / b as a * (1 / b), the reciprocal rounded once; a over its own norm as one operator. A b that learns is a
    row of its own."""
    left = context.value(node, 0)
    norm = context.environment.get(node.inputs[1])
    if isinstance(norm, Norm) and left == norm.row:
        context.bind(node, normalize(context, node, norm))
        return
    right = context.value(node, 1)
    if isinstance(left, Row) and isinstance(right, Constant) and _learns(context, right, "offset"):
        right = constant_row(context, node, _with_axes(right, len(left.dims) + 1), left)
    if isinstance(right, Constant):
        factor: Row | Constant = one_over(context.floats(node, 1, "divisor"))
    else:
        factor = apply(context, node, right, "reciprocal")
    context.bind(node, combine(context, node, "mul", left, factor))


@handles("Sum", "Mean")
def convert_sum(context: Context, node: Node) -> None:
    """Of any number of operands, one after the other."""
    total = context.value(node, 0)
    for index in range(1, len(node.inputs)):
        total = combine(context, node, "add", total, context.value(node, index), suffix=f"sum{index}")
    if isinstance(total, Constant):
        raise Unsupported(
            "expected an operand that depends on the network's input; found constants", "compute it beforehand"
        )
    if node.op_type == "Mean" and len(node.inputs) > 1:
        share = Constant(f"{node.name}.share", np.full((), 1.0 / len(node.inputs), np.float32))
        total = combine(context, node, "mul", total, share)
    context.bind(node, total)


@handles("Max", "Min")
def convert_extremum(context: Context, node: Node) -> None:
    """Of any number of operands; a constant of one number bounds the others. The larger of a norm and a constant is the
    norm with an epsilon."""
    values = [context.environment.get(key) for key in node.inputs]
    norms = [value for value in values if isinstance(value, Norm)]
    constants = [value for value in values if isinstance(value, Constant)]
    if node.op_type == "Max" and len(values) == 2 and norms and constants and is_epsilon(constants[0].values):
        context.environment[node.outputs[0]] = at_least(norms[0], constants[0].values)
        return
    rows = [context.row(node, k) for k in range(len(node.inputs)) if not isinstance(values[k], Constant)]
    kind = "maximum" if node.op_type == "Max" else "minimum"
    result = rows[0]
    for other in rows[1:]:
        result = _of_two(context, node, kind, result, other)
    for constant in constants:
        bound = np.unique(constant.values.astype(np.float32))
        if bound.size != 1:
            result = _of_two(context, node, kind, result, _bounds_row(context, node, constant, len(result.dims)))
            continue
        lo, hi = (float(bound[0]), FLOAT_MAX) if kind == "maximum" else (-FLOAT_MAX, float(bound[0]))
        lo, hi = (float(np.clip(limit, -FLOAT_MAX, FLOAT_MAX)) for limit in (lo, hi))
        result = (
            apply(context, node, result, "relu")
            if (lo, hi) == (0.0, FLOAT_MAX)
            else apply(context, node, result, "clip", lo, hi)
        )
    context.bind(node, result)


@handles("Pow")
def convert_pow(context: Context, node: Node) -> None:
    """A constant exponent: those that have operators of their own, and any that is no integer, as exp(exponent * log),
    which of negative numbers is not defined either. So too an exponent that learns, of numbers above zero."""
    row, given = context.row(node), context.value(node, 1)
    if isinstance(given, Row) or _learns_above_zero(context, row, given):
        logarithm = apply(context, node, row, "log")
        product = combine(context, node, "mul", logarithm, given, suffix="scaled")
        context.bind(node, apply(context, node, product, "exp"))
        return
    exponents = np.unique(context.constant(node, 1, "exponent").values.astype(np.float64))
    exponent = float(exponents[0])
    if exponents.size != 1 or (exponent not in _POWERS and exponent.is_integer()):
        whole = sorted(power for power in _POWERS if power.is_integer())
        raise Unsupported(
            f"expected one exponent, among {whole} or no integer; found {exponents.tolist()}", "use one of these"
        )
    context.bind(node, power(context, node, row, exponent))


def _learns_above_zero(context: Context, row: Row, exponent: Constant) -> bool:
    made = context.graph.producer(row.tensor)
    kind = made.activation if made is not None and made.kind == "activation" else Activation()
    above = kind.kind in ("exp", "sigmoid", "softplus") or (kind.kind == "clip" and kind.lo > 0.0)
    return above and exponent.source is not None and context.learns_computed(exponent.source)


def power(context: Context, node: Node, row: Row, exponent: float) -> Row:
    """Row ** exponent, of rows >= 0 where it is no integer."""
    if exponent in _POWERS:
        for kind in _POWERS[exponent]:
            row = apply(context, node, row, kind)
        return row
    factor = Constant(f"{node.name}.exponent", np.full((1, 1, 1), exponent, np.float32))
    logarithm = apply(context, node, row, "log")
    scaled = context.emit(node, "mul", [logarithm], row.dims, params=[context.param(factor, "fixed")], suffix="scaled")
    return apply(context, node, scaled, "exp")


_POWERS: dict[float, tuple[str, ...]] = {
    -2.0: ("square", "reciprocal"), -1.0: ("reciprocal",), -0.5: ("reciprocal_sqrt",), 0.25: ("sqrt", "sqrt"),
    0.5: ("sqrt",), 1.0: (), 2.0: ("square",), 3.0: ("cube",), 4.0: ("square", "square"),
}  # fmt: skip


def _bounds_row(context: Context, node: Node, constant: Constant, rank: int) -> Row:
    """Bounds that differ, which may learn."""
    held = context.one_for_all(constant, rank + 1)
    shape = (1,) * (rank + 1 - held.values.ndim) + held.values.shape
    whole = Constant(held.name, held.values.reshape(shape), held.source, held.source_shape)
    given = Row(context.graph.input, context.graph.input_dims)
    like = context.reshape(node, given, (*(1,) * (rank - 1), prod(given.dims)))
    return constant_row(context, node, whole, like)


def _of_two(context: Context, node: Node, kind: str, left: Row, right: Row) -> Row:
    dims = _common(left, right)
    left, right = expand(context, node, left, dims), expand(context, node, right, dims)
    if left.tensor == right.tensor:
        return left
    return context.emit(node, kind, [left, right], dims)


def _common(left: Row, right: Row) -> Dims:
    if len(left.dims) != len(right.dims):
        raise Unfit(f"rows of {left.dims} and {right.dims}: their batch axes do not line up", "give both the same rank")
    if any(a != b and 1 not in (a, b) for a, b in zip(left.dims, right.dims, strict=True)):
        raise Unsupported(f"rows of {left.dims} and {right.dims} do not go together", "correct the operands")
    return tuple(max(a, b) for a, b in zip(left.dims, right.dims, strict=True))


def _learns(context: Context, constant: Constant, role: str) -> bool:
    """Its numbers are those of a parameter, which would not learn through others that are computed from them now."""
    return constant.source is not None and context.learns(constant.source, role)


def _with_axes(constant: Constant, rank: int) -> Constant:
    """With as many axes, those in front of size 1."""
    values = constant.values.reshape((1,) * (rank - constant.values.ndim) + constant.values.shape)
    return Constant(constant.name, values, constant.source, constant.source_shape, constant.transposed)


def _derived(constant: Constant, what: str, values: NDArray[np.float32]) -> Constant:
    return Constant(f"{constant.name}.{what}", values)


def combine(
    context: Context, node: Node, kind: str, left: Row | Constant, right: Row | Constant, suffix: str | None = None
) -> Row:
    """left + right ("add") or left * right ("mul"), one of them a row."""
    if isinstance(left, Constant):
        left, right = right, left
    if isinstance(left, Constant):
        raise Unsupported(
            "expected an operand that depends on the network's input; found two constants", "compute it beforehand"
        )
    if isinstance(right, Constant):
        learned = picked_row(context, node, right, left)
        if learned is not None:
            return combine(context, node, kind, left, learned, suffix)
        right = context.one_for_all(right, len(left.dims) + 1)
        left = _as_large_as(context, node, left, right)
        values = _of_row(left, right)
        if kind == "add" and np.isneginf(values).any():
            values = np.where(np.isneginf(values), MASKED, values)
        dims, inner = _merged(left.dims, values.shape)
        role = "scale" if kind == "mul" else "offset"
        if len(dims) > 3 and any(size != 1 for size in inner[2:]):
            if right.source is not None and context.learns(right.source, role):  # copies would learn apart
                held = Constant(right.name, values[None], right.source, right.source_shape)
                learned = expand(context, node, constant_row(context, node, held, left), left.dims)
                return combine(context, node, kind, left, learned, suffix)
            values = np.broadcast_to(values.reshape(inner), (*inner[:2], *dims[2:]))
            inner = values.shape
        front = context.reshape(node, left, dims)
        param = context.param(right, role, np.ascontiguousarray(values).reshape(canonical(inner)))
        made = context.emit(node, kind, [front], dims, params=[param], suffix=suffix)
        return context.reshape(node, made, left.dims)
    dims = _common(left, right)
    if left.dims != dims:
        left, right = right, left
    left = expand(context, node, left, dims)
    if len(dims) > 3 and right.dims != dims:
        right = expand(context, node, right, dims)
    if left.tensor == right.tensor and kind == "mul":
        return apply(context, node, left, "square")
    if left.tensor == right.tensor:  # a tensor with itself: through a copy, so that each operand has its own gradient
        one = context.param(Constant(f"{node.name}.one", np.ones((1, 1, 1), np.float32)), "fixed")
        right = context.emit(node, "mul", [right], right.dims, params=[one], suffix="copy")
    return context.emit(node, kind, [left, right], left.dims, suffix=suffix)


def _as_large_as(context: Context, node: Node, row: Row, constant: Constant) -> Row:
    """The row, repeated where a constant has more elements along an axis of size 1."""
    shape = constant.values.shape
    if len(shape) > len(row.dims) + 1 or (len(shape) == len(row.dims) + 1 and shape[0] != 1):
        return row  # a fault that _of_row tells
    inner = ((1,) * len(row.dims) + shape)[-len(row.dims) :] if row.dims else ()
    if any(a != b and 1 not in (a, b) for a, b in zip(inner, row.dims, strict=True)):
        return row
    return expand(context, node, row, tuple(max(a, b) for a, b in zip(inner, row.dims, strict=True)))


def _fits(small: Dims, large: Dims) -> bool:
    return all(a == b or a == 1 for a, b in zip(small, large, strict=True))


def _of_row(row: Row, constant: Constant) -> NDArray[np.float32]:
    """The constant with as many axes as the row, each of its size or 1."""
    if constant.values.dtype != np.float32:
        raise Unsupported(
            f"expected a constant of float32; found {constant.values.dtype}", "convert the model to float32 first"
        )
    shape = constant.values.shape
    rank = len(row.dims) + 1
    if len(shape) > rank or (len(shape) == rank and shape[0] != 1):
        raise Unsupported(
            f"a constant of shape {shape} reaches over the batch axis of rows {row.dims}", "make it one for all rows"
        )
    inner: Dims = ((1,) * rank + shape)[-len(row.dims) :] if row.dims else ()
    if not _fits(inner, row.dims):
        raise Unsupported(f"a constant of shape {shape} would enlarge rows of {row.dims}", "correct the shapes")
    return constant.values.reshape(inner)


def _merged(dims: Dims, inner: Dims) -> tuple[Dims, Dims]:
    """A row of more than three axes, and a constant for it, with neighbours made one where the constant has all of both
    or repeats along both: a tensor holds three axes, and a number that stands in it twice would learn as two."""
    if len(dims) <= 3 or all(size == 1 for size in inner[2:]) or inner[2:] == dims[2:]:
        return dims, inner
    wide, narrow = [dims[0]], [inner[0]]
    for size, own in zip(dims[1:], inner[1:], strict=True):
        if size == 1 or (own == 1) == (narrow[-1] == 1) or wide[-1] == 1:
            wide[-1], narrow[-1] = wide[-1] * size, narrow[-1] * own
        else:
            wide.append(size)
            narrow.append(own)
    return tuple(wide), tuple(narrow)
