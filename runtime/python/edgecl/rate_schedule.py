# Learning rates within a task.
# Never here: the loop over a stream (experiment.py).
"""`RateSchedule`: constant, or falling through a task and warmed again by the next."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from edgecl.errors import ArgumentError

RATE_SCHEDULES: Final = ("constant", "linear", "cosine")
FLOOR: Final = 0.05  # of the full rate, where a task ends
STAIRS: Final = 24  # of equal rates in a task, at least


@dataclass(frozen=True)
class RateSchedule:
    """Learning rate as a function of how much of a task is done.

    "constant"; "linear": from the full rate down to FLOOR of it; "cosine": likewise along half a cosine (Loshchilov and
    Hutter 2017, equation 5). A rate that falls lets a task start fast and end without noise, and the next one starts
    fast again; so the full rate can be two to three times a constant one's.
    """

    kind: str = "constant"

    def __post_init__(self) -> None:
        if self.kind not in RATE_SCHEDULES:
            raise ArgumentError(
                f"expected a rate schedule among {', '.join(RATE_SCHEDULES)}; found {self.kind!r}; choose one"
            )

    def rate(self, full: float, done: float) -> float:
        """Rate when the share `done` (0..1) of the task has been learned."""
        if self.kind == "linear":
            return full * max(FLOOR, 1 - done)
        if self.kind == "cosine":
            return full * (FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * min(done, 1.0))) / 2)
        return full

    def steps_of_one_rate(self, steps: int, most: int) -> int:
        """Steps to be learned in one go, of a pass of `steps`."""
        return most if self.kind == "constant" else max(1, min(most, steps // STAIRS))
