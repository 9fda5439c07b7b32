"""Small bundles for tests of serving and deploying: two dense layers, 12 numbers to 6 classes, written without PyTorch.

Never here: anything that is measured.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from edgecl import _core
from numpy.typing import NDArray

N_IN, N_CLASSES = 12, 6


def small_bundle(seed: int = 3, hidden: int = 16, learning_rate: float = 0.1, trainable: str = "all") -> bytes:
    """A bundle that learns all it has, or its "head". Bundles of one `hidden` take each other's states."""
    rng = np.random.default_rng(seed)

    whole = trainable == "all"

    def trains(name: str) -> bool:
        return whole or name.startswith("fc2")

    def weight(name: str, n_in: int, n_out: int) -> dict[str, Any]:
        values = (rng.standard_normal((n_in, n_out)) / np.sqrt(n_in)).astype(np.float32)
        return {"name": name, "trainable": trains(name), "dims": [n_in, n_out], "values": values}

    def bias(name: str, n: int) -> dict[str, Any]:
        return {"name": name, "trainable": trains(name), "dims": [n], "values": np.zeros(n, np.float32)}

    def tensor(name: str, n: int, gradient: bool = False) -> dict[str, Any]:
        return {"name": name, "channels": n, "height": 1, "width": 1, "gradient": gradient, "alias": None}

    def backward(op: int, gradient: int, below: int | None) -> dict[str, Any]:
        return {
            "op": op,
            "output_gradient": gradient,
            "input_gradients": [below],
            "accumulate": [False],
            "train_params": [True, True],
        }

    recipe = {"method": "er", "learning_rate": learning_rate, "momentum": 0.0, "weight_decay": 0.0, "batch_size": 4}
    recipe.update(replay_batch=4, replay_capacity=40, alpha=0.1, beta=0.5, class_mask=False, augment_crop=0)
    recipe.update(augment_flip=False, trainable=trainable)
    gradients = [tensor("d.logits", N_CLASSES, True), *([tensor("d.hidden", hidden, True)] if whole else [])]
    return _core.write_bundle(
        {
            "name": f"small {seed}",
            "producer": "test",
            "input": {
                "dtype": "f32",
                "channels_last": False,
                "dims": [N_IN],
                "scale": 1.0,
                "mean": np.zeros(N_IN, np.float32),
                "inv_std": np.ones(N_IN, np.float32),
            },
            "tensors": [
                tensor("input", N_IN),
                tensor("hidden", hidden),
                tensor("logits", N_CLASSES),
                *gradients,
            ],
            "ops": [
                {"name": "fc1", "kind": "linear", "inputs": [0], "output": 1, "params": [0, 1], "activation": "relu"},
                {"name": "fc2", "kind": "linear", "inputs": [1], "output": 2, "params": [2, 3]},
            ],
            "backward": [backward(1, 3, 4), backward(0, 4, None)] if whole else [backward(1, 3, None)],
            "params": [
                weight("fc1.weight", N_IN, hidden),
                bias("fc1.bias", hidden),
                weight("fc2.weight", hidden, N_CLASSES),
                bias("fc2.bias", N_CLASSES),
            ],
            "recipe": recipe,
            "classes": [],
            "class_capacity": N_CLASSES,
            "logits_tensor": 2,
            "embedding_tensor": 1,
            "head_weight": 2,
            "head_bias": 3,
            "parity": None,
        }
    )


def blobs(seed: int, rows: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Rows around one centre a class, and their classes."""
    centres = np.random.default_rng(0).standard_normal((N_CLASSES, N_IN)) * 2
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, N_CLASSES, rows).astype(np.int32)
    return (centres[labels] + rng.standard_normal((rows, N_IN)) * 0.3).astype(np.float32), labels
