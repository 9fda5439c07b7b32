# Contender LiteRT with XNNPACK: one prediction.
# Never here: making of the file (tools/bench/litert_model.py) and other contenders.
"""config: {"file" (.tflite), "threads"}."""

from __future__ import annotations

from typing import Any


def prepare(config: dict[str, Any]) -> dict[str, Any]:
    """The file's prediction at its own batch size."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=config["file"], num_threads=config["threads"])
    interpreter.allocate_tensors()
    entry, out = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    x = np.random.default_rng(0).standard_normal(entry["shape"], dtype=np.float32)

    def predict() -> object:
        interpreter.set_tensor(entry["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(out["index"])

    return {"steps": {"predict": predict}}
