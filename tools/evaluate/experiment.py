# Running a stream through a learner: order, evaluation, and the document with the results.
# Never here: data sets, the printing of results.
"""`run_stream`: learn the tasks one after the other, test after each, report."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from edgecl._core import schedule_rate, schedule_rehearsal, version
from edgecl.classifier import Classifier
from edgecl.data_removal import TaskRows
from edgecl.errors import ArgumentError, CapacityError
from edgecl.evaluate import metrics
from edgecl.evaluate.stream_types import Stream, Task
from numpy.typing import NDArray

Progress = Callable[[str, int, int], None]

_STEPS_A_CALL = 50  # learned between two reports of progress
_STAIRS = 24  # of equal learning rates in a pass, at least
_ROWS_A_CALL = 1000  # tested at once, so that logits of a large test set never lie in memory together


@dataclass(frozen=True)
class TaskAccuracy:
    """Shares 0..1 of right answers on one task's test set.

    Attributes:
        class_il: the label is chosen among all classes learned.
        task_il: the label is chosen among the classes of the task alone.
    """

    class_il: float
    task_il: float


def evaluate(
    learner: Classifier, task: Task, labels: NDArray[Any], progress: Callable[[int], None] | None = None
) -> TaskAccuracy:
    """Accuracy on the test part of a task.

    Args:
        labels: label of each class id, as handed to `partial_fit`.
        progress: called with the rows done.

    Cost: one forward pass a test sample.
    """
    column = {label: i for i, label in enumerate(learner.classes_.tolist())}
    columns = np.array([column.get(label, -1) for label in labels.tolist()])
    of_task = np.zeros(len(column), dtype=bool)
    of_task[[c for c in columns[task.classes].tolist() if c >= 0]] = True
    n_class, n_task = 0, 0
    for begin in range(0, len(task.x_test), _ROWS_A_CALL):
        scores = learner.logits(task.x_test[begin : begin + _ROWS_A_CALL])
        wanted = columns[task.y_test[begin : begin + _ROWS_A_CALL]]
        n_class += int((scores.argmax(axis=1) == wanted).sum())
        if of_task.any():
            n_task += int((np.where(of_task, scores, -np.inf).argmax(axis=1) == wanted).sum())
        if progress is not None:
            progress(min(begin + _ROWS_A_CALL, len(task.x_test)))
    return TaskAccuracy(n_class / len(task.x_test), n_task / len(task.x_test))


def task_order(n_rows: int, batch_size: int, seed: int, task: int, epoch: int, drop_last: bool) -> NDArray[np.int64]:
    """Row numbers in the order in which they are learned: a shuffle that seed, task and epoch decide alone.

    With `drop_last` the rows of an incomplete last batch are left out (of at least one complete batch).
    """
    order = np.random.default_rng([seed, task, epoch]).permutation(n_rows)
    return order[: rows_learned(n_rows, batch_size, drop_last)]


def rows_learned(n_rows: int, batch_size: int, drop_last: bool) -> int:
    """Rows that one epoch learns of n_rows (`task_order`)."""
    return n_rows // batch_size * batch_size if drop_last and n_rows >= batch_size else n_rows


def run_stream(
    learner: Classifier,
    stream: Stream,
    *,
    epochs: int = 1,
    seed: int = 0,
    drop_last: bool = True,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Learns every task of a stream in order and tests all tasks so far after each.

    The learner's configuration says what the core's schedules make of each task: its learning rate (rate_schedule), the
    examples that data removal takes away after some epochs (removal_share, ...; stages without an epoch after them are
    left out), and the rehearsals of k-FPF (rehearse_steps, rehearse_interval).

    Args:
        learner: continues from whatever it holds; classes are named by `stream.class_names`.
        epochs: passes over each task, each freshly shuffled.
        seed: of the shuffles (the learner has its own random_state).
        drop_last: True leaves out the incomplete last batch of each pass; False learns it as a smaller step.
        progress: called with (what, rows done, rows in all).

    Returns:
        A document of plain JSON types: average_accuracy, forgetting, forgetting_from_best, backward_transfer (0..1),
        per_task (final), per_task_after_learning, accuracy_matrix (null where a task was not yet learned),
        task_il_accuracy, seconds (learning alone), evaluate_seconds, steps, samples, removal (the recipe's share, the
        stages that came, examples removed, and presentations that their removal saved), rehearsals, train_macs
        (multiply-adds really done), train_macs_dense (as if no weight were left out), train_macs_paper and
        train_macs_paper_dense (as the SparCL paper counts), task_seconds, task_macs and task_macs_paper (lists: the
        same of each task), structure (what changed, and its share of time), peak_bytes (all memory of the session),
        peak_rss_bytes (of the process), state_bytes, state_sha256, config, and what was run on.

    Raises:
        CapacityError: the stream holds more classes than the learner has room for; nothing was learned. Otherwise as
        `partial_fit`.
    """
    if epochs < 1:
        raise ArgumentError(f"expected at least one epoch; found {epochs}; correct it")
    labels = np.array(
        stream.class_names if len(set(stream.class_names)) == stream.n_classes else range(stream.n_classes)
    )
    config = learner.config()
    _check_room(learner, stream, labels, int(config["max_classes"]))
    batch_size = int(config["max_batch"])
    before = learner.stats()
    n_tasks = len(stream.tasks)
    matrix = np.full((n_tasks, n_tasks), np.nan)
    task_il = [0.0] * n_tasks
    learn_seconds = evaluate_seconds = 0.0
    per_task: dict[str, list[Any]] = {"task_seconds": [], "task_macs": [], "task_macs_paper": []}
    n_removed = n_skipped = n_rehearsals = 0
    stages: list[int] = []
    for t, task in enumerate(stream.tasks):
        started, at_start = time.perf_counter(), learner.stats()
        left = TaskRows(config, len(task.x_train), epochs)
        stages = left.stages
        for epoch in range(epochs):
            order = left.kept[task_order(len(left.kept), batch_size, seed, t, epoch, drop_last)]
            n_skipped += rows_learned(left.n_examples, batch_size, drop_last) - len(order)
            begin = 0
            while begin < len(order):
                n_steps, rehearse_steps = _next_steps(learner, config, len(order) // batch_size)
                rows = order[begin : begin + n_steps * batch_size]
                with _at_rate(learner, config, (epoch + begin / len(order)) / epochs):
                    if left.watches:
                        left.record(rows, *learner.partial_fit_rows(task.x_train[rows], labels[task.y_train[rows]]))
                    else:
                        learner.partial_fit(task.x_train[rows], labels[task.y_train[rows]])
                begin += len(rows)
                if rehearse_steps and len(rows) == n_steps * batch_size:
                    n_rehearsals += int(learner.rehearse(rehearse_steps)["done"] > 0)
                if progress is not None:
                    progress(f"learn {task.name}", epoch * len(order) + begin, epochs * len(order))
            left.end_epoch(epoch + 1)
        n_removed += left.n_examples - len(left.kept)
        learner.begin_task()  # the next one
        seconds, at_end = time.perf_counter() - started, learner.stats()
        learn_seconds += seconds
        per_task["task_seconds"].append(seconds)
        per_task["task_macs"].append(at_end["macs_learn"] - at_start["macs_learn"])
        per_task["task_macs_paper"].append(at_end["macs_paper"] - at_start["macs_paper"])
        started = time.perf_counter()
        for j in range(t + 1):
            accuracy = evaluate(learner, stream.tasks[j], labels)
            matrix[t, j] = accuracy.class_il
            task_il[j] = accuracy.task_il
            if progress is not None:
                progress(f"test after {task.name}", j + 1, t + 1)
        evaluate_seconds += time.perf_counter() - started
    after = learner.stats()
    info = learner.bundle_info()
    return {
        "stream": stream.name,
        "kind": stream.kind,
        "n_tasks": n_tasks,
        "tasks": [task.name for task in stream.tasks],
        "average_accuracy": metrics.average_accuracy(matrix),
        "forgetting": metrics.forgetting(matrix),
        "forgetting_from_best": metrics.forgetting_from_best(np.nan_to_num(matrix)),
        "backward_transfer": metrics.backward_transfer(matrix),
        "per_task": matrix[-1].tolist(),
        "per_task_after_learning": np.diag(matrix).tolist(),
        "accuracy_matrix": [[None if np.isnan(v) else v for v in row] for row in matrix.tolist()],
        "task_il_accuracy": float(np.mean(task_il)),
        "seconds": learn_seconds,
        "evaluate_seconds": evaluate_seconds,
        "steps": after["steps"] - before["steps"],
        "samples": after["samples_learned"] - before["samples_learned"],
        "removal": {
            "share": config["removal_share"],
            "stages": stages,
            "score": config["removal_score"],
            "examples_removed": n_removed,
            "samples_skipped": n_skipped,
        },
        "rehearsals": n_rehearsals,
        "train_macs": after["macs_learn"] - before["macs_learn"],
        "train_macs_dense": after["macs_learn_dense"] - before["macs_learn_dense"],
        "train_macs_paper": after["macs_paper"] - before["macs_paper"],
        "train_macs_paper_dense": after["macs_paper_dense"] - before["macs_paper_dense"],
        **per_task,
        "structure": _structure(before, after),
        "peak_bytes": after["arena_bytes"],
        "peak_rss_bytes": _peak_rss_bytes(),
        "state_bytes": learner.state_bytes(),
        "state_sha256": learner.state_digest(),
        "epochs": epochs,
        "seed": seed,
        "drop_last": drop_last,
        "rate_schedule": config["rate_schedule"],
        "config": learner.config(),
        "bundle": info["name"],
        "bundle_sha256": info["digest"],
        "kernel_level": info["kernel_level"],
        "edgecl_version": version(),
    }


def task_intervals(config: Mapping[str, Any], steps_in_task: int) -> dict[str, int]:
    """Intervals that fit the recipe's schedule into tasks of this many steps, for those that it has: a structure that
    moves settles in the last part of a task, and a method that rehearses does so in the middle and at the end."""
    intervals = {}
    if config["structure"] != "static":
        intervals["structure_interval"] = max(1, steps_in_task // (int(config["structure_updates"]) + 2))
    if config["rehearse_steps"]:
        intervals["rehearse_interval"] = max(1, steps_in_task // 2)
    return intervals


def _next_steps(learner: Classifier, config: dict[str, Any], steps_of_pass: int) -> tuple[int, int]:
    # Steps to be learned in one go: at one rate, and up to the next rehearsal, whose steps come second.
    most = _STEPS_A_CALL
    if config["rate_schedule"] != "constant":
        most = max(1, min(most, steps_of_pass // _STAIRS))
    if config["rehearse_steps"]:
        done = learner.stats()["steps_in_task"]
        for n in range(1, most + 1):
            if due := schedule_rehearsal(config, done + n):
                return n, due
    return most, 0


@contextmanager
def _at_rate(learner: Classifier, config: dict[str, Any], done: float) -> Iterator[None]:
    """The schedule's learning rate inside, and the full one again after it, also where a step was refused."""
    if config["rate_schedule"] == "constant":
        yield
        return
    given = learner.learning_rate
    learner.set_params(learning_rate=schedule_rate(config, done))
    try:
        yield
    finally:
        learner.set_params(learning_rate=config["learning_rate"])
        learner.learning_rate = given


def _check_room(learner: Classifier, stream: Stream, labels: NDArray[Any], max_classes: int) -> None:
    used = sorted({c for task in stream.tasks for c in task.classes})
    known = set(map(str, learner.classes_.tolist()))
    new = [c for c in used if str(labels[c]) not in known]
    if len(known) + len(new) > max_classes:
        raise CapacityError(
            f"expected room for {len(new)} new classes of the stream '{stream.name}'; found "
            f"{max_classes - len(known)} of "
            f"{max_classes} free; export the bundle with a larger max_classes or learn a smaller stream"
        )


def _structure(before: dict[str, int], after: dict[str, int]) -> dict[str, Any]:
    def grown(key: str) -> int:
        return after[key] - before[key]

    return {
        "updates": grown("structure_updates"),
        "weights_dropped": grown("weights_dropped"),
        "weights_grown": grown("weights_grown"),
        "weights_stored": after["weights_stored"],
        "weights_trainable": after["weights_trainable"],
        "seconds": grown("structure_us") / 1e6,
        "share_of_time": grown("structure_us") / max(grown("learn_us"), 1),
    }


def _peak_rss_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
