# `edgecl learn`: a model learns a stream, once or by several methods and seeds, and what it cost is told.
# Never here: the loop itself (edgecl.evaluate), models and streams (learn_models.py), tables.
"""The command `learn`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from edgecl.cli import compare_runs, failure, output
from edgecl.cli.learn_models import Models, read_stream, variants
from edgecl.cli.learn_route import EPOCHS, learn_route
from edgecl.cli.learn_table import render_run
from edgecl.cli.recipe_options import MAX_SEED, SET, recipe_settings
from edgecl.cli.report import check_report, report_page
from edgecl.cli.shared_options import THREADS
from edgecl.files import check_output, read_file, write_file_atomic
from edgecl.state_file import read_state

if TYPE_CHECKING:
    from edgecl.evaluate.runs import RunsInterrupted
    from edgecl.evaluate.stream_types import Stream

_MOST_SEEDS = 1000


@failure.command
def learn(
    bundle: str = typer.Argument(
        ..., help="Bundle (.ecl); or a model as `edgecl export` takes it, exported for this stream on the fly."
    ),
    stream: str | None = typer.Option(
        None, "--stream", help="Named stream: split-fashion-mnist, split-cifar10, digits, ..."
    ),
    data: Path | None = typer.Option(
        None,
        "--data",
        help=".npz with x_train, y_train, x_test, y_test[, task_train, task_test | domain_train, domain_test].",
    ),
    classes_per_task: int | None = typer.Option(None, "--classes-per-task", min=1, help="Cuts --data into tasks."),
    state: Path | None = typer.Option(
        None, "--state", "-s", help="State (.ecs), written at the end. One that exists is learned on from."
    ),
    resume: bool = typer.Option(
        False, "--resume", help="Go on with the interrupted run of the same arguments, after its last whole task."
    ),
    epochs: int | None = typer.Option(
        None,
        "--epochs",
        min=1,
        help="Passes over each task, default 1; with a SparCL method examples are removed on the way. With --route: of "
        "an adaptor, default 10.",
    ),
    seed: int | None = typer.Option(
        None,
        "--seed",
        min=0,
        max=MAX_SEED,
        help="Of the order of samples, the replay draws and the augmentation; with --seeds the first. Default: 0; the "
        "state's own.",
    ),
    seeds: int | None = typer.Option(
        None, "--seeds", min=1, max=_MOST_SEEDS, help="Compare: this many runs a method, of seeds 0, 1, 2, ..."
    ),
    methods: str | None = typer.Option(
        None,
        "--methods",
        help="Compare: er,derpp,sparcl-derpp@0.1, ...; @ gives a density of its own to a model exported on the fly.",
    ),
    csv: Path | None = typer.Option(None, "--csv", help="Write a row a run; shares are 0..1."),
    plot: Path | None = typer.Option(
        None, "--plot", help="Draw accuracy against tasks learned (.png, .svg, .pdf); needs matplotlib."
    ),
    report: Path | None = typer.Option(
        None, "--report", help="Write a page with all that happened (.html, needs nothing else); needs matplotlib."
    ),
    route: bool = typer.Option(
        False,
        "--route",
        help="Tasks are domains: rows are learned in the domain that they fit, and one grows where an alarm, room and "
        "rows held out agree. Wants a head that keeps statistics; default of a model exported on the fly: ridge.",
    ),
    adaptor: str | None = typer.Option(
        None, "--adaptor", help="With --route, of a model exported on the fly: as `edgecl export --adaptor`."
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
    threads: int = THREADS,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Learn a stream task by task; test all tasks so far after each.

    Example: edgecl learn mlp.ecl --stream split-fashion-mnist --method er_ace --state robot.ecs

    Example: edgecl learn mlp --stream digits --seeds 5 --methods er,derpp,sparcl-derpp@0.1 --csv runs.csv

    A run with --state, --csv or --plot keeps what is done in a file beside the first of them, its name with .progress
    after it: after each task, and after each run of a comparison. Ctrl-C and SIGTERM print the tasks done and leave
    that file; the same command with --resume goes on, and the state at the end is the same as without the interrupt.
    A finished run removes the file; --resume then has nothing to do and says so. This is another thing than an existing
    --state, which a new run begins from.

    JSON of a comparison: {"stream", "n_tasks", "seeds", "methods": [{"method", "seeds", "average_accuracy": {"mean",
    "deviation", "values"}, "forgetting", "train_macs", "seconds", "peak_bytes", ...}], "runs": [...], "n_runs",
    "interrupted", "csv", "plot"}.

    JSON of one run: {"stream", "tasks", "average_accuracy", "forgetting", "backward_transfer", "per_task",
    "per_task_after_learning", "accuracy_matrix", "task_il_accuracy", "seconds", "evaluate_seconds", "steps", "samples",
    "task_seconds", "task_macs", "task_macs_paper", "train_macs", "train_macs_dense", "train_macs_paper",
    "train_macs_paper_dense", "structure": {"updates", "weights_dropped", "weights_grown", "weights_stored",
    "weights_trainable", "seconds", "share_of_time"}, "removal": {"share", "stages", "score", "examples_removed",
    "samples_skipped"}, "rehearsals", "rate_schedule",
    "peak_bytes", "peak_rss_bytes", "state_bytes", "state_sha256", "state", "csv", "plot", "interrupted", "config",
    "bundle", "bundle_sha256", ...}; shares are 0..1.

    JSON with --route: {"stream", "kind": "domains", "tasks", "growth": [{"task", "domain", "grown", "alarm",
    "unknown", "full", "accuracy_refit", "accuracy_grown", "adaptor", "rows", "seconds"}], "novelty": [{"scores",
    "accept", "novel"}], "accuracy_matrix", "told_matrix", "routes", "alarms", "average_accuracy",
    "average_accuracy_told", "forgetting", "domains", "peak_bytes", "state_sha256", "report", "state", ...}.
    """
    from edgecl.evaluate.runs import RunsInterrupted, run_all

    recipe = recipe_settings(
        settings,
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
    compares = methods is not None or seeds is not None
    files = {"state": state, "csv": csv, "plot": plot, "report": report}
    if route:
        _refuse_with_route(compares, resume=resume, csv=csv, plot=plot, keep_last=keep_last)
    elif adaptor is not None:
        raise failure.UsageError("expected --adaptor with --route; found it alone; add --route")
    checkpoint = _check_files(files, compares, resume)
    models = Models(bundle, recipe, threads, epochs or (EPOCHS if route else 1), adaptor)
    own_method = recipe.pop("method", method)
    if route and own_method is None and not models.is_bundle:
        own_method = "ridge"
    rows = variants(methods, own_method, density)
    models.check(rows)
    models.hush()
    if route:
        tasks = read_stream(stream, data, classes_per_task)
        return learn_route(models, rows[0], tasks, seed, state, report, as_json)
    _say_what_is_there(checkpoint, resume, state if state is not None and state.exists() else None)
    start = read_file(state) if state is not None and state.exists() else None
    if start is not None and not resume:
        output.log(f"learning on from {state}, seed {read_state(start).counters['seed']}")
    tasks = read_stream(stream, data, classes_per_task)
    each_seed = [seed] if seeds is None else [(seed or 0) + n for n in range(seeds)]
    runs = [models.run(row, own, tasks, start) for row in rows for own in each_seed]
    if len(runs) > 1:
        for row in rows:
            models.learner(row, each_seed[0], tasks).config()  # what cannot run is told before anything does

    def summed_up(documents: list[dict[str, Any]], interrupted: bool) -> dict[str, Any]:
        found = {name: None if path is None or interrupted else str(path) for name, path in files.items()}
        if not compares:
            return {**documents[0], **found}
        return _comparison(documents, tasks, [run.seed for run in runs[: len(each_seed)]], len(runs), found)

    def tell(document: dict[str, Any]) -> None:
        render = compare_runs.render_comparison if compares else render_run
        output.emit(document, as_json, lambda console: render(console, document))

    try:
        with output.progress() as progress:
            documents, learner = run_all(
                runs,
                tasks,
                epochs=models.epochs,
                drop_last=not keep_last,
                made_from=models.identity(rows) if checkpoint is not None else None,
                checkpoint=checkpoint,
                resume=resume,
                after_run=lambda done: _write(csv, None, done),
                progress=progress,
            )
    except RunsInterrupted as interrupt:
        done = interrupt.done if compares or interrupt.partial is None else [interrupt.partial]
        if done or compares:
            tell(summed_up(done, interrupted=True))
        failure.finish(_say_how_to_go_on(interrupt, checkpoint))
    document = summed_up(documents, interrupted=False)
    page = None if report is None else report_page(document)  # what cannot be drawn is told before files change
    if state is not None and learner is not None:
        learner.save(state)
    _write(csv, plot, documents)
    if report is not None and page is not None:
        write_file_atomic(report, page)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    tell(document)


def _check_files(files: dict[str, Path | None], compares: bool, resume: bool) -> Path | None:
    # Whether all outputs can be written, before any work; and where the checkpoint lies.
    from edgecl.evaluate.runs import checkpoint_path

    if compares and files["state"] is not None:
        raise failure.UsageError(
            "expected --state with one run; found several (--seeds, --methods), each with a state of its own; leave it "
            "out"
        )
    given = [path for path in files.values() if path is not None]
    if resume and not given:
        raise failure.UsageError(
            "expected --state, --csv, --plot or --report with --resume, because the unfinished run lies beside that "
            "file; found none of them; give the arguments of the interrupted run"
        )
    if len({path.resolve() for path in given}) < len(given):
        raise failure.UsageError(
            "expected different files for --state, --csv, --plot and --report; found one twice; rename it"
        )
    for path in given:
        check_output(path)
    if files["plot"] is not None:
        compare_runs.check_picture(files["plot"])
    if files["report"] is not None:
        check_report(files["report"])
    if not given:
        return None
    check_output(checkpoint_path(given[0]))
    return checkpoint_path(given[0])


def _refuse_with_route(compares: bool, **options: Any) -> None:
    given = ["--" + name.replace("_", "-") for name, value in options.items() if value]
    given += ["--seeds, --methods"] if compares else []
    if given:
        raise failure.UsageError(
            f"expected one run without checkpoints with --route; found {', '.join(given)}; leave that out (--report "
            "and --state go with it)"
        )


def _say_what_is_there(checkpoint: Path | None, resume: bool, begun: Path | None) -> None:
    from edgecl.evaluate.checkpoint import Checkpoint

    if checkpoint is None:
        return
    if not checkpoint.exists():
        if resume and begun is not None:
            raise failure.UsageError(
                f"expected an unfinished run in '{checkpoint}'; found none, while '{begun}' is there: a run that is "
                "finished, or a state to learn on from; leave out --resume to learn on from it"
            )
        if resume:
            output.log(f"no unfinished run in {checkpoint}: beginning from the start")
        return
    done = Checkpoint.read(checkpoint).text()
    if resume:
        output.log(f"resuming {checkpoint}: {done} done")
    else:
        output.log(
            f"note: {checkpoint} holds an unfinished run ({done} done), which is replaced when the first task is done; "
            "--resume would go on with it"
        )


def _say_how_to_go_on(interrupt: RunsInterrupted, checkpoint: Path | None) -> int:
    code = failure.exit_code(interrupt.__cause__ or interrupt)
    what = "interrupted" if code == failure.INTERRUPTED else "ended by SIGTERM"
    if interrupt.kept:
        output.log(f"{what}; the same command with --resume goes on (from {checkpoint})")
    elif checkpoint is None:
        output.log(f"{what}; nothing was kept, because no --state, --csv, --plot or --report says where")
    else:
        output.log(f"{what} before a task was done; nothing new was kept")
    return code


def _write(csv: Path | None, plot: Path | None, documents: list[dict[str, Any]]) -> None:
    if csv is not None:
        write_file_atomic(csv, compare_runs.csv_text(documents).encode())
    if plot is not None:
        write_file_atomic(plot, compare_runs.draw(documents, plot.suffix[1:].lower()))


def _comparison(
    documents: list[dict[str, Any]], stream: Stream, seeds: list[int], n_runs: int, files: dict[str, str | None]
) -> dict[str, Any]:
    return {
        "stream": stream.name,
        "n_tasks": len(stream.tasks),
        "seeds": seeds,
        "methods": compare_runs.summaries(documents),
        "runs": documents,
        "n_runs": n_runs,
        "interrupted": len(documents) < n_runs,
        "csv": files["csv"],
        "plot": files["plot"],
    }
