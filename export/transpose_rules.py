# What each operator of the bundle needs of the order of its operands' numbers.
# Never here: making copies (transposes.py).
"""`RULES`: kind of operator -> function that puts it on what its operands are views of, or gives False where it needs
them in order."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from edgecl.export.graph import Op, Param, Shape3
from edgecl.export.products import on_views, view_of
from edgecl.export.view_algebra import Axis, View, dense, sorted_axes
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edgecl.export.transposes import Lazy

_MAX_WINDOW = 1024  # kMaxTaps of kernels.h
_SUM, _MEAN = 0, 1  # of reduce

Rule = Callable[["Lazy", Op], bool]


def _reshape(lazy: Lazy, op: Op) -> bool:
    lazy.held[op.output] = lazy.held[op.inputs[0]]
    return True


def _strided(lazy: Lazy, op: Op) -> bool:
    """A view of a view is one view."""
    base, inner = lazy.held[op.inputs[0]]
    own = view_of(op)
    both = own.after(inner)
    if both is not None and lazy.hold(op.output, base, both):
        return True
    return lazy.hold(op.output, lazy.real(op.inputs[0]), own)


def _activation(lazy: Lazy, op: Op) -> bool:
    found = lazy.permuted(op.inputs[0])
    if found is None:
        return False
    base, view = found
    lazy.put(op, [base], lazy.graph.tensors[base], view)
    return True


def _places(lazy: Lazy, tensor: str) -> tuple[str, list[Axis], list[Axis]] | None:
    """What the tensor is a permutation of, if its channels are outermost there, with the axes of channels and of
    places."""
    found = lazy.permuted(tensor)
    channels, height, width = lazy.shapes[tensor]
    groups = found[1].split((channels, height * width)) if found is not None else None
    if found is None or groups is None:
        return None
    first, rest = groups
    step = height * width
    if not dense([(size, stride // step) for size, stride in first]) or any(stride % step for _, stride in first):
        return None
    return found[0], first, rest


def _by_channel(lazy: Lazy, op: Op) -> bool:
    """Operators that do the same at each place, whatever the order of places."""
    if len(op.inputs) != 1:
        return False
    if op.kind == "conv" and not (op.kernel == (1, 1) and op.stride == (1, 1) and not any(op.pads)):
        return False
    found = _places(lazy, op.inputs[0])
    if found is None:
        return False
    base, _, rest = found
    channels, height, width = lazy.shapes[op.inputs[0]]
    outputs, places = lazy.shapes[op.output][0], height * width
    lazy.put(op, [lazy.shaped(base, (channels, 1, places))], (outputs, 1, places), View.of([(outputs, places), *rest]))
    return True


def _pattern(view: View, shape: Shape3, small: Shape3) -> tuple[Shape3, Shape3, list[int], list[int]] | None:
    """How something of shape `small`, which is repeated to `shape`, lies beside what a tensor of `shape` is the view
    `view` of: the [C][H][W] of that, of the small one there, its sizes by axes, and the order that these come in."""
    groups = view.split(shape)
    if groups is None:
        return None
    axes = [(stride, size, small[k] != 1) for k, group in enumerate(groups) for size, stride in group]
    order = sorted(range(len(axes)), key=lambda k: -axes[k][0])
    runs: list[tuple[int, bool]] = []
    for k in order:
        _, size, varies = axes[k]
        if runs and runs[-1][1] == varies:
            runs[-1] = (runs[-1][0] * size, varies)
        else:
            runs.append((size, varies))
    if len(runs) > 3:
        return None
    if len(runs) == 2:
        runs.insert(1 if runs[0][1] else 0, (1, False))
    while len(runs) < 3:
        runs.append((1, False))
    whole = (runs[0][0], runs[1][0], runs[2][0])
    part = tuple(size if varies else 1 for size, varies in runs)
    sizes = [axes[k][1] for k in range(len(axes)) if axes[k][2]]
    varying = [k for k in range(len(axes)) if axes[k][2]]
    moved = [varying.index(k) for k in order if axes[k][2]]
    return whole, (part[0], part[1], part[2]), sizes, moved


def _elementwise(lazy: Lazy, op: Op) -> bool:
    if len(op.inputs) == 1:
        return _with_constant(lazy, op)
    left, right = op.inputs
    if lazy.shapes[left] != lazy.shapes[right]:
        return _repeated(lazy, op)
    (base, view), (other, beside) = lazy.held[left], lazy.held[right]
    ours, theirs = lazy.permuted(left), lazy.permuted(right)
    if ours is None and theirs is None:
        return False
    tensors = lazy.graph.tensors
    fits = {name: held.permutes(prod(tensors[name])) for name, held in ((base, view), (other, beside))}
    # The one that was made first is what others are added to: it keeps its order.
    if not fits[base] or (fits[other] and lazy.position[other] < lazy.position[base]):
        keep, shape, turned, moving = beside, tensors[other], view, (base, left)
    else:
        keep, shape, turned, moving = view, tensors[base], beside, (other, right)
    brought = keep.inverse().after(turned)
    if brought is None or len(brought.axes) > 6:
        return False
    one = lazy.copied(moving[0], brought, shape)
    pair = [one, other] if moving[1] == left else [base, one]
    lazy.put(op, [lazy.shaped(name, shape) for name in pair], shape, keep)
    return True


def _repeated(lazy: Lazy, op: Op) -> bool:
    """The second operand is repeated over axes of the first."""
    found = lazy.permuted(op.inputs[0])
    if found is None:
        return False
    base, view = found
    shape, small = lazy.shapes[op.inputs[0]], lazy.shapes[op.inputs[1]]
    pattern = _pattern(view, shape, small)
    if pattern is None:
        return False
    whole, part, sizes, moved = pattern
    source, inner = lazy.held[op.inputs[1]]
    steps = [(size, prod(sizes[k + 1 :])) for k, size in enumerate(sizes)]
    own = View.of([steps[k] for k in moved]).after(inner)
    if own is None or len(own.axes) > 6:
        return False
    lazy.put(op, [lazy.shaped(base, whole), lazy.copied(source, own, part)], whole, view)
    return True


def _with_constant(lazy: Lazy, op: Op) -> bool:
    found, param = lazy.permuted(op.inputs[0]), op.params[0]
    if found is None or param is None:
        return False
    base, view = found
    if param.values.size == 1:
        lazy.put(op, [base], lazy.graph.tensors[base], view)
        return True
    if (param.learnable or param.learnable_in_layer) and lazy.uses[param.origin] > 1:
        return False
    small = param.values.shape
    pattern = _pattern(view, lazy.shapes[op.inputs[0]], (small[0], small[1], small[2]))
    if pattern is None:
        return False
    whole, part, sizes, moved = pattern
    op.params = [_reordered(param, param.values.reshape(sizes).transpose(moved).reshape(part))]
    lazy.put(op, [lazy.shaped(base, whole)], whole, view)
    return True


def _reordered(param: Param, values: NDArray[np.float32]) -> Param:
    return Param(
        param.name,
        np.ascontiguousarray(values),
        learnable=param.learnable,
        learnable_in_layer=param.learnable_in_layer,
        whole_of=param.whole_of,
        computed=param.computed,
    )


def _softmax(lazy: Lazy, op: Op) -> bool:
    """Over the width, which has to lie innermost."""
    found = lazy.permuted(op.inputs[0])
    channels, height, width = lazy.shapes[op.inputs[0]]
    groups = found[1].split((channels * height, width)) if found is not None else None
    if found is None or groups is None or not dense(groups[1]):
        return False
    shape = (channels * height, 1, width)
    lazy.put(op, [lazy.shaped(found[0], shape)], shape, found[1])
    return True


def _reduction(lazy: Lazy, op: Op) -> bool:
    """Sums, means and maxima along axes that lie together, wherever that is."""
    found = lazy.permuted(op.inputs[0])
    channels, height, width = lazy.shapes[op.inputs[0]]
    everything = op.kind == "global_average_pool"
    if found is None or (op.kind == "average_pool" and not _along_height(op, height)):
        return False
    base, view = found
    groups = view.split((channels, height * width, 1) if everything else (channels, height, width))
    if groups is None:
        return False
    reduced = sorted_axes(groups[1])
    size = height * width if everything else height
    below = reduced[-1][1] if reduced else 1
    if not dense([(length, stride // below) for length, stride in reduced]):
        return False
    above = prod(lazy.graph.tensors[base]) // (size * below)
    kept = [(length, stride // size if stride > below else stride) for length, stride in [*groups[0], *groups[2]]]
    kind = op.i[0] if op.kind == "reduce" else _MEAN
    mean_inside = kind == _MEAN and below == 1
    op.kind, op.stride, op.kernel, op.i = "reduce", (1, 1), (1, 1), (kind,)
    if mean_inside:
        op.kind, op.i = "global_average_pool", ()
    elif kind == _MEAN and size <= _MAX_WINDOW:
        op.kind, op.kernel, op.i = "average_pool", (size, 1), (0,)
    shape = (above, 1, size) if mean_inside else (above, size, below)
    lazy.put(op, [lazy.shaped(base, shape)], (above, 1, below), View.of(kept))
    return True


def _along_height(op: Op, height: int) -> bool:
    return op.kernel == (height, 1) and not any(op.pads)


def _concat(lazy: Lazy, op: Op) -> bool:
    """Joined along the channels."""
    shapes = [lazy.shapes[tensor] for tensor in op.inputs]
    places = shapes[0][1] * shapes[0][2]
    boxes, at = [], 0
    for channels, _, _ in shapes:
        boxes.append(([at, 0], [channels, places]))
        at += channels
    return _boxes(lazy, op, [at, places], boxes)


def _place(lazy: Lazy, op: Op) -> bool:
    param = op.params[0]
    assert param is not None
    lines = param.values.tolist()
    return _boxes(lazy, op, lines[0], list(zip(lines[1::2], lines[2::2], strict=True)))


def _pad(lazy: Lazy, op: Op) -> bool:
    """Zeros around height and width; in order, it may become the padding of the window behind."""
    top, left, _, _ = op.pads
    grid, size = list(lazy.shapes[op.output]), list(lazy.shapes[op.inputs[0]])
    pads = op.pads
    op.pads = (0, 0, 0, 0)
    done = _boxes(lazy, op, grid, [([0, top, left], size)])
    if not done:
        op.pads = pads
    return done


def _boxes(lazy: Lazy, op: Op, grid: list[int], boxes: list[tuple[list[int], list[int]]]) -> bool:
    """Tensors beside each other, in the order that the largest of those lies in which are permutations."""
    permuted = [index for index, tensor in enumerate(op.inputs) if lazy.permuted(tensor) is not None]
    if not permuted:
        return False
    lead = max(permuted, key=lambda index: prod(lazy.shapes[op.inputs[index]]))
    groups = lazy.held[op.inputs[lead]][1].split(tuple(boxes[lead][1]))
    if groups is None:
        return False
    sizes: list[int] = []  # of the grid, an axis for each that is told apart
    steps: list[int] = []  # in what the largest is a view of
    starts: list[list[int]] = [[] for _ in boxes]
    extents: list[list[int]] = [[] for _ in boxes]
    for axis, group in enumerate(groups):
        everywhere = all(box[1][axis] == grid[axis] for box in boxes)
        if len(group) > 1 and not everywhere:
            return False
        for size, stride in group or [(1, 0)]:
            sizes.append(size if everywhere else grid[axis])
            steps.append(stride)
            for index, (begin, extent) in enumerate(boxes):
                starts[index].append(0 if everywhere else begin[axis])
                extents[index].append(size if everywhere else extent[axis])
    order = sorted(range(len(sizes)), key=lambda k: -steps[k])
    turned = [
        ([begin[k] for k in order], [extent[k] for k in order]) for begin, extent in zip(starts, extents, strict=True)
    ]
    merged = _merged([sizes[k] for k in order], turned)
    if len(merged[0]) > 6:
        return False
    views = []
    for index, tensor in enumerate(op.inputs):
        parts = lazy.held[tensor][1].split(tuple(extents[index]))
        if parts is None:
            return False
        view = View.of([axis for k in order for axis in parts[k]], lazy.held[tensor][1].offset)
        if len(view.axes) > 6:
            return False
        views.append(view)
    _write_boxes(lazy, op, views, *merged)
    inside = [1] * len(order)
    for position in reversed(range(len(order) - 1)):
        inside[position] = inside[position + 1] * sizes[order[position + 1]]
    result = [(sizes[k], inside[order.index(k)]) for k in range(len(sizes))]
    lazy.held[op.output] = (op.output, View.of(result))
    return True


Boxes = list[tuple[list[int], list[int]]]


def _merged(grid: list[int], boxes: Boxes) -> tuple[list[int], Boxes]:
    """Axes that are whole in every box, as part of the axis in front."""
    sizes: list[int] = []
    found: Boxes = [([], []) for _ in boxes]
    for axis, size in enumerate(grid):
        whole = all(box[1][axis] == size for box in boxes)
        if whole and sizes:
            sizes[-1] *= size
        else:
            sizes.append(size)
        for (starts, extents), (begin, extent) in zip(found, boxes, strict=True):
            if whole and len(extents) == len(sizes):
                starts[-1] *= size
                extents[-1] *= size
            else:
                starts.append(begin[axis])
                extents.append(extent[axis])
    return sizes, found


def _write_boxes(lazy: Lazy, op: Op, views: list[View], grid: list[int], boxes: Boxes) -> None:
    """`concat` where tensors lie one behind the other, else `place`."""
    old = list(op.inputs)
    shapes: list[Shape3] = [(extent[0], 1, prod(extent[1:])) for _, extent in boxes]
    behind = np.cumsum([0, *(shape[0] for shape in shapes)]).tolist()
    joined = len(grid) <= 2 and all(begin[0] == at for (begin, _), at in zip(boxes, behind, strict=False))
    joined = joined and behind[-1] == grid[0] and all(shape[2] == prod(grid[1:]) for shape in shapes)
    inputs = [
        lazy.copied(lazy.held[tensor][0], view, shape) for tensor, view, shape in zip(old, views, shapes, strict=True)
    ]
    if joined and len(set(inputs)) == len(inputs):
        op.kind, op.params = "concat", []
    else:
        front = [1] * (6 - len(grid))
        lines = [front + grid]
        for begin, extent in boxes:
            lines += [[0] * len(front) + begin, front + extent]
        op.kind, op.params = "place", [Param(f"{op.name}.boxes", np.array(lines, np.int32))]
    shape = (grid[0], 1, prod(grid[1:]))
    lazy.put(op, inputs, shape, View.whole(prod(shape)))


RULES: dict[str, Rule] = {
    "reshape": _reshape,
    "strided": _strided,
    "activation": _activation,
    "softmax": _softmax,
    "matmul": on_views,
    "concat": _concat,
    "place": _place,
    "pad": _pad,
    **dict.fromkeys(("add", "mul", "maximum", "minimum"), _elementwise),
    **dict.fromkeys(("conv", "batch_norm", "layer_norm", "group_norm", "prelu", "l2_normalize"), _by_channel),
    **dict.fromkeys(("global_average_pool", "average_pool", "reduce"), _reduction),
}
