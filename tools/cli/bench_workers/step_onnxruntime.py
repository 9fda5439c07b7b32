# Contender ONNX Runtime, a whole call: inference, or a step of its training API, often in an environment of its own.
# Never here: PyTorch; steps need none, so this process stays as small as the peer can be.
"""config: {"folder" (as onnx_artifacts.py writes it), "shape", "batch", "threads", "what": learn|predict}."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def prepare(config: dict[str, Any]) -> dict[str, Any]:
    """The steps of infer.onnx or of the training artifacts."""
    import numpy as np
    import onnxruntime

    folder = Path(config["folder"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = config["threads"]
    options.inter_op_num_threads = 1
    rng = np.random.default_rng(0)
    x = rng.standard_normal((config["batch"], *config["shape"]), dtype=np.float32)
    y = rng.integers(0, 10, config["batch"]).astype(np.int64)
    if config["what"] == "predict":
        session = onnxruntime.InferenceSession(str(folder / "infer.onnx"), options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return {"steps": {"predict": lambda: session.run(None, {name: x})}, "version": onnxruntime.__version__}
    from onnxruntime.capi import _pybind_state as native

    device = native.OrtDevice(native.OrtDevice.cpu(), native.OrtDevice.default_memory(), 0)
    state = native.load_checkpoint(str(folder / "checkpoint"))
    module = native.Module(str(folder / "training_model.onnx"), state, None, device, options)
    optimizer = native.Optimizer(str(folder / "optimizer_model.onnx"), state, device, options)
    optimizer.set_learning_rate(1e-4)

    def learn() -> float:
        outputs = native.OrtValueVector()
        module.train_step([x, y], outputs)
        optimizer.optimizer_step()
        module.lazy_reset_grad()
        return float(outputs[0].numpy())

    return {"steps": {"learn": learn}, "version": onnxruntime.__version__}
