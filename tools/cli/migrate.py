# `edgecl migrate`: a state moves to a bundle that was exported again.
# Never here: how (the core does it).
"""The command `migrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from edgecl.bundle import Bundle
from edgecl.classifier import Classifier
from edgecl.cli import failure, output
from edgecl.files import check_output, read_file, write_file_atomic
from rich.console import Console


@failure.command
def migrate(
    state: Path = typer.Argument(..., help="State (.ecs) of the old bundle."),
    old: Path = typer.Option(..., "--from", help="The bundle (.ecl) that the state was learned with."),
    new: Path = typer.Option(..., "--to", help="The same model, exported again."),
    out: Path = typer.Option(..., "--output", "-o", help="State to write (.ecs)."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Move a state to a bundle that was exported again, if both train the same shapes.

    Example: edgecl migrate robot.ecs --from old.ecl --to new.ecl -o new.ecs

    JSON: {"state", "from_sha256", "to_sha256", "n_params", "n_renamed", "n_frozen_changed", "classes", "classes_left",
    "state_sha256"}
    """
    check_output(out)
    source, target = Bundle(old), Bundle(new)
    moved, told = source.migrate(read_file(state), target)
    learner = Classifier(target).load(moved)  # a session of the new bundle must take it
    write_file_atomic(out, moved)
    known = list(map(str, learner.classes_.tolist()))
    document: dict[str, Any] = {
        "state": str(out),
        "from_sha256": source.digest,
        "to_sha256": target.digest,
        **{key: told[key] for key in ("n_params", "n_renamed", "n_frozen_changed")},
        "classes": known,
        "classes_left": [name for name in target.info["classes"] if name not in known],
        "state_sha256": learner.state_digest(),
    }
    output.emit(document, as_json, lambda console: _render(console, document))


def _render(console: Console, d: dict[str, Any]) -> None:
    console.print(
        output.facts(
            [
                ("state", d["state"]),
                ("sha256", d["state_sha256"]),
                ("came along", f"{d['n_params']} trained parameters, {d['n_renamed']} of them renamed"),
                ("frozen", f"{d['n_frozen_changed']} parameters have other values: the new bundle's hold"),
                ("classes", ", ".join(d["classes"]) or "none"),
                ("left behind", ", ".join(d["classes_left"]) or "no class of the new bundle"),
            ]
        )
    )
