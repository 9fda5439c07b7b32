# `edgecl learn`: a bundle learns a stream, and what it cost is told.
# Never here: the loop itself (edgecl.evaluate.experiment), data sets (edgecl.evaluate.streams).
"""The command `learn`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer
from edgecl.classifier import Classifier
from edgecl.cli import failure, output
from edgecl.cli.recipe_options import MAX_SEED, SET, recipe_settings
from edgecl.methods import method_settings
from rich.console import Console

if TYPE_CHECKING:
    from edgecl.evaluate.stream_types import Stream


def _stream(name: str | None, data: Path | None, classes_per_task: int | None) -> Stream:
    from edgecl.evaluate.streams import load_stream, stream_from_npz, stream_names

    if (name is None) == (data is None):
        raise failure.UsageError(
            f"expected either --stream NAME or --data FILE; found {'both' if name else 'neither'}; "
            f"streams: {', '.join(stream_names())}"
        )
    return load_stream(name) if name is not None else stream_from_npz(str(data), classes_per_task)


def _export(model: str, stream: Stream, density: float, seed: int, settings: dict[str, Any]) -> bytes:
    """A bundle of a model for the samples and classes of a stream; all classes take part from the first step on."""
    from edgecl.cli.model_source import load_model

    shape = tuple(stream.tasks[0].x_train.shape[1:])
    source = load_model(model, shape, stream.n_classes, seed)
    import edgecl.export as exporter
    import torch

    spec = exporter.InputSpec(
        dtype="u8" if stream.tasks[0].x_train.dtype == np.uint8 else "f32",
        scale=stream.input.scale,
        mean=stream.input.mean,
        std=stream.input.std,
    )
    if source.built_in is not None:
        schedule = settings.setdefault("rate_schedule", "linear")
        settings.setdefault("learning_rate", source.built_in.learning_rate(density, schedule))
    keywords: dict[str, Any] = {
        "name": source.name,
        "density": density,
        "mask_seed": seed,
        "initial_scale": "variance" if source.built_in is not None and not source.built_in.trained else "none",
        "classes": list(stream.class_names),
        "input": spec,
        "recipe": exporter.Recipe(**settings),
    }
    if source.onnx is not None:
        return exporter.from_onnx(source.onnx, **keywords).bundle
    return exporter.from_torch(source.module, torch.zeros(1, *shape), **keywords).bundle


def _render(console: Console, document: dict[str, Any]) -> None:
    rows = [
        (name, output.percent(at), output.percent(end), output.count(macs), output.count(paper), f"{seconds:.2f}")
        for name, at, end, macs, paper, seconds in zip(
            document["tasks"],
            document["per_task_after_learning"],
            document["per_task"],
            document["task_macs"],
            document["task_macs_paper"],
            document["task_seconds"],
            strict=True,
        )
    ]
    columns = ["task", "after learning it>", "at the end>", "multiply-adds>", "paper's count>", "seconds>"]
    console.print(output.table(columns, rows))
    macs, dense = document["train_macs"], document["train_macs_dense"]
    console.print(
        output.facts(
            [
                ("average accuracy", output.percent(document["average_accuracy"])),
                ("forgetting", output.percent(document["forgetting"])),
                ("backward transfer", output.percent(document["backward_transfer"])),
                ("accuracy with the task known", output.percent(document["task_il_accuracy"])),
                ("training multiply-adds", f"{output.count(macs)} ({output.count(dense)} if dense)"),
                (
                    "as the SparCL paper counts",
                    f"{output.count(document['train_macs_paper'])} ({output.count(document['train_macs_paper_dense'])} "
                    "if dense)",
                ),
                *_structure_facts(document),
                *_removal_facts(document),
                ("memory of the session", output.size(document["peak_bytes"])),
                (
                    "learning",
                    f"{document['seconds']:.2f} s, {document['steps']} steps of {document['config']['max_batch']}",
                ),
                (
                    "learning rate",
                    f"{document['config']['learning_rate']:.3g}, {document['rate_schedule']} in each task",
                ),
                ("testing", f"{document['evaluate_seconds']:.2f} s"),
                ("state", document["state_sha256"] + (f" in {document['state']}" if document["state"] else "")),
            ]
        )
    )


def _structure_facts(document: dict[str, Any]) -> list[tuple[str, str]]:
    structure = document["structure"]
    if not structure["updates"]:
        return []
    return [
        (
            "changes of structure",
            f"{structure['updates']}: {output.count(structure['weights_dropped'])} weights dropped, "
            f"{output.count(structure['weights_grown'])} grown, {structure['share_of_time']:.2%} of the learning time",
        )
    ]


def _removal_facts(document: dict[str, Any]) -> list[tuple[str, str]]:
    facts, removal = [], document["removal"]
    if removal["stages"]:
        facts.append(
            (
                "data removal",
                f"{removal['examples_removed']} examples after epochs {', '.join(map(str, removal['stages']))}; "
                f"{removal['samples_skipped']} samples need not be learned",
            )
        )
    elif removal["share"] > 0:
        facts.append(("data removal", "none: it needs --epochs 2 or more"))
    if document["rehearsals"]:
        facts.append(("rehearsals", f"{document['rehearsals']} of {document['config']['rehearse_steps']} steps"))
    return facts


@failure.command
def learn(
    bundle: str = typer.Argument(
        ..., help="Bundle (.ecl); or a model as `edgecl export` takes it, exported for this stream on the fly."
    ),
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
    epochs: int = typer.Option(
        1, "--epochs", min=1, help="Passes over each task; with a SparCL method examples are removed on the way."
    ),
    seed: int | None = typer.Option(
        None,
        "--seed",
        min=0,
        max=MAX_SEED,
        help="Of the order of samples, the replay draws and the augmentation. Default: 0; the state's own.",
    ),
    keep_last: bool = typer.Option(False, "--keep-last", help="Learn incomplete last batches as smaller steps."),
    method: str | None = typer.Option(
        None, "--method", help="er, derpp, sparcl-derpp, ...: see `edgecl methods`. Default: the recipe of the bundle."
    ),
    density: float | None = typer.Option(
        None,
        "--density",
        help="Of a model exported on the fly: share of the weights kept in its sparse layers. Default: 1.",
    ),
    structure_interval: int | None = typer.Option(
        None, "--structure-interval", min=1, help="Steps between changes of structure. Default: a tenth of a task."
    ),
    growth: str | None = typer.Option(None, "--growth", help="TDM grows at: random, gradient or importance."),
    learning_rate: float | None = typer.Option(None, "--learning-rate", "--lr", help="Default: the recipe."),
    rate_schedule: str | None = typer.Option(
        None,
        "--rate-schedule",
        help="Through each task: constant, linear or cosine (falling, and warm again in the next). Default: the "
        "recipe; linear for a built-in network.",
    ),
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
    settings: list[str] = SET,
    threads: int = typer.Option(1, "--threads", "-t", min=1, max=64, help="Threads; results do not depend on it."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Learn a stream task by task; test all tasks so far after each.

    Example: edgecl learn mlp.ecl --stream split-fashion-mnist --method er_ace --state robot.ecs

    JSON: {"stream", "tasks", "average_accuracy", "forgetting", "backward_transfer", "per_task",
    "per_task_after_learning", "accuracy_matrix", "task_il_accuracy", "seconds", "evaluate_seconds", "steps", "samples",
    "task_seconds", "task_macs", "task_macs_paper", "train_macs", "train_macs_dense", "train_macs_paper",
    "train_macs_paper_dense", "structure": {"updates", "weights_dropped", "weights_grown", "weights_stored",
    "weights_trainable", "seconds", "share_of_time"}, "removal": {"share", "stages", "score", "examples_removed",
    "samples_skipped"}, "rehearsals", "rate_schedule",
    "peak_bytes", "peak_rss_bytes", "state_bytes", "state_sha256", "state", "config", "bundle", "bundle_sha256", ...};
    shares are 0..1.
    """
    from edgecl.evaluate.experiment import run_stream, task_intervals

    recipe = recipe_settings(
        settings,
        method=method,
        structure_interval=structure_interval,
        growth=growth,
        learning_rate=learning_rate,
        rate_schedule=rate_schedule,
        batch_size=batch_size,
        replay_batch=replay_batch,
        replay_capacity=replay_capacity,
        alpha=alpha,
        beta=beta,
        class_mask=class_mask,
    )
    if "method" in recipe:
        method_settings(recipe["method"])  # an unknown one is told before data are read
    is_bundle = bundle.endswith(".ecl") or (Path(bundle).exists() and not bundle.endswith((".onnx", ".py")))
    if is_bundle and density is not None:
        raise failure.UsageError(
            "expected --density with a model that is exported on the fly; found a bundle, whose layers are what they "
            "are; leave the option out, or export with it"
        )
    tasks = None if is_bundle else _stream(stream, data, classes_per_task)
    learner = Classifier(
        bundle
        if tasks is None
        else _export(bundle, tasks, 1.0 if density is None else density, seed or 0, dict(recipe)),
        random_state=seed,
        n_threads=threads,
        **recipe,
    )
    learner.config()  # a bad bundle or option is told before data are read
    tasks = tasks or _stream(stream, data, classes_per_task)
    if "method" in recipe:
        config = learner.config()
        intervals = task_intervals(config, len(tasks.tasks[0].x_train) // config["max_batch"] * epochs)
        learner = learner.set_params(**{**intervals, **recipe}).clone()
    if state is not None and state.exists():
        learner.load(state)
        output.log(f"continuing from {state}, seed {learner.config()['seed']}")
    with output.progress() as progress:
        document = run_stream(learner, tasks, epochs=epochs, seed=seed or 0, drop_last=not keep_last, progress=progress)
    if state is not None:
        learner.save(state)
    document["state"] = None if state is None else str(state)
    output.emit(document, as_json, lambda console: _render(console, document))
