# `edgecl forget`: a class goes out of a state.
# Never here: how (the core does it).
"""The command `forget`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from edgecl.classifier import Classifier
from edgecl.cli import failure, output
from edgecl.cli.beside import bundle_of
from edgecl.errors import NotFoundError
from edgecl.files import check_output, read_file, write_file_atomic
from edgecl.state_file import read_state
from rich.console import Console


@failure.command
def forget(
    state: Path = typer.Argument(..., help="State (.ecs)."),
    name: str = typer.Option(..., "--class", "-c", help="Class to forget."),
    out: Path | None = typer.Option(None, "--output", "-o", help="State to write (.ecs); default: over the old one."),
    bundle: Path | None = typer.Option(
        None, "--bundle", "-b", help="Its bundle (.ecl); default: the one that lies beside it or here."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Take a class out of a state, and say how exactly.

    Example: edgecl forget robot.ecs --class cup

    Under a head that keeps statistics the sums are, bit for bit, as if the rows had never been learned; lda and ridge
    need them in the bank (head_bank). Under a head trained by gradients its column and its exemplars go, and the layers
    below keep what they learned from it. Rows that other devices learned stay until these forget them: see `edgecl
    merge`.

    JSON: {"state", "class", "exact", "rows_removed", "exemplars_removed", "rows_of_others", "shared_parameters",
    "classes", "bytes", "state_sha256"}
    """
    target = state if out is None else out
    check_output(target)
    data = read_file(state)
    found = read_state(data)
    source = bundle_of([state], found.bundle_sha256, bundle)
    learner = Classifier(source).load(data)
    known = learner.classes_.tolist()
    label = next((label for label in known if str(label) == name), None)
    if label is None:
        raise NotFoundError(f"expected one of {known}; found '{name}'; nothing was removed")
    told = learner.forget(label)
    write_file_atomic(target, learner.to_bytes())
    document: dict[str, Any] = {
        "state": str(target),
        "class": name,
        "exact": found.head is not None,
        "rows_removed": told["samples_learned"] if found.head is None else found.head["rows"] - _rows(learner),
        "exemplars_removed": told["exemplars_dropped"],
        "rows_of_others": told["rows_of_others"],
        "shared_parameters": told["shared_parameters"],
        "classes": list(map(str, learner.classes_.tolist())),
        "bytes": learner.state_bytes(),
        "state_sha256": learner.state_digest(),
    }
    output.emit(document, as_json, lambda console: _render(console, document))


def _rows(learner: Classifier) -> int:
    return int((learner.head_ or {"rows": 0})["rows"])


def _render(console: Console, d: dict[str, Any]) -> None:
    exact = "yes: the sums are as if its rows had never been learned"
    if not d["exact"]:
        exact = f"column and exemplars are gone; {d['shared_parameters']} shared parameters still carry its influence"
    console.print(
        output.facts(
            [
                ("state", f"{d['state']}, {output.size(d['bytes'])}"),
                ("sha256", d["state_sha256"]),
                ("forgotten", f"{d['class']}: {d['rows_removed']:,} rows, {d['exemplars_removed']:,} exemplars"),
                ("exact", exact),
                *(
                    [("it stays", f"with {d['rows_of_others']:,} rows of other devices, which must forget them")]
                    if d["rows_of_others"]
                    else []
                ),
                ("classes", ", ".join(d["classes"]) or "none"),
            ]
        )
    )
