# The file's own runtime, where it is installed.
# Never here: comparing (int8_parity.py).
"""`runner` gives what LiteRT computes in the middle of a file."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from edgecl.export.stored import Runner
from edgecl.export.tflite.read import Tensor
from numpy.typing import NDArray

RUNTIME = "LiteRT's reference kernels"
Origin = tuple[int, bool]  # index of a tensor, and whether the bundle holds it channels-first


def runner(data: bytes, entry: Tensor, entry_first: bool) -> Runner | None:
    """None where LiteRT (ai-edge-litert) is not installed."""
    if importlib.util.find_spec("ai_edge_litert") is None:
        return None

    def run(rows: NDArray[np.float32], origins: Sequence[Origin]) -> list[NDArray[np.int64]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from ai_edge_litert.interpreter import Interpreter, OpResolverType
        interpreter = Interpreter(
            model_content=data,
            num_threads=1,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        )
        interpreter.allocate_tensors()
        taken = interpreter.get_input_details()[0]
        found: list[list[NDArray[Any]]] = [[] for _ in origins]
        for row in rows:
            real = np.moveaxis(row, 0, -1) if entry_first else row
            interpreter.set_tensor(taken["index"], _stored(entry, real).reshape(taken["shape"]))
            interpreter.invoke()
            for values, (index, first) in zip(found, origins, strict=True):
                tensor = interpreter.get_tensor(index)[0]
                values.append((np.moveaxis(tensor, -1, 0) if first else tensor).astype(np.int64).ravel())
        return [np.stack(values) for values in found]

    return run


def _stored(entry: Tensor, real: NDArray[np.float32]) -> NDArray[Any]:
    """As the file takes it: integers by its scale, ties away from zero, or floats as they are."""
    if entry.kind == "FLOAT32":
        return real
    steps = real / entry.scale[0]
    rounded = np.copysign(np.floor(np.abs(steps.astype(np.float64)) + 0.5), steps) + int(entry.zero_point[0])
    kind = np.dtype(entry.kind.lower())
    limits = np.iinfo(kind)
    stored: NDArray[Any] = np.clip(rounded, limits.min, limits.max).astype(kind)
    return stored
