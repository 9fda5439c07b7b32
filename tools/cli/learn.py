# `edgecl learn`: a bundle learns a stream, and what it cost is told.
# Never here: the loop itself (edgecl.experiment), data sets (edgecl.streams).
"""The command `learn`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

import typer
from edgecl.classifier import Classifier
from edgecl.cli import failure, output
from edgecl.stream_types import Stream
from rich.console import Console


class Method(str, Enum):
    """Methods by the names of the recipe."""

    finetune = "finetune"
    er = "er"
    derpp = "derpp"
    er_ace = "er_ace"


def _stream(name: str | None, data: Path | None, classes_per_task: int | None) -> Stream:
    from edgecl.streams import load_stream, stream_from_npz, stream_names

    if (name is None) == (data is None):
        raise failure.UsageError(
            f"expected either --stream NAME or --data FILE; found {'both' if name else 'neither'}; "
            f"streams: {', '.join(stream_names())}"
        )
    return load_stream(name) if name is not None else stream_from_npz(str(data), classes_per_task)


def _render(console: Console, document: dict[str, Any]) -> None:
    rows = [
        (name, output.percent(at), output.percent(end))
        for name, at, end in zip(
            document["tasks"], document["per_task_after_learning"], document["per_task"], strict=True
        )
    ]
    console.print(output.table(["task", "after learning it>", "at the end>"], rows))
    macs, dense = document["train_macs"], document["train_macs_dense"]
    console.print(
        output.facts(
            [
                ("average accuracy", output.percent(document["average_accuracy"])),
                ("forgetting", output.percent(document["forgetting"])),
                ("backward transfer", output.percent(document["backward_transfer"])),
                ("accuracy with the task known", output.percent(document["task_il_accuracy"])),
                ("training multiply-adds", f"{output.count(macs)} ({output.count(dense)} if dense)"),
                ("memory of the session", output.size(document["peak_bytes"])),
                (
                    "learning",
                    f"{document['seconds']:.2f} s, {document['steps']} steps of {document['config']['max_batch']}",
                ),
                ("testing", f"{document['evaluate_seconds']:.2f} s"),
                ("state", document["state_sha256"] + (f" in {document['state']}" if document["state"] else "")),
            ]
        )
    )


@failure.command
def learn(
    bundle: Path = typer.Argument(..., help="Bundle (.ecl)."),
    stream: str | None = typer.Option(
        None, "--stream", help="Named stream: split-fashion-mnist, split-cifar10, digits, ..."
    ),
    data: Path | None = typer.Option(
        None, "--data", help=".npz with x_train, y_train, x_test, y_test[, task_train, task_test]."
    ),
    classes_per_task: int | None = typer.Option(None, "--classes-per-task", min=1, help="Cuts --data into tasks."),
    state: Path | None = typer.Option(
        None, "--state", "-s", help="State (.ecs): continued where it exists, written at the end."
    ),
    epochs: int = typer.Option(1, "--epochs", min=1, help="Passes over each task."),
    seed: int = typer.Option(
        0, "--seed", min=0, help="Of the order of samples, the replay draws and the augmentation."
    ),
    keep_last: bool = typer.Option(False, "--keep-last", help="Learn incomplete last batches as smaller steps."),
    method: Method | None = typer.Option(None, "--method", help="Default: the recipe of the bundle."),
    learning_rate: float | None = typer.Option(None, "--learning-rate", "--lr", help="Default: the recipe."),
    batch_size: int | None = typer.Option(None, "--batch-size", min=1, help="Default: the recipe."),
    replay_batch: int | None = typer.Option(None, "--replay-batch", min=0, help="Rows a draw. Default: the recipe."),
    replay_capacity: int | None = typer.Option(
        None, "--replay-capacity", min=0, help="Exemplars kept. Default: the recipe."
    ),
    alpha: float | None = typer.Option(None, "--alpha", help="DER++: weight of the logit term."),
    beta: float | None = typer.Option(None, "--beta", help="DER++: weight of the label term."),
    class_mask: bool | None = typer.Option(
        None, "--class-mask/--no-class-mask", help="Current loss over the batch's classes only."
    ),
    threads: int = typer.Option(1, "--threads", "-t", min=1, max=64, help="Threads; results do not depend on it."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Learn a stream task by task; test all tasks so far after each.

    Example: edgecl learn mlp.ecl --stream split-fashion-mnist --method er_ace --state robot.ecs

    JSON: {"stream", "tasks", "average_accuracy", "forgetting", "backward_transfer", "per_task",
    "per_task_after_learning", "accuracy_matrix", "task_il_accuracy", "seconds", "evaluate_seconds", "steps", "samples",
    "train_macs", "train_macs_dense", "peak_bytes", "peak_rss_bytes", "state_bytes", "state_sha256", "state", "config",
    "bundle", "bundle_sha256", ...}; shares are 0..1.
    """
    from edgecl.experiment import run_stream

    learner = Classifier(
        bundle,
        method=None if method is None else method.value,
        learning_rate=learning_rate,
        batch_size=batch_size,
        replay_batch=replay_batch,
        replay_capacity=replay_capacity,
        alpha=alpha,
        beta=beta,
        class_mask=class_mask,
        random_state=seed,
        n_threads=threads,
    )
    learner.config()  # a bad bundle or option is told before data are read
    if state is not None and state.exists():
        learner.load(state)
        output.log(f"continuing from {state}")
    tasks = _stream(stream, data, classes_per_task)
    with output.progress() as progress:
        document = run_stream(learner, tasks, epochs=epochs, seed=seed, drop_last=not keep_last, progress=progress)
    if state is not None:
        learner.save(state)
    document["state"] = None if state is None else str(state)
    output.emit(document, as_json, lambda console: _render(console, document))
