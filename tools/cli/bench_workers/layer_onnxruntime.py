# Contender ONNX Runtime, one layer, dense: forward; its training API has no single layers.
# Never here: PyTorch, onnx (the file is written by edgecl.cli.bench_layers).
"""config: {"file" (.onnx with one input and one layer), "shape" of the input, "threads"}."""

from __future__ import annotations

from typing import Any


def prepare(config: dict[str, Any]) -> dict[str, Any]:
    """The case "forward"; the runtime may arrange the weight for itself beforehand, which a learning net cannot."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = config["threads"]
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(config["file"], options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    x = np.random.default_rng(0).standard_normal(config["shape"], dtype=np.float32)
    return {"steps": {"forward": lambda: session.run(None, {name: x})}, "version": onnxruntime.__version__}
