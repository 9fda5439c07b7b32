# Gemm and MatMul with one constant side.
# Never here: fusing with what follows (fuse.py), products of two tensors (products.py).
"""Linear layers."""

from __future__ import annotations

from math import prod

import numpy as np
from edgecl.export.context import Constant, Context, Node, Row
from edgecl.export.errors import Unfit, Unsupported
from edgecl.export.graph import Param
from edgecl.export.ops.products import product
from edgecl.export.ops.rearrange import constant_row
from edgecl.export.ops.registry import handles
from edgecl.export.ops.views import permute
from edgecl.export.ops.windows import MAX_TAPS
from numpy.typing import NDArray

_MAX_COPIED_WEIGHTS = 1 << 22  # scalars that a matrix may grow to when it has to be repeated for every position


def meets_used_weight(context: Context, node: Node) -> bool:
    """A linear layer of a constant (a state of zeros in front of a recurrent cell) whose weight other nodes use too: as
    a constant, this use would be lost to the weight and the bias."""
    if node.op_type not in ("Gemm", "MatMul"):
        return False
    left, right = (context.environment.get(key) for key in node.inputs[:2])
    if not isinstance(left, Constant) or not isinstance(right, Constant) or right.source is None:
        return False
    if left.values.dtype != np.float32 or left.values.ndim < 2 or context.uses[right.source] < 2:
        return False
    return context.one_for_all(left, left.values.ndim).values.shape[0] == 1 and context.learns(right.source, "weight")


def _operand(context: Context, node: Node) -> Row | Constant:
    """Input 0; a constant beside a weight of several uses as a row."""
    value = context.value(node, 0)
    if isinstance(value, Row) or not meets_used_weight(context, node):
        return value
    given = Row(context.graph.input, context.graph.input_dims)
    dims = (*([1] * (value.values.ndim - 2)), prod(given.dims))
    return constant_row(context, node, value, context.reshape(node, given, dims))


@handles("Gemm")
def convert_gemm(context: Context, node: Node) -> None:
    """alpha * x W + beta * c with x [N][I]: alpha and beta are folded into weight and bias."""
    if node.integer("transA", 0):
        raise Unfit(
            "expected transA = 0; found a product that mixes the rows of a batch", "transpose the input beforehand"
        )
    row = _operand(context, node)
    if isinstance(row, Constant):
        row = context.row(node)  # says why not
    constant = context.floats(node, 1, "weight")
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    transposed = not node.integer("transB", 0)  # the bundle's exporter holds [O][I]
    matrix = constant.values.T if transposed else constant.values
    if alpha != 1.0:
        matrix = matrix * np.float32(alpha)
    if not row.dims or matrix.ndim != 2 or matrix.shape[1] != row.dims[-1]:
        raise Unsupported(
            f"expected rows of {matrix.shape[-1]} numbers; found {row.dims}", "flatten the input of the layer"
        )
    bias = None
    if node.has_input(2) and beta != 0.0:
        offset = context.floats(node, 2, "bias")
        if offset.values.ndim > 1 and offset.values.shape[0] != 1:
            raise Unsupported(
                f"expected one bias for all rows; found {offset.values.shape}", "use a bias of shape [outputs]"
            )
        vector = np.broadcast_to(offset.values.reshape(-1) * np.float32(beta), (matrix.shape[0],))
        bias = context.param(offset, "bias", np.ascontiguousarray(vector))
    if len(row.dims) > 1:
        context.bind(node, over_tokens(context, node, row, constant, matrix, transposed, bias))
        return
    weight = context.param(constant, "weight", matrix, transposed)
    context.bind(node, context.emit(node, "linear", [row], (matrix.shape[0],), params=[weight, bias]))


def over_tokens(
    context: Context,
    node: Node,
    row: Row,
    constant: Constant,
    matrix: NDArray[np.float32],
    transposed: bool,
    bias: Param | None = None,
) -> Row:
    """One matrix [O][I] for all positions of rows [...][I]: features become channels, and the layer a 1 x 1 convolution
    with one weight. The transposes around it mostly cancel with those of its neighbours (transposes.py)."""
    outputs, inputs = matrix.shape
    places = prod(row.dims[:-1])
    weight = context.param(constant, "weight", matrix.reshape(outputs, inputs, 1, 1), transposed)
    front = permute(context, node, context.reshape(node, row, (places, inputs)), (1, 0))
    layer = context.emit(node, "conv", [front], (outputs, places), params=[weight, bias])
    return context.reshape(node, permute(context, node, layer, (1, 0)), (*row.dims[:-1], outputs))


@handles("MatMul")
def convert_matmul(context: Context, node: Node) -> None:
    """x W for constant W: a linear layer, of all positions alike; a stack of matrices: one a position. A x for constant
    A: a 1 x 1 convolution. Two tensors: matrices of each row."""
    left, right = _operand(context, node), context.value(node, 1)
    if isinstance(left, Row) and isinstance(right, Constant):
        context.bind(node, _rows_times_matrix(context, node, left, context.floats(node, 1, "matrix")))
    elif isinstance(right, Row) and isinstance(left, Constant):
        context.bind(node, _matrix_times_rows(context, node, context.floats(node, 0, "matrix"), right))
    elif isinstance(left, Row) and isinstance(right, Row):
        context.bind(node, product(context, node, left, right))
    else:
        raise Unsupported("a product of constants", "compute it beforehand")


def _rows_times_matrix(context: Context, node: Node, row: Row, constant: Constant) -> Row:
    values: NDArray[np.float32] = constant.values if constant.values.ndim > 1 else constant.values.reshape(-1, 1)
    if not row.dims or values.shape[-2] != row.dims[-1]:
        raise Unsupported(
            f"expected rows that end in {values.shape[-2]}; found {row.dims}", "flatten the input of the layer"
        )
    inputs, outputs = values.shape[-2:]
    lead = row.dims[:-1]
    result = (*lead, outputs) if constant.values.ndim > 1 else lead
    if prod(lead) == 1 and values.size == inputs * outputs:
        if constant.values.ndim == 2:
            weight = context.param(constant, "weight", values.T, True)
        else:
            weight = context.param(constant, "weight", values.reshape(inputs, outputs).T)
        flat = context.emit(node, "linear", [context.reshape(node, row, (inputs,))], (outputs,), params=[weight, None])
        return context.reshape(node, flat, result)
    if values.size == inputs * outputs:
        matrix = values.reshape(inputs, outputs).T
        layer = over_tokens(context, node, row, constant, matrix, values.ndim == 2 and constant.values.ndim == 2)
        return context.reshape(node, layer, result)
    if len(lead) == values.ndim - 2 and values.shape[0] == 1:
        values = values[0]  # a batch axis of one
    if prod(lead[:-1]) == 1 and len(lead) >= values.ndim - 1 and prod(values.shape[:-2]) > 1:
        return _rows_times_stack(context, node, row, constant.name, values)
    try:
        full = np.broadcast_to(values, (*lead[:-1], inputs, outputs))
    except ValueError:
        raise Unsupported(
            f"a stack of matrices {values.shape} would enlarge rows of {row.dims}", "keep that part outside"
        ) from None
    per_position = np.repeat(full.reshape(-1, inputs, outputs), lead[-1] if lead else 1, axis=0)
    flat = _matrix_a_position(context, node, row, constant.name, per_position)
    return context.reshape(node, flat, result)


def _rows_times_stack(context: Context, node: Node, row: Row, name: str, stack: NDArray[np.float32]) -> Row:
    """Rows [1]..[T][I] times S matrices, [S][T][O]: one matrix [I][S * O] a position, then S in front of T."""
    inputs, outputs = stack.shape[-2:]
    positions = row.dims[-2]
    matrices = stack.reshape(-1, inputs, outputs)
    wide = matrices.transpose(1, 0, 2).reshape(1, inputs, -1)
    flat = _matrix_a_position(context, node, row, name, np.repeat(wide, positions, axis=0))
    turned = permute(context, node, context.reshape(node, flat, (positions, len(matrices), outputs)), (1, 0, 2))
    lead = (*row.dims[: len(row.dims) - stack.ndim], *stack.shape[:-2])
    return context.reshape(node, turned, (*lead, positions, outputs))


def _matrix_a_position(context: Context, node: Node, row: Row, name: str, matrices: NDArray[np.float32]) -> Row:
    """Positions [P][I] times a matrix [P][I][O] each: a grouped convolution whose groups are the positions."""
    copies, inputs, outputs = matrices.shape
    if inputs > MAX_TAPS or copies * inputs * outputs > _MAX_COPIED_WEIGHTS:
        raise Unsupported(
            f"a {inputs} x {outputs} matrix over {copies} positions is too large to repeat", "use a 1 x 1 convolution"
        )
    kernel = matrices.transpose(0, 2, 1).reshape(copies * outputs, 1, 1, inputs)
    weight = context.param(Constant(f"{name}.per_position", np.ascontiguousarray(kernel)), "fixed")
    weight.computed = True
    return context.emit(
        node,
        "conv",
        [context.reshape(node, row, (copies, 1, inputs))],
        (copies * outputs, 1, 1),
        params=[weight, None],
        kernel=(1, inputs),
        groups=copies,
    )


def _matrix_times_rows(context: Context, node: Node, constant: Constant, row: Row) -> Row:
    """One matrix [M][K] for rows [K][T], or one for each matrix of rows [...][K][T]: 1 x 1 convolutions of K channels,
    in as many groups."""
    lead = row.dims[:-2]
    values = context.one_for_all(constant, len(row.dims) + 1).values
    if values.ndim == len(row.dims) + 1 and values.shape[0] == 1:
        values = values[0]
    fits = values.ndim >= 2 and len(row.dims) >= 2 and values.shape[-1] == row.dims[-2]
    if not fits or (values.ndim > 2 and values.shape[:-2] != lead) or (values.ndim == 2 and prod(lead) != 1):
        raise Unsupported(
            f"expected a matrix [M][{row.dims[-2] if len(row.dims) > 1 else 1}] times rows [K][T], or one for each "
            f"matrix of rows [...][K][T]; found {constant.values.shape} and {row.dims}",
            "keep that part outside",
        )
    (outputs, inputs), groups, columns = values.shape[-2:], prod(lead), row.dims[-1]
    weight = context.param(constant, "weight", values.reshape(groups * outputs, inputs, 1, 1))
    front = context.reshape(node, row, (groups * inputs, columns))
    made = context.emit(node, "conv", [front], (groups * outputs, columns), params=[weight, None], groups=groups)
    return context.reshape(node, made, (*lead, outputs, columns))
