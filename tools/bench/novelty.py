"""Novelty scores and the drift alarm on pairs of data sets: one is learned, the other must look strange.

    python tools/bench/novelty.py --cache FOLDER --json tools/bench/results/novelty.json

AUROC: chance that a row of the other set has a higher score than one like those learned. FPR95: share of the other set
that is accepted where 95 % of rows like those learned are. The alarm looks at windows of 64: thresholds from one half
of the rows like those learned, windows drawn from the other half and from the other set, over several splits. A single
window is a fresh one; a stream is judged at every sample, and its alarms for nothing are counted per 64 samples. Beside
them: pytorch-ood's scores on the same features, and torchhd's similarities of our codes, where these are installed.
`--widths` measures accuracy of the head hd over the width of its codes instead. Needs the data folder
(EDGECL_DATA), ai-edge-litert, onnxruntime and Pillow; --cache keeps embeddings. Never here: data (novelty_data.py).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import warnings
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from edgecl import Classifier, export
from edgecl.cli.results import read_table, write_table
from heads import DATA
from novelty_alarm import SPLITS, STREAM_WINDOWS, WINDOW, WINDOWS, alarm_rates, check_against_product
from novelty_data import PAIRS, Pair
from novelty_peers import hd_difference, peer_difference
from numpy.typing import NDArray
from pages import novelty_table

SCORES = (("max_logit", "ncm"), ("energy", "lda"), ("rmds", "lda"), ("knn", "ncm"), ("hd", "hd"))  # with their heads
FIGURES = ("auroc", "fpr95", "detected", "false_alarms", "stream_alarms")
WIDTHS = (256, 512, 1024, 2048, 4096, 8192, 16384)
F32 = NDArray[np.float32]


def learner_of(pair: Pair, score: str, head: str) -> Classifier:
    """Has learned the pair's training rows; a bank holds all of them."""
    bank = len(pair.x_train) if score == "knn" else 0
    novelty = "none" if score in ("max_logit", "knn") else score
    recipe = export.Recipe(method=head, batch_size=1, novelty=novelty, head_bank=bank)
    classes = int(pair.y_train.max()) + 1
    report = export.from_embeddings(pair.x_train.shape[1], recipe=recipe, max_classes=classes, calibration=pair.x_train)
    return Classifier(report.bundle, novelty=score).partial_fit(pair.x_train, pair.y_train)


def auroc(like: F32, other: F32) -> float:
    """Ties count half."""
    both = np.concatenate([like, other])
    _, place, count = np.unique(both, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    return float((rank[len(like) :].sum() - len(other) * (len(other) + 1) / 2) / (len(like) * len(other)))


def accepted_at_95(like: F32, other: F32) -> float:
    """FPR95."""
    threshold = np.sort(like)[int(np.ceil(0.95 * len(like))) - 1]
    return float((other <= threshold).mean())


def row(pair: Pair, score: str, head: str) -> dict[str, Any]:
    """One row of the result."""
    learner = learner_of(pair, score, head)
    like, other = learner.ood_score(pair.x_like), learner.ood_score(pair.x_other)
    check_against_product(learner, pair.x_like, pair.x_other)
    return {
        "pair": pair.name, "features": pair.features, "score": score, "head": head,
        "rows": [len(pair.x_train), len(like), len(other)],
        "auroc": auroc(like, other), "fpr95": accepted_at_95(like, other),
        **alarm_rates(like, other),
        "peer": hd_difference(learner, pair) if score == "hd" else peer_difference(learner, score, pair),
    }  # fmt: skip


def merged(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for those of the same pair and score: the mean of each figure, and the largest difference."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for each in rows:
        found.setdefault((each["pair"], each["score"]), []).append(each)
    result = []
    for group in found.values():
        means = {key: float(np.mean([each[key] for each in group])) for key in FIGURES}
        peers = [each["peer"] for each in group if each["peer"] is not None]
        result.append({**group[0], **means, "pairs": len(group), "peer": max(peers, default=None)})
    return result


def widths(cache: Path) -> list[dict[str, Any]]:
    """Accuracy of the head hd by width on the streams of heads.py, centred by the training rows and not."""
    found = []
    for name in DATA:
        for tasks in DATA[name](cache):
            n = sum(len(task.y_test) for task in tasks)
            for centred in (True, False):
                line: dict[str, Any] = {"data": tasks[0].data, "features": tasks[0].features, "centred": centred}
                for bits in WIDTHS:
                    hits = 0
                    for task in tasks:
                        report = export.from_embeddings(
                            task.x_train.shape[1], recipe=export.Recipe(method="hd", hd_bits=bits),
                            max_classes=int(task.y_train.max()) + 1, calibration=task.x_train if centred else None,
                        )  # fmt: skip
                        learner = Classifier(report.bundle).partial_fit(task.x_train, task.y_train)
                        hits += int((learner.predict(task.x_test) == task.y_test).sum())
                    line[str(bits)] = hits / n
                print(json.dumps(line), file=sys.stderr, flush=True)
                found.append(line)
    return found


def main() -> None:
    """Runs what is asked for and prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", nargs="+", default=[*PAIRS], choices=[*PAIRS])
    parser.add_argument("--cache", type=Path, required=True, help="folder for embeddings")
    parser.add_argument("--widths", action="store_true", help="measure the widths of codes, and no pair")
    parser.add_argument("--json", type=Path, help="what is measured replaces what is there")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", module="ai_edge_litert")
    for package in ("pytorch_ood", "torchhd"):
        if importlib.util.find_spec(package) is None:
            print(f"{package} is not installed: nothing is compared with it", file=sys.stderr)
    record: dict[str, Any] = {"rows": [], "widths": []}
    if arguments.json and arguments.json.exists():
        record = read_table(arguments.json)
    if arguments.widths:
        record["widths"] = widths(arguments.cache)
    else:
        rows: list[dict[str, Any]] = []
        for name in arguments.data:
            for pair in PAIRS[name](arguments.cache):
                for score, head in SCORES:
                    rows.append(row(pair, score, head))
                    print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        record["rows"] = merged(rows)
        print(novelty_table(record["rows"]))
    if arguments.json:
        date = datetime.now(timezone.utc).strftime("%Y-%m-%d")
        sizes = {"window": WINDOW, "windows": SPLITS * WINDOWS, "stream_windows": SPLITS * STREAM_WINDOWS}
        write_table(arguments.json, {**record, "date": date, **sizes})


if __name__ == "__main__":
    main()
