"""Does a score that trains nothing say which adaptor will be good? Its rank correlation with accuracy after training.

    python tools/bench/zero_shot.py phone-watch watch-phone speakers digits --seeds 0 1 \\
      --json tools/bench/results/zero_shot.json
    python tools/bench/zero_shot.py own data.npz

Encoders and domains are those of ear.py: a small net is trained on the first domain; for each later one an export with
`adaptor="search"` scores all adaptors of at most 5 % of the encoder's parameters on 256 of its training rows. Each is
then trained by Classifier.adapt_domain on all training rows of the domain, kept unseen, and measured on its test rows
with the domain told, under the head and the settings of ear.py. The frozen encoder runs once: what is trained is a
bundle that begins at its feature map. Training starts twice, from other random values: how well one start predicts the
other is how well a score can do at most. For comparison also the accuracy on a quarter of the 256 rows of an adaptor
that was trained on the other three (`trained briefly`), which is no zero-shot score. Numpy's and PyTorch's products run
on one thread. Rows of other streams and seeds in the JSON file stay. `own`: as ear.py has it. Needs the data folder
(EDGECL_DATA) but for own data. Never here: scores (export/adaptor_search), data (ear_data.py).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ear import FIRST, LATER, encoder_of
from ear_contenders import ADAPTOR_RATE, BATCH, Encoder
from ear_data import STREAMS, own_stream
from edgecl import Classifier, export
from edgecl.cli.results import read_table
from edgecl.evaluate.stream_types import Task
from edgecl.export.adaptor_choice import balanced_rows
from edgecl.export.adaptor_search.scores import SCORES, ranks
from edgecl.export.adaptor_search.search import Found
from numpy.typing import NDArray
from pages import zero_shot_choice_table, zero_shot_table
from threadpoolctl import threadpool_limits  # scikit-learn brings it
from torch import nn
from written import write_measured
from zero_shot_figures import packed, unpacked

STARTS = 2
ROWS = 256  # that scores look at
HELD_OUT = 0.25  # of them, for `trained briefly`
DOMAINS = 2  # of a stream, at most


def split(encoder: Encoder) -> tuple[nn.Module, list[nn.Module]]:
    """The net up to its last feature map, and what makes an embedding of a map."""
    assert isinstance(encoder.source, nn.Sequential)
    if len(encoder.stream.input.dims) == 1:
        return encoder.source[:-1], []
    return encoder.source[:-3], [nn.AdaptiveAvgPool2d(1), nn.Flatten()]


class Behind:
    """A domain as maps of the encoder, behind which adaptors are trained."""

    def __init__(self, encoder: Encoder, task: Task) -> None:
        self.encoder, self.task = encoder, task
        body, self.rest = split(encoder)
        self.x, self.x_test = (self._maps(body, rows) for rows in (task.x_train, task.x_test))

    def _maps(self, body: nn.Module, rows: NDArray[Any]) -> NDArray[np.float32]:
        x = torch.from_numpy(self.encoder.spec.network_input(rows, self.encoder.stream.input.dims[0]))
        with torch.no_grad():
            found: NDArray[np.float32] = torch.cat([body(x[i : i + 256]) for i in range(0, len(x), 256)]).numpy()
        return found

    def learner(self, adaptor: str | None, start: int) -> Classifier:
        """Takes maps. They are not negative, so the ReLU in front, which adaptors stand behind, changes nothing."""
        classes = self.encoder.stream.n_classes
        net = nn.Sequential(nn.ReLU(), *self.rest, nn.Linear(self.x.shape[1], classes))
        recipe = export.Recipe(method="ridge", max_domains=1, batch_size=BATCH)
        bundle = export.from_torch(
            net, torch.zeros(1, *self.x.shape[1:]), recipe=recipe, adaptor=adaptor, max_classes=classes,
            calibration=self.x[:ROWS], mask_seed=start,
        ).bundle  # fmt: skip
        return Classifier(bundle, random_state=start)

    def accuracy(self, adaptor: str | None, start: int) -> float:
        """On the test rows; None: a head alone."""
        learner = self.learner(adaptor, start)
        if adaptor is None:
            learner.partial_fit(self.x, self.task.y_train)
        else:
            learner.adapt_domain("base", self.x, self.task.y_train, LATER, ADAPTOR_RATE, BATCH, held_out=0)
        return float(learner.score(self.x_test, self.task.y_test))

    def briefly(self, adaptor: str, rows: NDArray[np.int64]) -> float:
        """Accuracy on held-out rows of these."""
        report = self.learner(adaptor, 0).adapt_domain(
            "base", self.x[rows], self.task.y_train[rows], LATER, ADAPTOR_RATE, BATCH, HELD_OUT
        )
        return float(report["accuracy_adapted"])


def scored(encoder: Encoder, task: Task) -> Found:
    """The choice that an export makes for the domain, with all scores."""
    assert isinstance(encoder.source, nn.Module)
    found = export.from_torch(
        encoder.source, torch.zeros(1, *encoder.stream.input.dims), input=encoder.spec, mask_seed=encoder.seed,
        recipe=export.Recipe(method="ridge", max_domains=2), max_classes=encoder.stream.n_classes, adaptor="search",
        adaptor_data=export.AdaptorData(task.x_train, task.y_train, rows=ROWS),
    ).adaptor_search  # fmt: skip
    assert found is not None
    return found


def measured(encoder: Encoder, n_domains: int) -> Iterator[dict[str, Any]]:
    """A row of each adaptor in each domain with its ranks, and one of the head alone ("none") with the seconds that a
    score takes for an adaptor."""
    for task in encoder.stream.tasks[1 : 1 + n_domains]:
        common = {"stream": encoder.stream.name, "domain": task.name, "seed": encoder.seed}
        found, behind = scored(encoder, task), Behind(encoder, task)
        columns = np.unique(task.y_train, return_inverse=True)[1]
        rows = balanced_rows(columns, ROWS, encoder.seed)
        seconds = {f"seconds_{name}": float(np.mean([row.seconds[name] for row in found.rows])) for name in SCORES}
        alone = {"adaptor": "none", "parameters": 0, "accuracy": [behind.accuracy(None, 0)]}
        trained: list[dict[str, Any]] = []
        begin = time.perf_counter()
        for row in found.rows:
            accuracy = [behind.accuracy(row.name, start) for start in range(STARTS)]
            trained.append({"adaptor": row.name, "parameters": row.parameters, "accuracy": accuracy})
        seconds["seconds_trained"] = (time.perf_counter() - begin) / STARTS / len(trained)
        begin = time.perf_counter()
        for entry in trained:
            entry["briefly"] = behind.briefly(entry["adaptor"], rows)
        seconds["seconds_briefly"] = (time.perf_counter() - begin) / len(trained)
        for name in SCORES:
            for entry, rank in zip(trained, ranks([row.scores[name] for row in found.rows]).tolist(), strict=True):
                entry[f"rank_{name}"] = rank
        yield {**common, **alone, **seconds}
        yield from ({**common, **entry} for entry in trained)


def main() -> None:
    """Runs what is asked for and prints both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="+", help=f"of {', '.join(STREAMS)}; or: own FILE.npz")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, help="passes over the first domain")
    parser.add_argument("--domains", type=int, default=DOMAINS, help="later domains of a stream, at most")
    parser.add_argument("--json", type=Path, help="rows of other streams and seeds that are there stay")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    own = arguments.what[0] == "own" and len(arguments.what) == 2
    if not own and not {*arguments.what} <= {*STREAMS}:
        parser.error(f"expected streams among {', '.join(STREAMS)}, or own FILE.npz; found {' '.join(arguments.what)}")
    streams = (
        {"own": own_stream(Path(arguments.what[1]))} if own else {name: STREAMS[name]() for name in arguments.what}
    )
    rows: list[dict[str, Any]] = []
    if arguments.json and arguments.json.exists():
        rows = unpacked(read_table(arguments.json)["rows"])
    for name, stream in streams.items():
        for seed in arguments.seeds:
            rows = [r for r in rows if (r["stream"], r["seed"]) != (stream.name, seed)]
            with threadpool_limits(1):
                encoder = encoder_of(stream, arguments.epochs or FIRST.get(name, 40), seed)
                for found in measured(encoder, arguments.domains):
                    rows.append(found)
                    print(json.dumps(found), file=sys.stderr, flush=True)
            if arguments.json:
                write_measured(arguments.json, packed(rows), passes=LATER, scored_rows=ROWS)
    print(zero_shot_table(rows), zero_shot_choice_table(rows), sep="\n\n")


if __name__ == "__main__":
    main()
