"""Classes that a bundle ships with, while the device learns others: what is left of them, and what it takes.

    python tools/bench/shipped_classes.py --streams digits --seeds 10 --json tools/bench/results/shipped_classes.json
    python tools/bench/shipped_classes.py --streams fashion --seeds 10 --json tools/bench/results/shipped_classes.json
    python tools/bench/shipped_classes.py --streams har-phone --seeds 60 --json tools/bench/results/shipped_classes.json

A network is trained in PyTorch on some classes and exported with 200 of their samples (herding); the device learns the
other classes in one pass, 10 + 10 rows a step. Beside it: the same without exemplars, the same recipe in plain PyTorch
from the same exemplars with a buffer of its own, and a joint model (all classes trained together, as often). `gap` is
ours less PyTorch's, in points, with its standard error over the seeds, whose draws differ. Rows of an earlier run stay
in the JSON file until they are run again. Streams: Fashion-MNIST (0-4 shipped, 5-9 learned), phone activities (3
shipped, 2 learned, subjects held out), digits of scikit-learn (0-4, 5-9). Needs the data folder (EDGECL_DATA) but for
the digits. Never here: streams that begin empty (accuracy.py).
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from edgecl import Classifier, export
from edgecl.cli.models import har_cnn
from edgecl.cli.results import read_table, write_table
from edgecl.evaluate.streams import load_stream
from numpy.typing import NDArray
from pages import shipped_table
from torch import nn
from torch.nn import functional

BATCH, REPLAY, BUFFER = 10, 10, 200
UNMASKED_END = " without class mask"
UNMASKED = "sparcl-derpp" + UNMASKED_END
METHODS = ("er", "derpp", "er_ace", "sparcl-derpp", UNMASKED)
DENSITY = 0.1  # of the SparCL rows
ALPHA, BETA = 0.1, 0.5


@dataclass
class Task:
    """Data of one stream: raw samples, labels, and how they become the input."""

    spec: export.InputSpec
    build: Callable[[], nn.Module]
    shipped: int  # classes 0..shipped-1 are trained before
    epochs: int  # of that training
    rate: float  # on the device
    sparse_rate: float  # of the rows of SparCL
    train: tuple[NDArray[Any], NDArray[np.int64]]
    test: tuple[NDArray[Any], NDArray[np.int64]]

    def rows(self, part: str, old: bool) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """The shipped classes' rows, or the others'."""
        x, y = self.train if part == "train" else self.test
        chosen = (y < self.shipped) == old
        return x[chosen], y[chosen]

    def tensor(self, x: NDArray[Any]) -> torch.Tensor:
        """What the network sees."""
        return torch.from_numpy(self.spec.network_input(x, x.shape[1]))


def _task(
    name: str, build: Callable[[], nn.Module], shipped: int, epochs: int, rate: float, sparse_rate: float, tasks: slice
) -> Task:
    stream = load_stream(name)
    parts = stream.tasks[tasks]
    given = stream.input
    spec = export.InputSpec("u8" if given.dtype == "u8" else "f32", False, given.scale, given.mean, given.std)
    train = (np.concatenate([t.x_train for t in parts]), np.concatenate([t.y_train for t in parts]))
    test = (np.concatenate([t.x_test for t in parts]), np.concatenate([t.y_test for t in parts]))
    return Task(spec, build, shipped, epochs, rate, sparse_rate, train, test)


def _mlp(n_in: int, width: int) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(n_in, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
    )


TASKS: dict[str, Callable[[], Task]] = {
    "fashion": lambda: _task("split-fashion-mnist", lambda: _mlp(784, 256), 5, 5, 0.05, 0.1, slice(None)),
    "har-phone": lambda: _task("har-phone-watch", lambda: har_cnn((6, 128), 5), 3, 20, 0.02, 0.05, slice(0, 1)),
    "digits": lambda: _task("digits", lambda: _mlp(64, 128), 5, 30, 0.05, 0.1, slice(None)),
}


def masks_of(module: nn.Module, density: float) -> dict[str, torch.Tensor]:
    """The largest weights of each layer that export makes sparse: all linear ones but the head, convolutions but the
    first."""
    names = [n for n, p in module.named_parameters() if p.dim() >= 2]
    chosen = [n for n in names[:-1] if not (dict(module.named_parameters())[n].dim() > 2 and n == names[0])]
    masks = {}
    for name, parameter in module.named_parameters():
        if name in chosen:
            kept = max(1, round(density * parameter.numel()))
            threshold = parameter.detach().abs().flatten().kthvalue(parameter.numel() - kept + 1).values
            masks[name] = (parameter.detach().abs() >= threshold).float()
    return masks


def train(
    module: nn.Module, task: Task, x: NDArray[Any], y: NDArray[Any], epochs: int, seed: int, mask: Any = None
) -> None:
    """Plain SGD over shuffled rows, in batches of 32."""
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9)
    generator = np.random.default_rng(seed)
    inputs, labels = task.tensor(x), torch.from_numpy(y)
    module.train()
    for _ in range(epochs):
        for rows in np.array_split(generator.permutation(len(y)), max(1, len(y) // 32)):
            loss = functional.cross_entropy(module(inputs[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            apply(module, mask)


def apply(module: nn.Module, masks: dict[str, torch.Tensor] | None) -> None:
    """Weights outside the masks are zero."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if masks and name in masks:
                parameter.mul_(masks[name])


def accuracy(predict: Callable[[Any], NDArray[Any]], task: Task) -> tuple[float, float, float]:
    """Shares of right answers: shipped classes, the others, mean over all classes."""
    x, y = task.test
    hit = predict(x) == y
    by_class = [float(hit[y == c].mean()) for c in np.unique(y)]
    return float(hit[y < task.shipped].mean()), float(hit[y >= task.shipped].mean()), float(np.mean(by_class))


class PlainLearner:
    """The recipe in PyTorch, with a reservoir of its own that begins with the exemplars."""

    def __init__(self, module: nn.Module, task: Task, method: str, masks: Any, seed: int) -> None:
        self.module, self.task, self.masks = module, task, masks
        self.derpp, self.ace = "derpp" in method, method == "er_ace"
        self.class_mask = method == "sparcl-derpp"
        self.generator = np.random.default_rng(seed)
        self.optimizer = torch.optim.SGD(module.parameters(), lr=task.sparse_rate if masks else task.rate)
        self.x: list[Any] = []
        self.y: list[int] = []
        self.z: list[Any] = []
        self.seen = 0
        self.present = torch.zeros(list(module.parameters())[-1].numel(), dtype=torch.bool)

    def begin(self, x: NDArray[Any], y: NDArray[Any], rows: int) -> None:
        """Fills the buffer; the samples stand for `rows` rows."""
        inputs = self.task.tensor(x)
        with torch.no_grad():
            self.module.eval()
            logits = self.module(inputs)
        self.x, self.y, self.z, self.seen = list(inputs), y.tolist(), list(logits), rows

    def step(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """One update, then the rows enter the reservoir."""
        self.present[y] = True
        draws = [self.generator.permutation(len(self.x))[:REPLAY] for _ in range(2 if self.derpp else 1)]
        self.module.train()
        rows = torch.cat([x, *[torch.stack([self.x[i] for i in draw]) for draw in draws if len(draw)]])
        hidden = torch.where(self.present, 0.0, -torch.inf)
        out = self.module(rows)
        scores = out + hidden
        current = torch.full_like(hidden, -torch.inf)
        current[y.unique()] = 0  # type: ignore[no-untyped-call]
        of_batch = out[: len(y)] + current if self.ace or self.class_mask else scores[: len(y)]
        old = [torch.tensor([self.y[i] for i in draw]) for draw in draws]
        if self.derpp:
            loss = functional.cross_entropy(of_batch, y)
            n = len(draws[0])
            if n:
                stored = torch.stack([self.z[i] for i in draws[0]])
                gap = (out[len(y) : len(y) + n] - stored)[:, self.present]
                loss = loss + ALPHA * gap.square().mean()
                loss = loss + BETA * functional.cross_entropy(scores[len(y) + n :], old[1])
        elif self.ace:
            loss = functional.cross_entropy(of_batch, y)
            if len(old[0]):
                loss = loss + functional.cross_entropy(scores[len(y) :], old[0])
        else:
            loss = functional.cross_entropy(scores, torch.cat([y, old[0]]))
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        apply(self.module, self.masks)
        for row, label, logits in zip(x, y.tolist(), out[: len(y)].detach(), strict=True):
            self._admit(row, label, logits)

    def _admit(self, row: Any, label: int, logits: Any) -> None:
        slot = len(self.x) if len(self.x) < BUFFER else int(self.generator.integers(0, self.seen + 1))
        self.seen += 1
        if slot == len(self.x):
            self.x.append(row)
            self.y.append(label)
            self.z.append(logits)
        elif slot < BUFFER:
            self.x[slot], self.y[slot], self.z[slot] = row, label, logits


def run(name: str, method: str, seed: int) -> dict[str, Any]:
    """One method on one stream with one seed."""
    task = TASKS[name]()
    torch.manual_seed(seed)
    module = task.build()
    old_x, old_y = task.rows("train", True)
    new_x, new_y = task.rows("train", False)
    sparse = method.startswith("sparcl")
    train(module, task, old_x, old_y, task.epochs, seed)
    masks = masks_of(module, DENSITY) if sparse else None
    if sparse:  # pruned, then trained on a little, as people do
        apply(module, masks)
        train(module, task, old_x, old_y, max(1, task.epochs // 5), seed, masks)
    columns = len(np.unique(task.train[1]))

    def bundle(remember: export.Exemplars | None) -> export.ExportReport:
        class_mask = False if method == UNMASKED else None
        rate = task.sparse_rate if sparse else task.rate
        recipe = export.Recipe(
            method=method.removesuffix(UNMASKED_END), learning_rate=rate, batch_size=BATCH, replay_batch=REPLAY,
            replay_capacity=BUFFER, alpha=ALPHA, beta=BETA, class_mask=class_mask,
            structure_interval=max(1, len(new_x) // BATCH // 10),
        )  # fmt: skip
        return export.from_torch(
            module.eval(), torch.zeros(1, *old_x.shape[1:]), classes=list(range(task.shipped)), max_classes=columns,
            input=task.spec, recipe=recipe, remember=remember, density=DENSITY if sparse else 1.0,
            calibration=old_x[:64],
        )  # fmt: skip

    order = np.random.default_rng(seed).permutation(len(new_x))
    result: dict[str, Any] = {"stream": name, "method": method, "seed": seed}
    for label, remember in (("with", export.Exemplars(old_x, old_y, BUFFER)), ("without", None)):
        learner = Classifier(bundle(remember).bundle, random_state=seed)
        if label == "with":
            result["shipped_before"] = accuracy(learner.predict, task)[0]
            exemplars = _exemplars_of(learner, old_x)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            learner.partial_fit(new_x[order], new_y[order])
        old, new, mean = accuracy(learner.predict, task)
        result |= {f"{label}_old": old, f"{label}_new": new, f"{label}_mean": mean, f"{label}_warnings": len(told)}

    plain = PlainLearner(module, task, method, masks, seed)
    plain.present[: task.shipped] = True
    plain.begin(old_x[exemplars], old_y[exemplars], len(old_x))
    inputs, labels = task.tensor(new_x), torch.from_numpy(new_y)
    for i in range(0, len(order), BATCH):
        plain.step(inputs[order[i : i + BATCH]], labels[order[i : i + BATCH]])
    module.eval()
    with torch.no_grad():
        old, new, mean = accuracy(lambda x: module(task.tensor(x)).argmax(1).numpy(), task)
    result |= {"torch_old": old, "torch_new": new, "torch_mean": mean}

    torch.manual_seed(seed)
    joint = task.build()
    train(joint, task, *task.train, task.epochs, seed)
    joint.eval()
    with torch.no_grad():
        result["joint_mean"] = accuracy(lambda x: joint(task.tensor(x)).argmax(1).numpy(), task)[2]
    return result


def _exemplars_of(learner: Classifier, x: NDArray[Any]) -> NDArray[np.int64]:
    # Rows of the data whose bytes the buffer holds, in its order.
    state = learner._open().session.state_export()
    from edgecl._core import read_state_table

    section = next(s for s in read_state_table(state)["sections"] if s["name"] == "REPLAY")
    n, width = learner.stats()["replay_fill"], x[0].nbytes
    slots = np.frombuffer(state, np.uint8, section["bytes"] - 32, section["offset"] + 32).reshape(n, -1)
    place = {row.tobytes(): i for i, row in enumerate(x)}
    return np.array([place[slot[4 : 4 + width].tobytes()] for slot in slots])


def by_method(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Runs of one stream and method as one row of the file, each figure a list over the seeds."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for run_ in runs:
        groups.setdefault((run_["stream"], run_["method"]), []).append(run_)
    return [
        {"stream": stream, "method": method} | {key: [r[key] for r in of] for key in list(of[0])[2:]}
        for (stream, method), of in groups.items()
    ]


def by_seed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What `by_method` was given."""
    runs = []
    for row in rows:
        figures = {key: value for key, value in row.items() if isinstance(value, list)}
        for of in zip(*figures.values(), strict=True):
            runs.append({"stream": row["stream"], "method": row["method"]} | dict(zip(figures, of, strict=True)))
    return runs


def main() -> None:
    """Runs what is asked for and prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--streams", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    earlier: list[dict[str, Any]] = []
    if arguments.json and arguments.json.exists():
        earlier = by_seed(read_table(arguments.json)["rows"])
    rows = [r for r in earlier if r["stream"] not in arguments.streams or r["method"] not in arguments.methods]
    for stream in arguments.streams:
        for method in arguments.methods:
            for seed in range(arguments.seeds):
                rows.append(run(stream, method, seed))
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(shipped_table(by_method(rows)))
    if arguments.json:
        record = {
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
            "torch": torch.__version__.partition("+")[0],
            "buffer": BUFFER,
            "density_of_sparcl": DENSITY,
            "rows": by_method(rows),
        }
        write_table(arguments.json, record)


if __name__ == "__main__":
    main()
