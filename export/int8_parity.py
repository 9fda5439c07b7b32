# Does the int8 part of a bundle compute what the source's own runtime computes, number by number?
# Never here: outputs in floats (parity.py), how a source runs (tflite/runtime.py, qdq.py).
"""`compare_with_runtime` counts equal integers where they leave the int8 part."""

from __future__ import annotations

from typing import Any

import numpy as np
from edgecl import _core
from edgecl.export.graph import Graph
from edgecl.export.recipe import InputSpec, Recipe
from numpy.typing import NDArray

ROWS = 8  # at most: a reference kernel is slow


def compare_with_runtime(graph: Graph, plan: dict[str, Any], input_spec: InputSpec, raw: NDArray[Any]) -> list[str]:
    """A sentence for each tensor that is dequantised: the share of equal numbers and the largest difference, in steps
    of its scale."""
    stored = graph.stored
    assert stored is not None
    borders = [op for op in graph.ops if op.kind == "dequantize" and op.output in stored.origins]
    if not borders:
        return []
    if stored.run is None:
        return [f"not compared with {stored.runtime}: not installed (extra: peers)"]
    raw = np.ascontiguousarray(raw[:ROWS])
    rows = input_spec.network_input(raw, graph.tensors[graph.input][0]).reshape(len(raw), *graph.input_dims)
    origins = [stored.origins[op.output] for op in borders]
    try:
        wanted = stored.run(rows, origins)
        others = wanted if stored.again is None else stored.again(rows, origins)
    except Exception as error:  # a runtime raises what it likes of a file that it does not take
        words = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return [f"not compared with {stored.runtime}, as it fails on the file: {words}"]
    index = {op.output: position + 1 for position, op in enumerate(graph.ops)}
    notes = []
    for op, first, second in zip(borders, wanted, others, strict=True):
        bundle = _core.write_bundle({**plan, "recipe": Recipe().as_plan("head"), "embedding_tensor": index[op.output]})
        session = _core.Session(_core.Model(data=bundle), predict_only=1, max_batch=len(raw))
        scale, zero = (getattr(graph.quantisations[op.inputs[0]], name) for name in ("scale", "zero_point"))
        steps = np.rint(session.embed(raw).astype(np.float64) / scale) + zero
        told = f"'{op.output}' against {stored.runtime}, {len(raw)} rows of {steps.shape[1]:,} numbers: " + _apart(
            steps - first.reshape(steps.shape)
        )
        if stored.again is not None:
            told += f" ({stored.variant} it is {_apart(second - first)} away from itself)"
        notes.append(told)
    return notes


def _apart(difference: NDArray[Any]) -> str:
    apart = np.abs(difference)
    most = int(apart.max(initial=0))
    return f"{100 * float((apart == 0).mean()):.4g} % equal, at most {most} step{'' if most == 1 else 's'} of 255"
