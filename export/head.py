# The classes that a bundle ships with, and room in the head for those to come.
# Never here: adding classes on the device (the runtime's).
"""`settle_classes` names the classes and grows the head."""

from __future__ import annotations

import numpy as np
from edgecl._core import MAX_CLASS_NAME_BYTES, MAX_CLASSES
from edgecl.export.errors import ExportError
from edgecl.export.graph import Graph, Op, Param, unique
from edgecl.export.options import Classes
from edgecl.labels import BOOL, INTEGER, TEXT, UNKNOWN
from numpy.typing import NDArray


def settle_classes(graph: Graph, classes: Classes | None, max_classes: int | None, seed: int) -> tuple[list[str], int]:
    """Flattens the output to one column a class, grows the head if asked, and returns the class names and the number of
    columns.

    New columns are those of `fresh_columns`.

    Raises:
        ExportError: names clash or are too long, the numbers do not fit, or there is no linear head to grow.
    """
    channels, height, width = graph.tensors[graph.output]
    columns = channels * height * width
    if (height, width) != (1, 1) or graph.output == graph.input:
        name = unique(f"{graph.output}.flat", graph.tensors)
        graph.tensors[name] = (columns, 1, 1)
        graph.ops.append(Op(name=name, kind="reshape", inputs=[graph.output], output=name))
        graph.output = name
    names = class_names(columns if classes is None else classes)
    capacity = max(columns, len(names)) if max_classes is None else max_classes
    if capacity < max(columns, len(names)) or capacity > MAX_CLASSES:
        raise ExportError(
            f"expected room for the {columns} columns of the head and {len(names)} classes, at most {MAX_CLASSES}; "
            f"found max_classes={max_classes}; raise it, or give a model with a smaller head",
            -1,
        )
    if capacity > columns:
        _grow(graph, capacity, seed)
    return names, capacity


def kind_of_labels(classes: Classes | None) -> int:
    """What the labels are that classes are named after: not said where they are merely counted."""
    if classes is None or isinstance(classes, int):
        return UNKNOWN
    kinds = {type(name) for name in classes}
    return {frozenset({str}): TEXT, frozenset({bool}): BOOL, frozenset({int}): INTEGER}.get(frozenset(kinds), UNKNOWN)


def class_names(classes: Classes) -> list[str]:
    """Names of the classes that are listed, or "0", "1", ... of those that are counted.

    Raises:
        ExportError: names clash or are too long, or there are too many.
    """
    if isinstance(classes, int) and not 0 <= classes <= MAX_CLASSES:
        raise ExportError(f"expected 0..{MAX_CLASSES} classes; found {classes}; give fewer", -1)
    listed = range(classes) if isinstance(classes, int) else classes
    names = [str(int(name)) if isinstance(name, bool) else str(name) for name in listed]
    bad = [name for name in names if not name or len(name.encode()) > MAX_CLASS_NAME_BYTES]
    if bad or len(set(names)) != len(names):
        raise ExportError(
            f"expected distinct class names of 1..{MAX_CLASS_NAME_BYTES} bytes; found {bad or names}; rename them", -1
        )
    return names


def _grow(graph: Graph, capacity: int, seed: int) -> None:
    head = graph.head()
    if head is None:
        raise ExportError(
            f"expected a linear layer as the last one, to give it {capacity} columns; found none; leave out "
            "max_classes, or end in a Linear",
            -1,
        )
    weight, bias = head.weight(), head.params[1]
    fresh, fresh_bias = fresh_columns(capacity - weight.values.shape[0], weight.values.shape[1], seed)
    grown: list[Param | None] = [_extended(weight, fresh), None if bias is None else _extended(bias, fresh_bias)]
    head.params = grown
    graph.tensors[head.output] = (capacity, 1, 1)


def fresh_columns(columns: int, inputs: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight [columns][inputs] and bias as a fresh PyTorch Linear has them: uniform in +-1/sqrt(inputs) (the default of
    nn.Linear: Kaiming uniform with a = sqrt(5)), by PCG64 from `seed`."""
    generator = np.random.default_rng(seed)
    bound = 1.0 / np.sqrt(inputs)
    weight = generator.uniform(-bound, bound, (columns, inputs)).astype(np.float32)
    return weight, generator.uniform(-bound, bound, columns).astype(np.float32)


def _extended(param: Param, rows: np.ndarray) -> Param:
    return Param(param.name, np.concatenate([param.values, rows]), learnable=param.learnable, trainable=param.trainable)
