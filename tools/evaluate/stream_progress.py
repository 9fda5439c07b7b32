# What a run over a stream has done so far: plain numbers, and the document of results that they make.
# Never here: learning, files.
"""`StreamProgress`: after each task of a stream; `document` makes the results of what is done."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from edgecl._core import version
from edgecl.evaluate import metrics
from edgecl.evaluate.stream_types import Stream

_COUNTERS = (
    *("steps", "samples_learned", "macs_learn", "macs_learn_dense", "macs_paper", "macs_paper_dense"),
    *("structure_updates", "weights_dropped", "weights_grown", "structure_us", "learn_us"),
)


@dataclass
class StreamProgress:
    """Tasks done, in plain JSON types (`dataclasses.asdict` and `StreamProgress(**document)` are inverse).

    Attributes:
        accuracy: row t holds the accuracies (0..1) on tasks 0..t after learning task t.
        task_il: accuracy on each task so far with the task known, after the last one.
        task_seconds, task_macs, task_macs_paper: of learning each task.
        evaluate_seconds: of all tests.
        counters: what the learner's counters grew by.
        stages: epochs after which data removal came.
        examples_removed, samples_skipped, rehearsals: sums.
        learner: figures of the learner after the last task done.
    """

    accuracy: list[list[float]] = field(default_factory=list)
    task_il: list[float] = field(default_factory=list)
    task_seconds: list[float] = field(default_factory=list)
    task_macs: list[int] = field(default_factory=list)
    task_macs_paper: list[int] = field(default_factory=list)
    evaluate_seconds: float = 0.0
    counters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTERS, 0))
    stages: list[int] = field(default_factory=list)
    examples_removed: int = 0
    samples_skipped: int = 0
    rehearsals: int = 0
    learner: dict[str, Any] = field(default_factory=dict)

    @property
    def n_done(self) -> int:
        """Tasks learned and tested."""
        return len(self.accuracy)

    def add_learning(self, seconds: float, before: Mapping[str, int], after: Mapping[str, int]) -> None:
        """A task was learned; counters of the learner before and after it."""
        self.task_seconds.append(seconds)
        self.task_macs.append(after["macs_learn"] - before["macs_learn"])
        self.task_macs_paper.append(after["macs_paper"] - before["macs_paper"])
        for name in _COUNTERS:
            self.counters[name] += after[name] - before[name]

    def document(
        self,
        stream: Stream,
        config: Mapping[str, Any],
        bundle: Mapping[str, Any],
        *,
        epochs: int,
        seed: int,
        drop_last: bool,
    ) -> dict[str, Any]:
        """The results of the tasks done (at least one), as `run_stream` describes them.

        Args:
            config: of the learner.
            bundle: `Classifier.bundle_info`.
        """
        n = self.n_done
        matrix = np.full((n, n), np.nan)
        for t, row in enumerate(self.accuracy):
            matrix[t, : len(row)] = row
        grown = self.counters
        return {
            "stream": stream.name,
            "kind": stream.kind,
            "n_tasks": len(stream.tasks),
            "interrupted": n < len(stream.tasks),
            "tasks": [task.name for task in stream.tasks[:n]],
            "average_accuracy": metrics.average_accuracy(matrix),
            "forgetting": metrics.forgetting(matrix),
            "forgetting_from_best": metrics.forgetting_from_best(np.nan_to_num(matrix)),
            "backward_transfer": metrics.backward_transfer(matrix),
            "per_task": matrix[-1].tolist(),
            "per_task_after_learning": np.diag(matrix).tolist(),
            "accuracy_matrix": [[None if np.isnan(v) else v for v in row] for row in matrix.tolist()],
            "task_il_accuracy": float(np.mean(self.task_il)),
            "seconds": float(sum(self.task_seconds)),
            "evaluate_seconds": self.evaluate_seconds,
            "steps": grown["steps"],
            "samples": grown["samples_learned"],
            "removal": {
                "share": config["removal_share"],
                "stages": self.stages,
                "score": config["removal_score"],
                "examples_removed": self.examples_removed,
                "samples_skipped": self.samples_skipped,
            },
            "rehearsals": self.rehearsals,
            "train_macs": grown["macs_learn"],
            "train_macs_dense": grown["macs_learn_dense"],
            "train_macs_paper": grown["macs_paper"],
            "train_macs_paper_dense": grown["macs_paper_dense"],
            "task_seconds": self.task_seconds,
            "task_macs": self.task_macs,
            "task_macs_paper": self.task_macs_paper,
            "structure": {
                "updates": grown["structure_updates"],
                "weights_dropped": grown["weights_dropped"],
                "weights_grown": grown["weights_grown"],
                "weights_stored": self.learner["weights_stored"],
                "weights_trainable": self.learner["weights_trainable"],
                "seconds": grown["structure_us"] / 1e6,
                "share_of_time": grown["structure_us"] / max(grown["learn_us"], 1),
            },
            "peak_bytes": self.learner["arena_bytes"],
            "peak_rss_bytes": peak_rss_bytes(),
            "state_bytes": self.learner["state_bytes"],
            "state_sha256": self.learner["state_sha256"],
            "epochs": epochs,
            "seed": seed,
            "drop_last": drop_last,
            "rate_schedule": config["rate_schedule"],
            "config": dict(config),
            "bundle": bundle["name"],
            "bundle_sha256": bundle["digest"],
            "kernel_level": bundle["kernel_level"],
            "edgecl_version": version(),
        }


def peak_rss_bytes() -> int:
    """Of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
