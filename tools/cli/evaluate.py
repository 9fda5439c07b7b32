# `edgecl evaluate`: how well a bundle or a state of it knows labelled samples.
# Never here: the counting (edgecl.evaluate.confusion), learning.
"""The command `evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer
from edgecl.classifier import Classifier
from edgecl.cli import failure, output
from edgecl.cli.shared_options import THREADS
from edgecl.errors import DataError
from edgecl.files import check_output, write_file_atomic
from edgecl.npz import read_npz
from numpy.typing import NDArray
from rich.console import Console

_MOST_COLUMNS = 12  # of a matrix that is shown whole
_MOST_PAIRS = 10


def load_labelled(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Samples and labels of an .npz: x_test and y_test, else x and y.

    Raises:
        DataError: neither pair is there.
    """
    arrays = read_npz(path, ())
    for x, y in (("x_test", "y_test"), ("x", "y")):
        if x in arrays and y in arrays:
            return arrays[x], arrays[y]
    raise DataError(
        f"expected the arrays x_test and y_test, or x and y, in '{path}'; found "
        f"{', '.join(sorted(arrays)) or 'none'}; name them so"
    )


def _render(console: Console, document: dict[str, Any], width: int) -> None:
    from edgecl.evaluate.confusion import largest_confusions

    console.print(f"accuracy {output.percent(document['accuracy'])} of {document['n_samples']:,} samples")
    rows = [
        (
            entry["name"] if entry["known"] else f"{entry['name']} (unknown)",
            f"{entry['samples']:,}",
            f"{entry['predicted']:,}",
            output.percent(entry["recall"]),
            output.percent(entry["precision"]),
        )
        for entry in document["per_class"]
    ]
    console.print(output.table(["class", "samples>", "predicted>", "recall>", "precision>"], rows))
    if (unknown := document["unknown"])["samples"]:
        console.print(
            f"{unknown['samples']:,} samples have labels that the learner does not know and count as wrong: "
            + ", ".join(unknown["names"][:8])
            + (", ..." if len(unknown["names"]) > 8 else "")
        )
    names, matrix = document["classes"], document["matrix"]
    columns = [j for j in range(len(names)) if document["per_class"][j]["known"]]
    kept = [i for i in range(len(names)) if document["per_class"][i]["samples"]]
    lines = _matrix(names, matrix, kept, columns)
    console.print()
    if len(columns) <= _MOST_COLUMNS and max(map(len, lines)) <= width:
        console.print("confusions: a row a label, a column a prediction")
        for line in lines:
            console.print(line, soft_wrap=True)
        return
    pairs = [
        (p["label"], p["taken_for"], f"{p['samples']:,}", output.percent(p["share"]))
        for p in largest_confusions(document, _MOST_PAIRS)
    ]
    console.print(f"largest confusions of {len(columns)} classes (all of them: --json)" if pairs else "no confusions")
    if pairs:
        console.print(output.table(["label", "taken for", "samples>", "of the label>"], pairs))


def _matrix(names: list[str], matrix: list[list[int]], rows: list[int], columns: list[int]) -> list[str]:
    # Column heads are the first letters of the names, as many as tell them apart and the numbers need.
    cells = [[f"{matrix[i][j]:,}" if matrix[i][j] else "." for j in columns] for i in rows]
    need = max((len(cell) for row in cells for cell in row), default=1)
    heads = [names[j] for j in columns]
    longest = max(map(len, heads))
    cut = next((n for n in range(need, longest) if len({head[:n] for head in heads}) == len(heads)), longest)
    cut = min(longest, max(cut, 4))
    left = max((len(names[i]) for i in rows), default=0)
    lines = [" " * left + "".join(f"  {head[:cut]:>{cut}}" for head in heads)]
    for i, row in zip(rows, cells, strict=True):
        lines.append(f"{names[i]:<{left}}" + "".join(f"  {cell:>{cut}}" for cell in row))
    return lines


@failure.command
def evaluate(
    bundle: Path = typer.Argument(..., help="Bundle (.ecl)."),
    data: Path = typer.Option(
        ..., "--data", "-d", help=".npz with x_test and y_test, or x and y; raw samples, labels as numbers or text."
    ),
    state: Path | None = typer.Option(None, "--state", "-s", help="State (.ecs) to test; default: as shipped."),
    out: Path | None = typer.Option(None, "--output", "-o", help="Write the JSON document to this file, too."),
    threads: int = THREADS,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Test on labelled samples: accuracy, recall and precision of each class, and who is taken for whom.

    Labels that the learner does not know count as wrong.

    Example: edgecl evaluate model.ecl --state robot.ecs --data test.npz

    JSON: {"bundle", "bundle_sha256", "state", "state_sha256", "data", "n_samples", "accuracy", "classes", "per_class":
    [{"name", "known", "samples", "predicted", "recall", "precision"}], "matrix": [[...]] (rows: label, columns:
    prediction, in the order of "classes"), "unknown": {"names", "samples"}, "output"}; shares are 0..1.
    """
    from edgecl.evaluate.confusion import confusion

    if out is not None:
        check_output(out)
    learner = Classifier(bundle, n_threads=threads)
    if state is not None:
        learner.load(state)
    else:
        learner.config()  # a bad bundle is told before data are read
    x, y = load_labelled(data)
    with output.progress() as progress:
        found = confusion(learner, x, y, lambda done, total: progress("test", done, total))
    document = {
        "bundle": str(bundle),
        "bundle_sha256": learner.bundle_info()["digest"],
        "state": None if state is None else str(state),
        "state_sha256": learner.state_digest(),
        "data": str(data),
        **found,
        "output": None if out is None else str(out),
    }
    if out is not None:
        write_file_atomic(out, (json.dumps(output.plain(document), indent=2, allow_nan=False) + "\n").encode())

    def render(console: Console) -> None:
        _render(console, document, console.width)
        if out is not None:
            console.print(f"written: {out}")

    output.emit(document, as_json, render)
