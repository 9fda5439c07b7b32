# Small bundles written by hand, so that the tests of the Python package need neither torch nor data files.
# Never here: tests.
"""Fixtures: `plan` (a dict for write_bundle), `make_bundle`, bundle files, seeded samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgecl import _core

MakeBundle = Callable[..., bytes]


def _mlp_plan(
    *,
    dtype: str = "f32",
    dims: tuple[int, ...] = (12,),
    hidden: int = 16,
    capacity: int = 6,
    classes: tuple[str, ...] = (),
    density: float = 1.0,
    method: str = "er",
    replay_capacity: int = 20,
    embedding: bool = True,
    seed: int = 3,
) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    n_in = int(np.prod(dims))

    def weight(name: str, inputs: int, outputs: int, sparse: bool) -> dict[str, Any]:
        values = (rng.standard_normal((inputs, outputs)) / np.sqrt(inputs)).astype(np.float32)
        if not sparse:
            return {"name": name, "trainable": True, "dims": [inputs, outputs], "values": values}
        n = max(1, round(density * inputs * outputs))
        positions = np.sort(rng.permutation(inputs * outputs)[:n]).astype(np.uint32)
        kept = values.T.reshape(-1)[positions] / np.float32(np.sqrt(density))
        return {
            "name": name,
            "trainable": True,
            "dims": [outputs, inputs],
            "positions": positions,
            "values": kept,
            "nnz_capacity": n,
        }

    def bias(name: str, n: int) -> dict[str, Any]:
        return {"name": name, "trainable": True, "dims": [n], "values": np.zeros(n, np.float32)}

    def tensor(name: str, n: int, gradient: bool = False) -> dict[str, Any]:
        return {"name": name, "channels": n, "height": 1, "width": 1, "gradient": gradient, "alias": None}

    flat = tensor("input", n_in)
    tensors = [
        flat,
        tensor("hidden", hidden),
        tensor("logits", capacity),
        tensor("d.hidden", hidden, True),
        tensor("d.logits", capacity, True),
    ]
    ops = [
        {"name": "fc1", "kind": "linear", "inputs": [0], "output": 1, "params": [0, 1], "activation": "relu"},
        {"name": "fc2", "kind": "linear", "inputs": [1], "output": 2, "params": [2, 3]},
    ]
    if len(dims) > 1:  # an image is flattened first
        image = {
            "name": "image",
            "channels": dims[0],
            "height": dims[1],
            "width": dims[2],
            "gradient": False,
            "alias": None,
        }
        flat["alias"] = 0
        tensors.insert(0, image)
        for op in ops:
            op["inputs"], op["output"] = [op["inputs"][0] + 1], op["output"] + 1
        ops.insert(0, {"name": "flatten", "kind": "reshape", "inputs": [0], "output": 1})
    shift = len(dims) > 1
    backward = [
        {
            "op": 1 + shift,
            "output_gradient": 4 + shift,
            "input_gradients": [3 + shift],
            "accumulate": [False],
            "train_params": [True, True],
        },
        {
            "op": 0 + shift,
            "output_gradient": 3 + shift,
            "input_gradients": [None],
            "accumulate": [False],
            "train_params": [True, True],
        },
    ]
    return {
        "name": "test-mlp",
        "producer": "test",
        "tensors": tensors,
        "ops": ops,
        "backward": backward,
        "params": [
            weight("fc1.weight", n_in, hidden, density < 1),
            bias("fc1.bias", hidden),
            weight("fc2.weight", hidden, capacity, False),
            bias("fc2.bias", capacity),
        ],
        "input": {
            "dtype": dtype,
            "channels_last": False,
            "dims": list(dims),
            "scale": 1 / 255 if dtype == "u8" else 1.0,
            "mean": np.full(tensors[0]["channels"], 0.5 if dtype == "u8" else 0.0, np.float32),
            "inv_std": np.full(tensors[0]["channels"], 4.0 if dtype == "u8" else 1.0, np.float32),
        },
        "recipe": {
            "method": method,
            "learning_rate": 0.05,
            "momentum": 0.0,
            "weight_decay": 0.0,
            "batch_size": 4,
            "replay_batch": 4,
            "replay_capacity": replay_capacity,
            "alpha": 0.1,
            "beta": 0.5,
            "class_mask": False,
            "augment_crop": 0,
            "augment_flip": False,
            "trainable": "all",
        },
        "classes": list(enumerate(classes)),
        "class_capacity": capacity,
        "logits_tensor": 2 + shift,
        "embedding_tensor": 1 + shift if embedding else None,
        "head_weight": 2,
        "head_bias": 3,
        "parity": None,
    }


@pytest.fixture
def plan() -> Callable[..., dict[str, Any]]:
    """Gives the plan of a small MLP; keywords change it."""
    return _mlp_plan


@pytest.fixture
def make_bundle() -> MakeBundle:
    """Gives the bytes of a small MLP bundle; keywords as in `_mlp_plan`."""

    def make(**changes: Any) -> bytes:
        return _core.write_bundle(_mlp_plan(**changes))

    return make


@pytest.fixture
def bundle_path(make_bundle: MakeBundle, tmp_path: Path) -> Path:
    """A float32 bundle of 12 inputs and 6 classes, in a file."""
    path = tmp_path / "mlp.ecl"
    path.write_bytes(make_bundle())
    return path


@pytest.fixture
def make_stream_file(tmp_path: Path) -> Callable[[int, int, int], Path]:
    """Gives an .npz of well separated classes in 12 numbers; call with classes, rows, and how many of them train."""

    def make(n_classes: int, n_rows: int, n_train: int) -> Path:
        rng = np.random.default_rng(2)
        centres = 2 * rng.standard_normal((n_classes, 12))
        y = rng.permutation(np.arange(n_rows) % n_classes)
        x = (centres[y] + 0.3 * rng.standard_normal((n_rows, 12))).astype(np.float32)
        parts = {"x_train": x[:n_train], "y_train": y[:n_train], "x_test": x[n_train:], "y_test": y[n_train:]}
        np.savez(tmp_path / "data.npz", **parts)
        return tmp_path / "data.npz"

    return make


class Blobs:
    """Seeded samples of three well separated classes, in an order that is not sorted."""

    def __init__(self, n: int = 60, dims: int = 12, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        centres = rng.standard_normal((3, dims)) * 2
        self.y = rng.permutation(np.arange(n) % 3)
        self.x = (centres[self.y] + 0.3 * rng.standard_normal((n, dims))).astype(np.float32)


@pytest.fixture
def blobs() -> Blobs:
    """60 samples."""
    return Blobs()
