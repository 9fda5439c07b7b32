# Samples with this machine's outputs, for a device to compare bit for bit.
# Never here: how a device compares them (runtime/runner/canary.c, whose header file has the format).
"""`make_canary`."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from edgecl import _core
from edgecl.bundle import Bundle
from edgecl.errors import ShapeError
from numpy.typing import NDArray

_DEFAULT_ROWS = 16
_MOST_ROWS = 4096
_U8 = 1


def _seeded(info: dict[str, Any]) -> NDArray[Any]:
    rng = np.random.default_rng(1)
    shape = (_DEFAULT_ROWS, *info["input_dims"])
    if info["input_dtype"] == _U8:
        return rng.integers(0, 256, shape, dtype=np.uint8)
    return rng.standard_normal(shape).astype(np.float32)


def make_canary(bundle: bytes, samples: NDArray[Any] | None = None, labels: NDArray[Any] | None = None) -> bytes:
    """A canary file of a bundle.

    Args:
        samples: [rows, *input_dims] or [rows, elements] of the bundle's dtype, 1..4096 rows; None: 16 seeded ones.
        labels: [rows] of class numbers, below the columns of the logits. With them a device also watches the accuracy.

    Raises:
        BundleError. ShapeError: arrays that do not fit the bundle or each other.
    """
    model = Bundle(bundle).model
    info = model.describe()
    raw = _seeded(info) if samples is None else np.asarray(samples)
    wanted: Any = np.uint8 if info["input_dtype"] == _U8 else np.float32
    if raw.dtype != wanted or raw.ndim < 2 or not 1 <= len(raw) <= _MOST_ROWS or raw[0].size != info["input_elements"]:
        raise ShapeError(
            f"expected 1 to {_MOST_ROWS} canary rows of {info['input_elements']} {np.dtype(wanted).name}; found "
            f"{raw.dtype} of shape {raw.shape}; hand in samples as the bundle takes them"
        )
    if labels is not None and (labels.shape != (len(raw),) or labels.dtype.kind not in "iu" or labels.min() < 0):
        raise ShapeError(
            f"expected {len(raw)} labels, integers from 0 on; found {labels.dtype} of shape {labels.shape}; hand in "
            "one class number a row"
        )
    rows = np.ascontiguousarray(raw).reshape(len(raw), *info["input_dims"])
    session = _core.Session(model)
    logits = np.ascontiguousarray(session.logits(rows), "<f4")
    if labels is not None and labels.max() >= logits.shape[1]:
        raise ShapeError(
            f"expected labels below {logits.shape[1]}, the classes of the bundle; found {labels.max()}; correct "
            "--canary-labels"
        )
    flags = 0 if labels is None else 1
    header = struct.pack(
        "<4sIIIQII", b"ECC1", len(rows), info["input_dtype"], logits.shape[1], info["input_elements"], flags, 0
    )
    data = rows.astype(rows.dtype.newbyteorder("<")).tobytes()
    data += bytes(-len(data) % 4)
    tail = b"" if labels is None else np.ascontiguousarray(labels, "<i4").tobytes()
    return header + bytes.fromhex(info["digest"]) + data + logits.tobytes() + tail
