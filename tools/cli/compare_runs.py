# Several runs of `edgecl learn` beside each other: the table, the CSV file, the picture.
# Never here: learning, the table of one run (learn_table.py).
"""Methods over seeds: summaries, `render_comparison`, `csv_text`, `draw`."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from edgecl.cli import output
from edgecl.cli.failure import UsageError, needs
from rich.console import Console

_FIGURES = (
    *("average_accuracy", "forgetting", "backward_transfer", "task_il_accuracy", "train_macs", "train_macs_dense"),
    *("train_macs_paper", "seconds", "evaluate_seconds", "peak_bytes", "steps", "samples"),
)


def summaries(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry a method, in order of appearance: "method", "seeds", and of each figure mean, deviation (null for one
    run) and values."""
    result = []
    for method in dict.fromkeys(run["method"] for run in runs):
        own = [run for run in runs if run["method"] == method]
        entry: dict[str, Any] = {"method": method, "seeds": [run["run_seed"] for run in own]}
        for name in _FIGURES:
            values = [run[name] for run in own]
            deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
            entry[name] = {"mean": float(np.mean(values)), "deviation": deviation, "values": values}
        result.append(entry)
    return result


def render_comparison(console: Console, document: dict[str, Any]) -> None:
    """Prints a row a method, and where the files are."""
    rows = []
    for entry in document["methods"]:
        values = {name: entry[name]["values"] for name in _FIGURES}
        rows.append(
            (
                entry["method"],
                output.spread([100 * v for v in values["average_accuracy"]]),
                output.spread([100 * v for v in values["forgetting"]]),
                output.count_spread(values["train_macs"]),
                output.duration_spread(values["seconds"]),
                output.size(float(np.mean(values["peak_bytes"]))),
            )
        )
    console.print(output.table(["method", "accuracy %>", "forgetting %>", "multiply-adds>", "time>", "memory>"], rows))
    seeds = document["seeds"]
    over = f"{len(seeds)} seeds, mean ± sample deviation" if len(seeds) > 1 else f"seed {seeds[0]}"
    facts = [("stream", f"{document['stream']}, {document['n_tasks']} tasks"), ("runs", over)]
    if document["interrupted"]:
        facts.append(("interrupted", f"{len(document['runs'])} of {document['n_runs']} runs done"))
    facts += [(name, document[name]) for name in ("csv", "plot") if document[name]]
    console.print(output.facts(facts))


def csv_text(runs: Sequence[dict[str, Any]]) -> str:
    """A row a run: method, seed, figures (shares 0..1), state_sha256, and the accuracy on each task at the end."""
    n_tasks = max(len(run["per_task"]) for run in runs)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    tasks = [f"accuracy_task_{t + 1}" for t in range(n_tasks)]
    writer.writerow(["stream", "method", "seed", "epochs", *_FIGURES, "state_sha256", *tasks])
    for run in runs:
        head = [run["stream"], run["method"], run["run_seed"], run["epochs"]]
        writer.writerow([*head, *(run[name] for name in _FIGURES), run["state_sha256"], *run["per_task"]])
    return text.getvalue()


def check_picture(path: Path) -> None:
    """Whether `draw` can make the kind of picture that the name asks for.

    Raises:
        UnsupportedError: matplotlib is missing. UsageError: no such kind.
    """
    with needs("matplotlib, which draws --plot", "report"):
        import matplotlib
    matplotlib.use("Agg")
    from matplotlib.backend_bases import FigureCanvasBase

    kinds = FigureCanvasBase.get_supported_filetypes()
    if path.suffix[1:].lower() not in kinds:
        raise UsageError(
            f"expected a picture's ending in --plot ({', '.join(sorted(kinds))}); found '{path.name}'; rename it"
        )


def draw(runs: Sequence[dict[str, Any]], kind: str) -> bytes:
    """A picture: accuracy over the tasks so far against tasks learned, a line a method (mean) with a band of one
    deviation.

    Args:
        kind: of the file, such as "png", "svg" or "pdf".
    """
    from matplotlib import pyplot, rc_context

    picture = io.BytesIO()
    with rc_context({"text.parse_math": False}):  # names may hold dollars
        figure, axes = pyplot.subplots(figsize=(6.5, 4), layout="constrained")
        curves(axes, runs)
        figure.savefig(picture, format=kind, dpi=150)
        pyplot.close(figure)
    return picture.getvalue()


def curves(axes: Any, runs: Sequence[dict[str, Any]]) -> None:
    """Draws what `draw` says into axes of matplotlib."""
    for method in dict.fromkeys(run["method"] for run in runs):
        values = np.array(
            [
                [100 * np.mean([v for v in row if v is not None]) for row in run["accuracy_matrix"]]
                for run in runs
                if run["method"] == method
            ]
        )
        x, mean = np.arange(1, values.shape[1] + 1), values.mean(axis=0)
        (line,) = axes.plot(x, mean, marker="o", label=f"{method}: {mean[-1]:.1f} %")
        if len(values) > 1:
            spread = values.std(axis=0, ddof=1)
            axes.fill_between(x, mean - spread, mean + spread, alpha=0.2, color=line.get_color())
    names = runs[0]["tasks"]
    axes.set(xlabel="tasks learned", ylabel="accuracy on all of them, %", title=runs[0]["stream"], ylim=(0, 102))
    axes.set_xticks(range(1, len(names) + 1))
    axes.grid(alpha=0.3)
    axes.legend()
