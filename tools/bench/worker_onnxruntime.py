"""Peer worker: ONNX Runtime, inference and its training API, run by an interpreter of its own environment.

usage: worker_onnxruntime.py FOLDER BATCH THREADS learn|predict C,H,W     (FOLDER as onnx_artifacts.py writes it)

Never here: PyTorch; steps need none, so this process stays as small as the peer can be.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
from worker import serve


def main() -> None:
    folder, batch, threads, what = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    shape = tuple(int(v) for v in sys.argv[5].split(","))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, *shape), dtype=np.float32)
    y = rng.integers(0, 10, batch).astype(np.int64)
    if what == "predict":
        session = onnxruntime.InferenceSession(str(folder / "infer.onnx"), options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        serve(lambda: session.run(None, {name: x}), version=onnxruntime.__version__)
        return
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

    serve(learn, version=onnxruntime.__version__)


main()
