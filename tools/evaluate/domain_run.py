# Running a stream of domains through a learner that grows: what happened at each, and accuracy of routed rows.
# Never here: growth itself (edgecl.growth), the printing of results.
"""`run_domains`: one domain after the other, nothing told about which; after each, test rows of all so far."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from edgecl._core import version
from edgecl.classifier import Classifier
from edgecl.errors import ArgumentError
from edgecl.evaluate import metrics
from edgecl.evaluate.experiment import Progress, StreamInterrupted, evaluate, stream_labels
from edgecl.evaluate.stream_progress import peak_rss_bytes
from edgecl.evaluate.stream_types import Stream
from numpy.typing import NDArray

_SHOWN = 240  # scores of a domain that the document keeps


@dataclass
class DomainProgress:
    """What was done so far; lists have an entry a domain learned, lists in them one a domain tested."""

    growth: list[dict[str, Any]] = field(default_factory=list)
    novelty: list[dict[str, Any]] = field(default_factory=list)
    before: list[float | None] = field(default_factory=list)
    accuracy: list[list[float]] = field(default_factory=list)
    told: list[list[float]] = field(default_factory=list)
    routes: list[list[dict[str, float]]] = field(default_factory=list)
    alarms: list[list[bool]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    evaluate_seconds: float = 0.0


def run_domains(
    learner: Classifier,
    stream: Stream,
    *,
    epochs: int = 10,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Hands the training rows of each task to `Classifier.grow`, then tests all tasks so far.

    Args:
        learner: with `max_domains` and `novelty` "fit"; continues from whatever it holds.
        epochs: of the training of an adaptor.
        progress: called with (what, done, total).

    Returns:
        A document of plain JSON types: stream, kind "domains", tasks (names), growth (the reports of `grow`, with
        "task", and "known": whether anything was learned before), novelty (before each domain was learned: scores "fit"
        of up to 240 of its rows and of test rows of known ones, and the thresholds; null for the first),
        accuracy_before (on the test rows of each, before it was learned; null for the first), accuracy_matrix and
        told_matrix (0..1, null where not yet learned; told: the domain that learned the task was said at the test),
        routes (shares of a task's test rows by domain), alarms (whether a task's test rows, all known by then, raised
        the alarm), average_accuracy, average_accuracy_told, forgetting, domains (`domains_`), task_seconds, seconds,
        evaluate_seconds, peak_bytes, peak_rss_bytes, state_bytes, state_sha256, config, bundle, bundle_sha256,
        kernel_level, interrupted.

    Raises:
        UnsupportedError: the learner cannot grow. StreamInterrupted: in place of a KeyboardInterrupt, with the results
        so far. Otherwise as `grow`.
    """
    if epochs < 1:
        raise ArgumentError(f"expected at least one epoch; found {epochs}; correct it")
    labels = stream_labels(stream)
    found = DomainProgress()
    document: dict[str, Any] | None = None
    try:
        for t in range(len(stream.tasks)):
            _learn(learner, stream, t, labels, epochs, found)
            if progress is not None:
                progress(f"learn {stream.tasks[t].name}", 2 * t + 1, 2 * len(stream.tasks))
            begin = time.perf_counter()
            _test(learner, stream, t, labels, found)
            found.evaluate_seconds += time.perf_counter() - begin
            document = _document(learner, stream, found, epochs)
            if progress is not None:
                progress(f"test after {stream.tasks[t].name}", 2 * t + 2, 2 * len(stream.tasks))
    except KeyboardInterrupt as interrupt:
        raise StreamInterrupted(document) from interrupt
    assert document is not None
    return document


def _learn(
    learner: Classifier, stream: Stream, t: int, labels: NDArray[Any], epochs: int, found: DomainProgress
) -> None:
    task = stream.tasks[t]
    novelty = _novelty(learner, task.x_train, [known.x_test for known in stream.tasks[:t]])
    known = any(entry["rows"] for entry in learner.domains_)
    before = evaluate(learner, task, labels).class_il if novelty["scores"] is not None else None
    begin = time.perf_counter()
    report = learner.grow(task.x_train, labels[task.y_train], _free_name(learner, task.name), epochs=epochs)
    found.seconds.append(time.perf_counter() - begin)
    found.growth.append({"task": task.name, "known": known, **report})
    found.novelty.append(novelty)
    found.before.append(before)


def _novelty(learner: Classifier, x: NDArray[Any], known: list[NDArray[Any]]) -> dict[str, Any]:
    if not any(0 < entry["held"] < entry["rows"] for entry in learner.domains_):
        return {"scores": None, "known": None, "accept": None, "novel": None}
    threshold = learner.calibrate_domains().threshold()
    of_known = [score for rows in known for score in _some_scores(learner, rows, _SHOWN // len(known))]
    return {
        "scores": _some_scores(learner, x, _SHOWN), "known": of_known,
        "accept": threshold["accept"], "novel": threshold["novel"],
    }  # fmt: skip


def _some_scores(learner: Classifier, x: NDArray[Any], n: int) -> list[float]:
    # Of rows evenly spread.
    rows = np.unique(np.linspace(0, len(x) - 1, min(max(n, 1), len(x))).round().astype(np.int64))
    return list(map(float, learner.ood_score(x[rows])))


def _free_name(learner: Classifier, name: str) -> str | None:
    # "base" has learned the first task; a name that exists gives way to the learner's own choice.
    return None if name in {entry["name"] for entry in learner.domains_} or len(name.encode()) > 63 else name


def _test(learner: Classifier, stream: Stream, t: int, labels: NDArray[Any], found: DomainProgress) -> None:
    accuracy, told, routes, alarms = [], [], [], []
    for j in range(t + 1):
        task = stream.tasks[j]
        accuracy.append(evaluate(learner, task, labels).class_il)
        domains = learner.route(task.x_test).domain
        names, counts = np.unique(domains, return_counts=True)
        routes.append({str(name): n / len(domains) for name, n in zip(names, counts.tolist(), strict=True)})
        alarms.append(_alarm(learner, task.x_test))
        learner.select_domain(found.growth[j]["domain"])
        try:
            told.append(evaluate(learner, task, labels).class_il)
        finally:
            learner.select_domain(None)
    for rows, new in ((found.accuracy, accuracy), (found.told, told)):
        rows.append(new)
    found.routes.append(routes)
    found.alarms.append(alarms)


def _alarm(learner: Classifier, x: NDArray[Any]) -> bool:
    # Rows in a drawn order, as the alarm supposes; the window is as before for the next caller: empty.
    if not any(0 < entry["held"] < entry["rows"] for entry in learner.domains_):
        return False
    learner.calibrate_domains()
    learner.observe(x[np.random.default_rng(0).permutation(len(x))])
    alarmed = learner.drift()["alarms"] > 0
    learner.calibrate_domains()
    return bool(alarmed)


def _document(learner: Classifier, stream: Stream, found: DomainProgress, epochs: int) -> dict[str, Any]:
    n = len(found.accuracy)
    config, bundle, stats = learner.config(), learner.bundle_info(), learner.stats()
    square = np.array([row + [0.0] * (n - len(row)) for row in found.accuracy])
    return {
        "stream": stream.name,
        "kind": "domains",
        "n_tasks": len(stream.tasks),
        "interrupted": n < len(stream.tasks),
        "tasks": [task.name for task in stream.tasks[:n]],
        "growth": found.growth[:n],
        "novelty": found.novelty[:n],
        "accuracy_before": found.before[:n],
        "accuracy_matrix": [row + [None] * (n - len(row)) for row in found.accuracy],
        "told_matrix": [row + [None] * (n - len(row)) for row in found.told],
        "routes": found.routes[:n],
        "alarms": found.alarms[:n],
        "average_accuracy": metrics.average_accuracy(square),
        "average_accuracy_told": float(np.mean(found.told[-1])),
        "forgetting": metrics.forgetting(square),
        "domains": learner.domains_,
        "task_seconds": found.seconds[:n],
        "seconds": float(sum(found.seconds[:n])),
        "evaluate_seconds": found.evaluate_seconds,
        "epochs": epochs,
        "peak_bytes": stats["arena_bytes"],
        "peak_rss_bytes": peak_rss_bytes(),
        "state_bytes": learner.state_bytes(),
        "state_sha256": learner.state_digest(),
        "config": config,
        "bundle": bundle["name"],
        "bundle_sha256": bundle["digest"],
        "kernel_level": bundle["kernel_level"],
        "edgecl_version": version(),
    }
