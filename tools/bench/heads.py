"""Heads that keep statistics, on embeddings of encoders that were trained on other data: what they reach in one pass.

    python tools/bench/heads.py --cache FOLDER --json tools/bench/results/heads.json
    python tools/bench/heads.py --cache FOLDER --data groceries keywords --sweep
    python tools/bench/heads.py --cache FOLDER --data keywords --heads fecam --json tools/bench/results/heads.json

Classes come one group after the other, each row once, batch 1. Beside it: the same formula over all rows at once in
NumPy (`joint`), and logistic regression over all rows, of three penalties the best on the test rows. `score error` is
the largest difference of a class score from that formula over the embeddings in the steps that the head counts, for the
largest score; `rounding` the same over the embeddings as they are. A learn step is measured when all classes exist,
without the encoder; the solve is the first prediction after a step, less a prediction. Characters: 5 or 20 of alphabets
that the encoder never saw, one drawing each. Needs the data folder (EDGECL_DATA), the extra `peers`, scikit-learn and
Pillow; --cache keeps embeddings and the trained encoder. Never here: formulas (heads_formulas.py), data (heads_data.py,
heads_omniglot.py).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from edgecl import Classifier, _core, export
from edgecl.cli.results import read_table
from heads_data import Task, groceries, keywords
from heads_formulas import SECOND_ORDER, Head, joint_scores
from heads_omniglot import episodes, read_omniglot, train_encoder
from numpy.typing import NDArray
from pages import heads_table, table
from written import write_measured

HEADS = (
    Head("ncm"),
    Head("ncm-distance"),
    Head("lda", shrinkage=0.3),
    Head("ridge", shrinkage=0.3),
    Head("ridge", shrinkage=0.3, projection=2048),
    Head("fecam", shrinkage=1.0),
)
ONE_SHOT = HEADS[:2]  # the others need several rows a class
DATA: dict[str, Callable[[Path], Iterator[list[Task]]]] = {"groceries": groceries, "keywords": keywords}
SHRINKAGES = (0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 3.0)
PENALTIES = (1.0, 10.0, 100.0)  # inverse, of logistic regression
ENCODER_STEPS, EPISODES = 500, 600
TIMED_ROWS, ROUNDS = 256, 20
LARGEST_STEP = 16383  # of an embedding in fixed point


def recipe(head: Head) -> export.Recipe:
    """One row a step."""
    return export.Recipe(method=head.method, head_shrinkage=head.shrinkage, batch_size=1)


def bundle_of(head: Head, task: Task) -> bytes:
    """A head alone, for embeddings; of the calibration only the size of features is used."""
    classes, dim = int(task.y_train.max()) + 1, task.x_train.shape[1]
    report = export.from_embeddings(
        dim, recipe=recipe(head), max_classes=classes, calibration=task.x_train[:100], projection=head.projection
    )
    return report.bundle


def stream(head: Head, task: Task) -> dict[str, Any]:
    """The whole stream through edgecl, and the joint solution beside it."""
    learner = Classifier(bundle_of(head, task))
    rows = task.order()
    learner.partial_fit(task.x_train[rows], task.y_train[rows])
    found = learner.logits(task.x_test)
    z, at = learner.embed(task.x_train), learner.embed(task.x_test)
    joint = joint_scores(head, z, task.y_train, at)
    exact = joint_scores(head, in_steps(learner, z), task.y_train, at)
    about = learner.head_ or {}
    if about["saturated"]:
        print(f"{about['saturated']} features of {task.data} beyond the range", file=sys.stderr)
    return {
        "hits": int((found.argmax(1) == task.y_test).sum()),
        "joint_hits": int((joint.argmax(1) == task.y_test).sum()),
        "score_error": difference(found, exact),
        "rounding": difference(found, joint),
        "bytes": about["bytes"],
    }


def in_steps(learner: Classifier, z: NDArray[Any]) -> NDArray[np.float64]:
    """Embeddings in the steps in which the head counts them, so that its sums are exact."""
    step = learner.config()["feature_range"] / LARGEST_STEP
    return np.asarray(np.rint(z.astype(np.float64) / step) * step)


def difference(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    """The largest of a class score, relative to the largest score."""
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def timed(head: Head, task: Task) -> dict[str, float]:
    """Microseconds of a learn step, milliseconds of a solve; the smallest of a few rounds."""
    session = _core.Session(_core.Model(data=bundle_of(head, task)))
    for label in range(int(task.y_train.max()) + 1):
        session.class_add(str(label))
    x, y = np.ascontiguousarray(task.x_train), task.y_train.astype(np.int32)
    session.learn_many(x, y, 1)
    n = min(TIMED_ROWS, len(x))
    learn = min(_seconds(lambda: session.learn_many(x[:n], y[:n], 1)) for _ in range(ROUNDS)) / n
    first, after = [], []
    for _ in range(ROUNDS):
        session.learn_many(x[:1], y[:1], 1)
        first.append(_seconds(lambda: session.logits(x[:1])))
        after.append(_seconds(lambda: session.logits(x[:1])))
    return {"learn_us": 1e6 * learn, "solve_ms": max(0.0, 1e3 * (min(first) - min(after)))}


def _seconds(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def logistic(tasks: list[Task]) -> float:
    """Accuracy of logistic regression over all rows, scaled to length 1; the best of the penalties."""
    from sklearn.linear_model import LogisticRegression

    hits = np.zeros(len(PENALTIES))
    for task in tasks:
        x, at = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (task.x_train, task.x_test))
        for i, penalty in enumerate(PENALTIES):
            model = LogisticRegression(C=penalty, max_iter=500).fit(x, task.y_train)
            hits[i] += (model.predict(at) == task.y_test).sum()
    return float(hits.max() / sum(len(task.y_test) for task in tasks))


def row(head: Head, tasks: list[Task], yardstick: float) -> dict[str, Any]:
    """One row of the result: a head on parts of one data set, each part a stream of its own."""
    runs = [stream(head, task) for task in tasks]
    n = sum(len(task.y_test) for task in tasks)
    first = tasks[0]
    return {
        "data": first.data, "features": first.features, "head": head.method, "settings": head.settings,
        "classes": int(first.y_train.max()) + 1, "dim": head.projection or first.x_train.shape[1], "test_rows": n,
        "accuracy": sum(r["hits"] for r in runs) / n, "joint": sum(r["joint_hits"] for r in runs) / n,
        "logistic": yardstick, "bytes": runs[0]["bytes"],
        "score_error": max(r["score_error"] for r in runs), "rounding": max(r["rounding"] for r in runs),
    } | timed(head, first)  # fmt: skip


def one_shot(head: Head, encoder: Any, images: NDArray[np.uint8], ways: int, n: int) -> dict[str, Any]:
    """Episodes through edgecl, encoder and all: everything is forgotten, one drawing a class learned, one told."""
    report = export.from_torch(
        encoder, torch.zeros(1, 1, 28, 28), recipe=recipe(head), max_classes=ways,
        input=export.InputSpec("u8", scale=1 / 255), calibration=images[:64, 0][:, None],
    )  # fmt: skip
    learner = Classifier(report.bundle)
    runs, tasks = [], []
    for x, y, at, truth in episodes(images, ways, n):
        found = learner.fit(x, y).logits(at)
        z, z_at = learner.embed(x), learner.embed(at)
        joint = joint_scores(head, z, y, z_at)
        exact = joint_scores(head, in_steps(learner, z), y, z_at)
        accuracies = [float((scores.argmax(1) == truth).mean()) for scores in (found, joint)]
        runs.append((*accuracies, difference(found, exact), difference(found, joint)))
        tasks.append(Task("characters", "4 blocks, trained on other alphabets", z, y, z_at, truth, 1))
    accuracy, joint_accuracy = np.mean(runs, axis=0).tolist()[:2]
    score_error, rounding = np.max(runs, axis=0).tolist()[2:]
    return {
        "data": f"characters, {ways}-way 1-shot", "features": tasks[0].features, "head": head.method,
        "settings": head.settings, "classes": ways, "dim": tasks[0].x_train.shape[1], "test_rows": n * ways,
        "accuracy": accuracy, "joint": joint_accuracy, "logistic": logistic(tasks),
        "bytes": (learner.head_ or {})["bytes"], "score_error": score_error, "rounding": rounding,
    } | timed(head, tasks[0])  # fmt: skip


def characters(
    cache: Path, heads: Sequence[Head] = HEADS, steps: int = ENCODER_STEPS, n: int = EPISODES
) -> Iterator[dict[str, Any]]:
    """Rows of the characters; the encoder is trained once."""
    images = read_omniglot()
    path = cache / f"characters_{steps}.pt"
    if path.exists():
        encoder = torch.load(path, weights_only=False)
    else:
        cache.mkdir(parents=True, exist_ok=True)
        encoder = train_encoder(images.train, steps)
        torch.save(encoder, path)
    for ways in (5, 20):
        for head in (head for head in ONE_SHOT if head in heads):
            yield one_shot(head, encoder, images.test, ways, n)


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of one embedding side by side, in the order of HEADS."""
    embeddings = list(dict.fromkeys((r["data"], r["features"]) for r in rows))
    heads = [(head.method, head.settings) for head in HEADS]

    def place(found: dict[str, Any]) -> tuple[int, int]:
        return embeddings.index((found["data"], found["features"])), heads.index((found["head"], found["settings"]))

    return sorted(rows, key=place)


def sweep(parts: list[list[Task]]) -> str:
    """Joint accuracy over shrinkages, in points, and the mean over all features; in NumPy alone."""
    lines: list[list[str]] = []
    for method in SECOND_ORDER:
        shrinkages = [s for s in SHRINKAGES if s < 1 or method == "ridge"]
        of_method = []
        for tasks in parts:
            hits = np.zeros(len(shrinkages))
            for task in tasks:
                x, at = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (task.x_train, task.x_test))
                for i, shrinkage in enumerate(shrinkages):
                    scores = joint_scores(Head(method, shrinkage), x, task.y_train, at)
                    hits[i] += (scores.argmax(1) == task.y_test).sum()
            of_method.append(100 * hits / sum(len(task.y_test) for task in tasks))
            lines.append([method, f"{tasks[0].data}, {tasks[0].features}", *[f"{v:.1f}" for v in of_method[-1]]])
        lines.append([method, "mean", *[f"{v:.1f}" for v in np.mean(of_method, axis=0)]])
    width = len(SHRINKAGES) + 2
    return table(["head", "data", *[f"{s:g}" for s in SHRINKAGES]], [(ln + ["-"] * width)[:width] for ln in lines])


def main() -> None:
    """Runs what is asked for and prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", nargs="+", default=[*DATA, "characters"], choices=[*DATA, "characters"])
    parser.add_argument("--cache", type=Path, required=True, help="folder for embeddings and the trained encoder")
    parser.add_argument("--heads", nargs="+", choices=sorted({h.method for h in HEADS}), help="default: all")
    parser.add_argument("--sweep", action="store_true", help="print accuracy over shrinkages and nothing else")
    parser.add_argument("--rows", type=int, help="of a class, at most, in the sweep")
    parser.add_argument("--json", type=Path, help="rows of other data sets and heads that are there stay")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="ai_edge_litert")
    if arguments.sweep:
        parts = [tasks for name in arguments.data if name in DATA for tasks in DATA[name](arguments.cache)]
        print(sweep([[task.few(arguments.rows) if arguments.rows else task for task in tasks] for tasks in parts]))
        return
    rows: list[dict[str, Any]] = []
    heads = [head for head in HEADS if arguments.heads is None or head.method in arguments.heads]
    if arguments.json and arguments.json.exists():
        kept = read_table(arguments.json)["rows"]
        asked = {head.method for head in heads}
        rows = [r for r in kept if r["data"].partition(",")[0] not in arguments.data or r["head"] not in asked]

    def add(found: dict[str, Any]) -> None:
        rows.append(found)
        print(json.dumps(found), file=sys.stderr, flush=True)

    for name in arguments.data:
        if name == "characters":
            for found in characters(arguments.cache, heads):
                add(found)
            continue
        for tasks in DATA[name](arguments.cache):
            yardstick = logistic(tasks)
            for head in heads:
                add(row(head, tasks, yardstick))
    rows = in_order(rows)
    print(heads_table(rows))
    if arguments.json:
        write_measured(arguments.json, rows, episodes=EPISODES, encoder_steps=ENCODER_STEPS)


if __name__ == "__main__":
    main()
