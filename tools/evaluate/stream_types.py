# What a stream is: tasks one after the other, and how a model should take their inputs.
# Never here: reading files.
"""`Stream`, `Task` and `InputSpec`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class InputSpec:
    """The input section of a bundle for these data: value = (raw * scale - mean[c]) / std[c].

    Attributes:
        dtype: "u8" or "f32", the dtype of the raw arrays.
        dims: one sample, channels first.
        scale: factor on the raw value.
        mean, std: one number a channel, after scaling.
    """

    dtype: str
    dims: tuple[int, ...]
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Task:
    """One task. Arrays are raw: x (n, *dims) uint8 or float32, y (n,) int64 class ids of the whole stream."""

    name: str
    x_train: NDArray[Any]
    y_train: NDArray[np.int64]
    x_test: NDArray[Any]
    y_test: NDArray[np.int64]

    @property
    def classes(self) -> list[int]:
        """Class ids that the training part holds, ascending."""
        return [int(c) for c in np.unique(self.y_train)]


@dataclass(frozen=True)
class Stream:
    """Tasks in the order in which they are learned.

    Attributes:
        name: as given to `load_stream`.
        kind: "class-incremental" (new classes with each task) or "domain-incremental" (the same classes, other inputs).
        class_names: text of each class id.
    """

    name: str
    kind: str
    tasks: tuple[Task, ...]
    input: InputSpec
    class_names: tuple[str, ...]

    @property
    def n_classes(self) -> int:
        """Number of class ids."""
        return len(self.class_names)
