# Running a stream through a learner: order, evaluation, and the document with the results.
# Never here: data sets, the printing of results.
"""`run_stream`: learn the tasks one after the other, test after each, report."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from edgecl._core import schedule_rate, schedule_rehearsal
from edgecl.classifier import Classifier
from edgecl.data_removal import TaskRows
from edgecl.errors import ArgumentError, CapacityError
from edgecl.evaluate.stream_progress import StreamProgress
from edgecl.evaluate.stream_types import Stream, Task
from edgecl.labels import is_integer_text
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
    # By text: a bundle that ships the class "0" knows it as the number 0 until labels come.
    column = {str(label): i for i, label in enumerate(learner.classes_.tolist())}
    columns = np.array([column.get(str(label), -1) for label in labels.tolist()])
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


class StreamInterrupted(KeyboardInterrupt):
    """A run was interrupted; the cause is the interrupt itself.

    Attributes:
        document: results of the tasks done, as `run_stream` returns them; None before the first.
    """

    def __init__(self, document: dict[str, Any] | None) -> None:
        super().__init__()
        self.document = document


def run_stream(
    learner: Classifier,
    stream: Stream,
    *,
    epochs: int = 1,
    seed: int = 0,
    drop_last: bool = True,
    progress: Progress | None = None,
    done: StreamProgress | None = None,
    after_task: Callable[[StreamProgress], None] | None = None,
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
        done: tasks that an earlier call did, and whose end the learner's state is: they are not done again, and the
            results are those of one run (edgecl.evaluate.runs does this with files).
        after_task: called when a task is learned and tested, with all that is done; the learner is at the task's end.

    Returns:
        A document of plain JSON types: average_accuracy, forgetting, forgetting_from_best, backward_transfer (0..1),
        per_task (final), per_task_after_learning, accuracy_matrix (null where a task was not yet learned),
        task_il_accuracy, seconds (learning alone), evaluate_seconds, steps, samples, removal (the recipe's share, the
        stages that came, examples removed, and presentations that their removal saved), rehearsals, train_macs
        (multiply-adds really done), train_macs_dense (as if no weight were left out), train_macs_paper and
        train_macs_paper_dense (as the SparCL paper counts), task_seconds, task_macs and task_macs_paper (lists: the
        same of each task), structure (what changed, and its share of time), peak_bytes (all memory of the session),
        peak_rss_bytes (of the process), state_bytes, state_sha256, config, interrupted, and what was run on.

    Raises:
        CapacityError: the stream holds more classes than the learner has room for; nothing was learned.
        StreamInterrupted: in place of a KeyboardInterrupt, with the results so far. Otherwise as `partial_fit`.

    A UserWarning tells where batches of a single class meet a loss over the classes of a batch.
    """
    if epochs < 1:
        raise ArgumentError(f"expected at least one epoch; found {epochs}; correct it")
    labels = stream_labels(stream)
    config = learner.config()
    _check_room(learner, stream, labels, int(config["max_classes"]))
    _warn_of_idle_loss(config, stream)
    found = StreamProgress() if done is None else done

    def document() -> dict[str, Any]:
        return found.document(
            stream, learner.config(), learner.bundle_info(), epochs=epochs, seed=seed, drop_last=drop_last
        )

    at_end: dict[str, Any] | None = document() if found.n_done else None
    try:
        for t in range(found.n_done, len(stream.tasks)):
            next_found = copy.deepcopy(found)
            _learn_task(learner, stream.tasks[t], t, labels, epochs, seed, drop_last, next_found, progress)
            _test_tasks(learner, stream, t, labels, next_found, progress)
            found = next_found
            at_end = document()
            if after_task is not None:
                after_task(found)
    except KeyboardInterrupt as interrupt:
        raise StreamInterrupted(at_end) from interrupt
    assert at_end is not None
    return at_end


def stream_labels(stream: Stream) -> NDArray[Any]:
    """The label of each class id: its name, a number where all names are numbers, or the id where names repeat."""
    names = stream.class_names
    if len(set(names)) < stream.n_classes:
        return np.arange(stream.n_classes)
    return np.array([int(name) for name in names] if all(map(is_integer_text, names)) else names)


def _learn_task(
    learner: Classifier,
    task: Task,
    t: int,
    labels: NDArray[Any],
    epochs: int,
    seed: int,
    drop_last: bool,
    found: StreamProgress,
    progress: Progress | None,
) -> None:
    config = learner.config()
    batch_size = int(config["max_batch"])
    started, before = time.perf_counter(), learner.stats()
    left = TaskRows(config, len(task.x_train), epochs)
    found.stages = left.stages
    for epoch in range(epochs):
        order = left.kept[task_order(len(left.kept), batch_size, seed, t, epoch, drop_last)]
        found.samples_skipped += rows_learned(left.n_examples, batch_size, drop_last) - len(order)
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
                found.rehearsals += int(learner.rehearse(rehearse_steps)["done"] > 0)
            if progress is not None:
                progress(f"learn {task.name}", epoch * len(order) + begin, epochs * len(order))
        left.end_epoch(epoch + 1)
    found.examples_removed += left.n_examples - len(left.kept)
    learner.begin_task()  # the next one
    found.add_learning(time.perf_counter() - started, before, learner.stats())


def _test_tasks(
    learner: Classifier,
    stream: Stream,
    t: int,
    labels: NDArray[Any],
    found: StreamProgress,
    progress: Progress | None,
) -> None:
    started = time.perf_counter()
    accuracies = []
    for j in range(t + 1):
        accuracies.append(evaluate(learner, stream.tasks[j], labels))
        if progress is not None:
            progress(f"test after {stream.tasks[t].name}", j + 1, t + 1)
    found.accuracy.append([accuracy.class_il for accuracy in accuracies])
    found.task_il = [accuracy.task_il for accuracy in accuracies]
    found.evaluate_seconds += time.perf_counter() - started
    stats = learner.stats()
    found.learner = {
        **{name: stats[name] for name in ("weights_stored", "weights_trainable", "arena_bytes")},
        "state_bytes": learner.state_bytes(),
        "state_sha256": learner.state_digest(),
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


def _warn_of_idle_loss(config: Mapping[str, Any], stream: Stream) -> None:
    """Over the classes of a batch, the loss of a batch with one class is 0."""
    if not config["class_mask"] and config["method"] != "er_ace":
        return
    where = "batches of one row"
    if int(config["max_batch"]) > 1:
        names = [task.name for task in stream.tasks if len(task.classes) == 1]
        if not names:
            return
        where = f"task '{names[0]}'" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
    warnings.warn(
        "expected two classes or more in a batch, because the current loss runs over the batch's classes only "
        f"(class_mask, er_ace); found one in {where}, where that loss is 0 and only replayed rows teach; use more "
        "classes a task, or a method without the mask such as er or derpp",
        stacklevel=3,
    )
