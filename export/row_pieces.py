# How many rows of calibration a source model runs at once: its tensors are many times as large as its input.
# Never here: what runs (torch_front.py, onnx_reference.py).
"""`rows_at_once` and `in_pieces`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

INPUT_BYTES = 1 << 20  # a row of 3 x 224 x 224 floats takes six tenths
LEAST = 2  # one row would hide that a model takes no more


def rows_at_once(rows: NDArray[Any]) -> int:
    """Rows whose floats are at most INPUT_BYTES; LEAST at least."""
    return max(LEAST, INPUT_BYTES // max(1, 4 * int(np.prod(rows.shape[1:]))))


def in_pieces(run: Callable[[NDArray[Any]], NDArray[Any]], rows: NDArray[Any], at_once: int = 0) -> NDArray[Any]:
    """`run` over rows [n, ...], `at_once` at a time (0: as many as `rows_at_once` says), joined."""
    step = at_once or rows_at_once(rows)
    return np.concatenate([run(rows[begin : begin + step]) for begin in range(0, rows.shape[0], step)])
