# Does what an ONNX model gives for one row depend on the other rows of its batch?
# Never here: importing operators, which find that by their own rules (ops/).
"""`refuse_mixed_rows` runs a model on a batch and on its rows one by one, `refuse_random` runs it twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from edgecl.export.errors import Blocker, ExportError
from edgecl.export.onnx_random import RANDOM, RANDOM_REMEDY
from numpy.typing import NDArray

_CLOSE = 1e-3  # of the largest number: products over a batch are rounded otherwise than over a row
# Of integers, where a value between two steps may fall to either; a dynamic scale is that of all rows.
_CLOSE_IN_STEPS = 0.25
_INTEGERS = ("QuantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger")


def refuse_random(model: onnx.ModelProto, rows: NDArray[np.float32]) -> None:
    """Does nothing where the model fails.

    Raises:
        ExportError: it gives other numbers when it is asked again; naming the first node that does.
    """
    kept = [(node, name) for node in model.graph.node for name in node.output if name]
    session = _session(model, [name for _, name in kept])
    if session is None:
        return
    feeds = {model.graph.input[0].name: rows}
    try:
        first, second = session.run(None, feeds), session.run(None, feeds)
    except Exception:  # its own classes; the caller runs the model, too
        return
    for (node, name), before, after in zip(kept, first, second, strict=True):
        if not np.array_equal(before, after, equal_nan=np.asarray(before).dtype.kind == "f"):
            blocker = Blocker(node.name or name, node.op_type, RANDOM, RANDOM_REMEDY)
            raise ExportError.from_blockers("a model that gives the same for the same input", [blocker])


def refuse_mixed_rows(model: onnx.ModelProto, rows: NDArray[np.float32]) -> None:
    """Does nothing where the model takes one row at a time only, or fails on several.

    Args:
        model: one input, one output.
        rows: inputs of the model, at least two that differ.

    Raises:
        ExportError: naming the first node that mixes rows.
    """
    if model.graph.input[0].type.tensor_type.shape.dim[0].dim_value:
        return
    close = _CLOSE_IN_STEPS if any(node.op_type in _INTEGERS for node in model.graph.node) else _CLOSE
    output = model.graph.output[0].name
    found = _apart(model, rows, [output])
    if found is None or _fits(*found[output], close):
        return
    blocker = _first(model, rows, close) or Blocker(
        output, "output", "it differs when a row comes with others", "find the operator that reads across rows"
    )
    raise ExportError.from_blockers("a model whose result for one row does not depend on others", [blocker])


def _first(model: onnx.ModelProto, rows: NDArray[np.float32], close: float) -> Blocker | None:
    # Shapes are computed too, and hold the batch size.
    kept = [(node, name) for node in model.graph.node for name in node.output if name]
    found = _apart(model, rows, [name for _, name in kept])
    if found is None:
        return None
    for node, name in kept:
        if found[name][0].dtype.kind == "f" and not _fits(*found[name], close):
            return Blocker(
                node.name or name,
                node.op_type,
                "its result for a row depends on the other rows of the batch",
                "let it work behind the batch axis; or, where single rows are meant, export the model with a batch "
                "axis of 1",
            )
    return None


Result = tuple[NDArray[Any], list[NDArray[Any]]]  # of the batch, and of each row


def _apart(model: onnx.ModelProto, rows: NDArray[np.float32], names: list[str]) -> dict[str, Result] | None:
    """None where the engine does not take the rows at once."""
    session, key = _session(model, names), model.graph.input[0].name
    if session is None:
        return None
    try:
        together = session.run(names, {key: rows})
        single = [session.run(names, {key: row[None]}) for row in rows]
    except Exception:  # its own classes; what a single row gives is checked elsewhere
        return None
    return {
        name: (np.asarray(all_rows), [np.asarray(results[at]) for results in single])
        for at, (name, all_rows) in enumerate(zip(names, together, strict=True))
    }


def _session(model: onnx.ModelProto, names: list[str]) -> Any:
    """onnxruntime on the model with these outputs; None where it does not load that."""
    import onnxruntime

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception:  # its own classes
        return None


def _fits(together: NDArray[Any], single: list[NDArray[Any]], close: float) -> bool:
    """Some axis of the batch's result holds the rows' results, one behind the other or in turns; or it has none."""
    finite = np.abs(together[np.isfinite(together)])
    limit = close * max(float(np.max(finite, initial=0.0)), float(np.finfo(np.float32).tiny))
    shape, alike = single[0].shape, [row for row in single if row.shape == single[0].shape]

    def same(other: NDArray[Any]) -> bool:
        return other.shape == together.shape and np.allclose(other, together, rtol=0.0, atol=limit, equal_nan=True)

    if len(alike) < len(single):
        return False
    for axis, size in enumerate(shape):
        behind = np.concatenate(single, axis=axis)
        if same(behind):
            return True
        if size > 1 and behind.shape == together.shape and same(np.stack(single, axis=axis + 1).reshape(behind.shape)):
            return True
    return all(same(row) for row in single)
