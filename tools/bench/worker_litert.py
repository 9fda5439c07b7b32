"""Peer worker: LiteRT with XNNPACK. usage: worker_litert.py FILE.tflite BATCH THREADS predict

Never here: making of the file (litert_model.py) and other peers.
"""

from __future__ import annotations

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from worker import serve


def main() -> None:
    interpreter = Interpreter(model_path=sys.argv[1], num_threads=int(sys.argv[3]))
    interpreter.allocate_tensors()
    entry, out = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    x = np.random.default_rng(0).standard_normal(entry["shape"], dtype=np.float32)

    def predict() -> object:
        interpreter.set_tensor(entry["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(out["index"])

    serve(predict)


main()
