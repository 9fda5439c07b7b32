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


def compare_with_runtime(
    graph: Graph, plan: dict[str, Any], input_spec: InputSpec, raw: NDArray[Any]
) -> list[str]:
    """A sentence for each tensor that is dequantised: the share of equal numbers and the largest difference, in steps
    of its scale."""
    stored = graph.stored
    assert stored is not None
    borders = [op for op in graph.ops if op.kind == "dequantize" and op.output in stored.origins]
    if not borders:
        return []
    if stored.run is None:
        return [f"not compared with {stored.runtime}, which is not installed (extra: peers)"]
    raw = np.ascontiguousarray(raw[:ROWS])
    rows = input_spec.network_input(raw, graph.tensors[graph.input][0]).reshape(len(raw), *graph.input_dims)
    wanted = stored.run(rows, [stored.origins[op.output] for op in borders])
    index = {op.output: position + 1 for position, op in enumerate(graph.ops)}
    notes = []
    for op, other in zip(borders, wanted, strict=True):
        bundle = _core.write_bundle(
            {**plan, "recipe": Recipe().as_plan("head"), "embedding_tensor": index[op.output]}
        )
        session = _core.Session(_core.Model(data=bundle), predict_only=1, max_batch=len(raw))
        scale, zero = (getattr(graph.quantisations[op.inputs[0]], name) for name in ("scale", "zero_point"))
        steps = np.rint(session.embed(raw).astype(np.float64) / scale) + zero
        apart = np.abs(steps - other.reshape(steps.shape))
        notes.append(
            f"against {stored.runtime} on {len(raw)} rows: {100 * float((apart == 0).mean()):.4g} % of {apart.size:,} "
            f"numbers of '{op.output}' are equal, the largest difference is {int(apart.max())} of 255 steps"
        )
    return notes
