# Weights that a model's own forward computes from its parameters, as plain parameters: weight standardisation, and
# weight_norm as ONNX files have it.
# Never here: what PyTorch's parametrisations compute (torch_weights.py).
"""`as_plain_weights` changes a graph in place; the function that it computes stays the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from edgecl.export.context import Constant, Context
from edgecl.export.folding import picked, sources_of
from edgecl.export.graph import Param


def as_plain_weights(context: Context, learns: Callable[[str, str], bool]) -> None:
    """A computed weight of a layer learns as such, under the name of the parameter of its size that it is computed
    from, if that one reaches the network through nothing else. A sentence says which ones."""
    graph = context.graph
    reached = {param.origin for param in graph.params()}
    plain: dict[str, Param] = {}
    for op in graph.ops:
        weight = op.params[0] if op.kind in ("conv", "linear") else None
        if weight is None or not weight.computed:
            continue
        found = [name for name in sources_of(context, weight.name) if learns(name, "weight")]
        alike = [name for name in found if _floats(context, name) == weight.values.size]
        if len(alike) != 1 or alike[0] in reached:
            continue
        known = plain.setdefault(alike[0], weight)
        if known.values.shape == weight.values.shape and np.array_equal(known.values, weight.values):
            op.params[0] = known  # computed anew for each use
        graph.plain_from.update(found)
    moved = {name for name, weight in plain.items() if picked(context, weight.name) is not None}  # nothing is left out
    for name, weight in plain.items():
        weight.name, weight.whole_of, weight.learnable, weight.computed = name, name, True, False
    plain = {name: weight for name, weight in plain.items() if name not in moved}
    if plain:
        shown = ", ".join(list(plain)[:3]) + (", ..." if len(plain) > 3 else "")
        graph.notes.append(
            f"what the model computes weights with (weight standardisation) is left out: {shown} "
            f"{'is a plain parameter with its' if len(plain) == 1 else 'are plain parameters with their'} present "
            f"values, and {'learns' if len(plain) == 1 else 'learn'} as such"
        )

    graph.partly_fixed = _partly_fixed(context, learns)


def _partly_fixed(context: Context, learns: Callable[[str, str], bool]) -> list[str]:
    """Parameters that learn where the network reads them and also went into other numbers at export."""
    params = context.graph.params()
    own = {param.origin for param in params if param.learnable}
    into = [name for param in params if param.computed for name in sources_of(context, param.name)]
    return [name for name in dict.fromkeys(into) if name in own and learns(name, "weight")]


def _floats(context: Context, name: str) -> int:
    held = context.environment.get(name)
    return held.values.size if isinstance(held, Constant) and held.values.dtype == np.float32 else 0
