# Dynamic data removal over the epochs of a task: which rows are learned in each epoch.
# Never here: how many are removed and when (the core's schedule), the choice among examples (edgecl.DataRemoval),
# learning.
"""`TaskRows`: the rows of one task that are left to learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl._core import DataRemoval, schedule_removal


class TaskRows:
    """Rows of one task of n examples, as the recipe's removal_share, removal_stages and removal_score leave them."""

    def __init__(self, config: Mapping[str, Any], n: int, epochs: int) -> None:
        """
        Args:
            config: of the session (`Classifier.config`).
            n: examples of the task.
            epochs: passes over it. A stage needs an epoch after it; others of the recipe are left out.
        """
        removed = {epoch: schedule_removal(dict(config), n, epoch) for epoch in range(1, min(epochs, 32))}
        self._stages = {epoch: n_remove for epoch, n_remove in removed.items() if n_remove > 0}
        self._table = DataRemoval(n, str(config["removal_score"])) if self._stages else None
        self.n_examples = n
        self.kept: NDArray[np.int64] = np.arange(n)

    @property
    def stages(self) -> list[int]:
        """Epochs after which examples are removed."""
        return list(self._stages)

    @property
    def watches(self) -> bool:
        """Whether `record` is wanted in the epochs to come."""
        return self._table is not None

    def record(self, rows: NDArray[np.int64], correct: NDArray[np.bool_], loss: NDArray[np.float32]) -> None:
        """What learning these rows reported."""
        if self._table is not None:
            self._table.record(rows, correct, loss)

    def end_epoch(self, epoch: int) -> None:
        """The epoch (counted from 1) is over: a stage, if one is due; after the last nothing more is recorded."""
        if self._table is None or epoch not in self._stages:
            return
        self._table.stage(self._stages[epoch])
        self.kept = self._table.kept().astype(np.int64)
        if epoch == max(self._stages):
            self._table = None
