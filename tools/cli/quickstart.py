# `edgecl quickstart`: the whole way on a small data set, in under a minute.
# Never here: anything that the other commands do not do, too.
"""The command `quickstart`."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer
from edgecl.classifier import Classifier
from edgecl.cli import failure, output
from edgecl.cli.output import ProgressCallback
from edgecl.cli.quickstart_domains import render_second_act, second_act
from edgecl.cli.recipe_options import MAX_SEED
from edgecl.cli.shared_options import THREADS
from numpy.typing import NDArray
from rich.console import Console

if TYPE_CHECKING:
    from edgecl.evaluate.stream_types import Stream

_KNOWN = 5  # classes 0-4 are trained on the host
_EPOCHS_HOST = 12
_EPOCHS_DEVICE = 5
_DENSITY = 0.1
_BATCH = 10
_METHOD = "derpp"  # with one class a task, ER-ACE's masked term has no gradient: only replay would teach the new class
_RECIPE: dict[str, Any] = {
    "method": _METHOD,
    "learning_rate": 0.05,
    "batch_size": _BATCH,
    "replay_batch": 20,
    "replay_capacity": 300,
}


def _train_on_host(stream: Stream, seed: int, progress: ProgressCallback) -> Any:
    """A small CNN on the known classes, in PyTorch; momentum SGD."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the network is so small that more threads would mostly wait for each other
    module = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 4 * 4, 128),
        nn.ReLU(),
        nn.Linear(128, _KNOWN),
    )
    x, y = _rows(stream, range(_KNOWN), train=True)
    spec = stream.input
    images = torch.from_numpy((x.astype(np.float32) * spec.scale - spec.mean[0]) / spec.std[0])
    labels = torch.from_numpy(y)
    optimiser = torch.optim.SGD(module.parameters(), lr=0.03, momentum=0.9)
    for epoch in range(_EPOCHS_HOST):
        order = torch.randperm(len(images))
        for begin in range(0, len(order), 32):
            rows = order[begin : begin + 32]
            loss = nn.functional.cross_entropy(module(images[rows]), labels[rows])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
        progress("train classes 0-4 on the host", epoch + 1, _EPOCHS_HOST)
    torch.set_num_threads(threads)
    return module.eval()


def _rows(stream: Stream, classes: Any, train: bool) -> tuple[NDArray[Any], NDArray[np.int64]]:
    x = np.concatenate([t.x_train if train else t.x_test for t in stream.tasks])
    y = np.concatenate([t.y_train if train else t.y_test for t in stream.tasks])
    keep = np.isin(y, list(classes))
    return x[keep], y[keep]


def _export(module: Any, stream: Stream, path: Path) -> dict[str, Any]:
    import edgecl.export as exporter

    spec = stream.input
    report = exporter.from_torch(
        module,
        np.zeros((1, *spec.dims), np.float32),
        out=path,
        name="quickstart-digits",
        density=_DENSITY,
        classes=list(range(_KNOWN)),  # digits are named after themselves
        max_classes=stream.n_classes,
        input=exporter.InputSpec(dtype="u8", scale=spec.scale, mean=spec.mean, std=spec.std),
        recipe=exporter.Recipe(**_RECIPE),
        calibration=_rows(stream, range(_KNOWN), train=False)[0][:64],
    )
    return report.as_dict()


def _warm_up(learner: Classifier, stream: Stream, seed: int) -> None:
    """One pass over the known classes: pruned weights recover, and the replay buffer gets exemplars of them."""
    x, y = _rows(stream, range(_KNOWN), train=True)
    order = np.random.default_rng(seed).permutation(len(x))
    learner.partial_fit(x[order], y[order])


def _accuracies(learner: Classifier, stream: Stream) -> list[float]:
    """Accuracy on the test images of each class."""
    result = []
    for c in range(stream.n_classes):
        x, y = _rows(stream, [c], train=False)
        result.append(learner.score(x, y))
    return result


def _learn_new(
    learner: Classifier, stream: Stream, seed: int, what: str, progress: ProgressCallback
) -> list[list[float]]:
    """Learns classes 5-9 one after the other; accuracy of every class before the first and after each."""
    curves = [_accuracies(learner, stream)]
    new = range(_KNOWN, stream.n_classes)
    for i, c in enumerate(new):
        x, y = _rows(stream, [c], train=True)
        for epoch in range(_EPOCHS_DEVICE):
            order = np.random.default_rng([seed, c, epoch]).permutation(len(x))
            learner.partial_fit(x[order], y[order])
        learner.begin_task()
        curves.append(_accuracies(learner, stream))
        progress(what, i + 1, len(new))
    return curves


def _summary(curves: list[list[float]]) -> dict[str, Any]:
    known_before, end = float(np.mean(curves[0][:_KNOWN])), curves[-1]
    after_learning = [*curves[0][:_KNOWN], *(curves[c - _KNOWN + 1][c] for c in range(_KNOWN, len(end)))]
    return {
        "accuracy_all": float(np.mean(end)),
        "accuracy_known_before": known_before,
        "accuracy_known_after": float(np.mean(end[:_KNOWN])),
        "accuracy_new_after": float(np.mean(end[_KNOWN:])),
        "forgetting": float(np.mean(np.array(after_learning[:-1]) - np.array(end[:-1]))),
        "per_class": end,
        "curves": curves,
    }


def _median_us(call: Any, repeat: int) -> float:
    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return float(np.median(times) * 1e6)


def _latency(learner: Classifier, stream: Stream) -> dict[str, float]:
    x, y = _rows(stream, range(stream.n_classes), train=True)
    predict = _median_us(lambda: learner.predict_one(x[0]), 200)
    step = _median_us(lambda: learner.partial_fit(x[:_BATCH], y[:_BATCH]), 100)
    return {"predict_one_us": predict, "learn_step_us": step, "learn_step_rows": _BATCH}


def _plot(path: Path, replay: dict[str, Any], plain: dict[str, Any], names: tuple[str, ...]) -> None:
    with failure.needs("matplotlib, which draws the curves", "report"):
        import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    ticks = ["export", *(f"+ {name}" for name in names[_KNOWN:])]
    figure, axes = pyplot.subplots(figsize=(7.5, 4.5), layout="constrained")
    for result, label, colour in ((replay, "with replay (DER++)", "tab:blue"), (plain, "fine-tuning", "tab:red")):
        curves = np.array(result["curves"])
        seen = [100 * curves[i, : _KNOWN + i].mean() for i in range(len(curves))]
        axes.plot(seen, marker="o", color=colour, label=f"{label}: classes seen so far")
        axes.plot(100 * curves[:, :_KNOWN].mean(axis=1), linestyle="--", color=colour, label=f"{label}: classes 0-4")
    axes.set(xticks=range(len(ticks)), xticklabels=ticks, ylim=(-3, 103))
    axes.set(xlabel="class learned on the device", ylabel="test accuracy in %")
    axes.set_title("Digits: classes 5-9 learned one by one, 90 % of the weights left out")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _render(console: Console, d: dict[str, Any]) -> None:
    columns = ["", "known before>", "known after>", "new after>", "all>", "forgetting>"]
    keys = ("accuracy_known_before", "accuracy_known_after", "accuracy_new_after", "accuracy_all", "forgetting")
    rows = [
        (title, *(output.percent(d[part][key]) for key in keys))
        for part, title in (("replay", f"replay ({_METHOD})"), ("finetune", "no replay"))
    ]
    console.print(
        "Digits 0-4 trained in PyTorch and exported at 90 % sparsity; digits 5-9 learned on the device runtime, one "
        "by one."
    )
    console.print(output.table(columns, rows))
    console.print(
        output.facts(
            [
                (
                    "bundle",
                    f"{output.size(d['bundle_bytes'])}, differs from PyTorch by at most {d['parity_max_abs']:.2g}",
                ),
                ("memory of the session", output.size(d["arena_bytes"])),
                ("predict", f"{d['latency']['predict_one_us']:.0f} us a sample (from Python, median)"),
                (
                    "learn",
                    f"{d['latency']['learn_step_us']:.0f} us a step of {d['latency']['learn_step_rows']} new rows + "
                    "replay (median)",
                ),
                (
                    "multiply-adds of learning",
                    f"{output.count(d['train_macs'])} ({output.count(d['train_macs_dense'])} if dense)",
                ),
                ("curves", d["plot"]),
                ("bundle and state", f"{d['bundle']}, {d['state']}"),
            ]
        )
    )
    render_second_act(console, d["domains"])
    console.print(f"\nwhole run {d['seconds']:.1f} s")


@failure.command
def quickstart(
    folder: Path | None = typer.Option(
        None, "--folder", help="Where bundle, state and picture go; default: a new temporary folder."
    ),
    seed: int = typer.Option(0, "--seed", min=0, max=MAX_SEED, help="Of everything random."),
    threads: int = THREADS,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Train digits 0-4, export, learn digits 5-9 on the device runtime; compare with learning without replay. Then the
    digits come in negative, a domain grows for them, and a digit is forgotten. Under a minute.

    Needs the extras export and report, and scikit-learn for its digits.

    Example: edgecl quickstart --folder quickstart

    JSON: {"replay": {"accuracy_all", "accuracy_known_before", "accuracy_known_after", "accuracy_new_after",
    "forgetting", "per_class", "curves"}, "finetune": {...}, "latency": {"predict_one_us", "learn_step_us",
    "learn_step_rows"}, "arena_bytes", "bundle_bytes", "train_macs", "train_macs_dense", "parity_max_abs", "plot",
    "bundle", "state", "domains": {as of `edgecl learn --route`, "adaptor_share", "forgotten": {"class",
    "predictions", "equals_never_seen"}, ...}, "seconds"}
    """
    from edgecl.evaluate.streams import load_stream

    begin = time.perf_counter()
    with failure.needs("matplotlib, which draws the curves", "report"):
        import matplotlib  # noqa: F401  found out before any work
    stream = load_stream("digits")
    place = folder or Path(tempfile.mkdtemp(prefix="edgecl-quickstart-"))
    place.mkdir(parents=True, exist_ok=True)
    bundle, state, picture = place / "digits.ecl", place / "digits.ecs", place / "digits.png"
    results = {}
    with output.progress() as progress:
        with failure.needs("PyTorch and onnx", "export"):
            module = _train_on_host(stream, seed, progress)
            report = _export(module, stream, bundle)
        learners = {}
        for part, method in (("replay", _METHOD), ("finetune", "finetune")):
            learner = learners[part] = Classifier(bundle, method=method, random_state=seed, n_threads=threads)
            _warm_up(learner, stream, seed)
            results[part] = _summary(_learn_new(learner, stream, seed, f"learn classes 5-9 ({part})", progress))
        domains = second_act(module, stream, place, seed, threads, progress)
    learner = learners["replay"]
    learner.save(state)
    stats = learner.stats()
    _plot(picture, results["replay"], results["finetune"], stream.class_names)
    document = {
        **results,
        "latency": _latency(learner, stream),
        "arena_bytes": stats["arena_bytes"],
        "bundle_bytes": report["bundle_bytes"],
        "train_macs": stats["macs_learn"],
        "train_macs_dense": stats["macs_learn_dense"],
        "parity_max_abs": report["parity"]["max_abs"],
        "plot": str(picture),
        "bundle": str(bundle),
        "state": str(state),
        "domains": domains,
        "seconds": time.perf_counter() - begin,
    }
    output.emit(document, as_json, lambda console: _render(console, document))
