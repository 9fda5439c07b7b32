# Dynamic data removal over the epochs of a task: which rows are learned in each epoch.
# Never here: the choice among examples (edgecl.DataRemoval), learning.
"""`RemovalSchedule`: how much is removed and after which epochs; `TaskRows`: the rows of one task that are left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecl._core import DataRemoval
from edgecl.errors import ArgumentError


@dataclass(frozen=True)
class RemovalSchedule:
    """Removal in equal stages (Wang et al. 2022, "SparCL": 30 % of each task's examples in all).

    Attributes:
        share: of a task's examples, removed in all, 0..1 (1 excluded); 0 removes nothing.
        stages: epochs (counted from 1) after which a stage comes; each removes share / len(stages) of the examples,
            rounded down.
        score: "misclassified" or "forgetting" (`edgecl.DataRemoval`).
    """

    share: float = 0.0
    stages: tuple[int, ...] = (1, 2, 3)
    score: str = "misclassified"

    def check(self, epochs: int) -> None:
        """Raises ArgumentError unless the schedule fits tasks of `epochs` epochs."""
        if not 0 <= self.share < 1:
            raise ArgumentError(f"expected a removal_share in [0, 1); found {self.share}; correct it")
        ascending = list(self.stages) == sorted(set(self.stages))
        if self.share > 0 and not (self.stages and ascending and self.stages[0] >= 1 and self.stages[-1] < epochs):
            raise ArgumentError(
                f"expected removal_stages as ascending epochs in 1..{epochs - 1} (an epoch must follow each); found "
                f"{list(self.stages)}; correct them, learn more epochs, or set removal_share=0"
            )


class TaskRows:
    """Rows of one task of n examples that are left to learn."""

    def __init__(self, schedule: RemovalSchedule, n: int) -> None:
        self._stages = schedule.stages if schedule.share > 0 else ()
        self._per_stage = int(schedule.share * n / len(schedule.stages)) if self._stages else 0
        self._table = DataRemoval(n, schedule.score) if self._per_stage > 0 else None
        self.n_examples = n
        self.kept: NDArray[np.int64] = np.arange(n)

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
        self._table.stage(self._per_stage)
        self.kept = self._table.kept().astype(np.int64)
        if epoch == self._stages[-1]:
            self._table = None
