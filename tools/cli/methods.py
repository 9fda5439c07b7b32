# `edgecl methods`: the learning methods by name.
# Never here: what they set (edgecl.methods), what they do (the core).
"""The command `methods`."""

from __future__ import annotations

from typing import Any

import typer
from edgecl.cli import failure, output
from edgecl.methods import METHODS, method_settings
from rich.console import Console

_NEEDS = {
    "replay": "a replay buffer",
    "sparse": "sparse layers",
    "boundaries": "task ends (told, or the drift signal)",
    "tail": "a frozen lower part",
    "head": "an embedding and a dense linear last layer",
}


@failure.command
def methods(
    name: str | None = typer.Argument(None, help="Show the settings of this method; default: list all."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """List the learning methods: what each needs of bundle and stream, and what it was compared with.

    Example: edgecl methods sparcl-derpp

    JSON: {"methods": [{"name", "title", "source", "needs": [...], "compared", "settings": {...}}]}
    """
    if name is not None:
        method_settings(name)
    found: list[dict[str, Any]] = [
        {
            "name": key,
            "title": entry.title,
            "source": entry.source,
            "needs": list(entry.needs),
            "compared": entry.compared,
            "settings": dict(entry.settings),
        }
        for key, entry in METHODS.items()
        if name is None or key == name.replace("_", "-") or key == name.replace("-", "_")
    ]

    def render(console: Console) -> None:
        if name is None:
            rows = [(m["name"], m["title"], ", ".join(m["needs"]) or "-") for m in found]
            console.print(output.table(["name", "method", "needs"], rows))
            console.print("edgecl methods NAME: its settings, its source, and what it was compared with")
            return
        method = found[0]
        console.print(f"{method['name']}: {method['title']} ({method['source']})")
        facts = [("needs", "; ".join(_NEEDS[need] for need in method["needs"]) or "nothing")]
        facts.append(("compared with", method["compared"]))
        facts += [(key, output.value(value)) for key, value in method["settings"].items()]
        console.print(output.facts(facts))

    output.emit({"methods": found}, as_json, render)
