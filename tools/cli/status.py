# `edgecl status`: what a device runs.
# Never here: changes.
"""The command `status`."""

from __future__ import annotations

import json
from typing import Any

import typer
from edgecl.cli import failure, output
from edgecl.cli.remote_options import HOST, PORT, SSH_OPTION, ask
from edgecl.deploy.remote import Target
from rich.console import Console


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


@failure.command
def status(
    host: str = HOST,
    port: int | None = PORT,
    ssh_option: list[str] = SSH_OPTION,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Show which release a device runs, whether it is on probation, and how its server is.

    Exit code 0, 4 nothing was deployed there, 5 unreachable.

    Example: edgecl status pi@robot

    JSON: {"host", "current", "previous", "counter" (null: its file is damaged), "key", "pending": "probation" |
    "rolling" | "confirmed" | null, "guard", "locked", "health": {...} | null, "last": the journal's last line}
    """
    target = Target.parse(host, port, ssh_option)
    said = ask(target, "status")
    pending = next((name for name in ("probation", "rolling", "confirmed") if said[name]), None)
    document: dict[str, Any] = {
        "host": target.host,
        "current": said["current"] or None,
        "previous": said["previous"] or None,
        "counter": None if said["counter_damaged"] else int(said["counter"] or 0),
        "key": said["key"] or None,
        "pending": pending,
        "guard": said["guard"] == "yes",
        "locked": said["locked"] == "yes",
        "health": _parsed(said["health"]),
        "last": _parsed(said["journal"]),
    }
    output.emit(document, as_json, lambda console: _render(console, document))


def _short(name: str | None) -> str:
    return name[:12] if name else "none"


def _render(console: Console, d: dict[str, Any]) -> None:
    health = d["health"]
    serves = "no server answers"
    if health is not None:
        rows = health["samples_learned"]
        serves = f"{_short(health['release'])}, {rows} row{'' if rows == 1 else 's'} learned"
        if health["commit_failed"]:
            lost = health.get("rows_not_committed")
            unsaved = "what was learned since" if lost is None else f"{lost} rows"
            serves += f"; THE LAST COMMIT FAILED: {unsaved} not saved (a full disk? the file log says why)"
    last = d["last"] or {}
    console.print(
        output.facts(
            [
                ("current", _short(d["current"])),
                ("previous", _short(d["previous"])),
                ("serves", serves),
                ("counter", "damaged: restore the file, or remove it" if d["counter"] is None else d["counter"]),
                ("pinned key", d["key"] or "none"),
                ("pending", d["pending"] or "nothing"),
                ("last", " ".join(str(value) for value in last.values()) or "nothing"),
            ]
        )
    )
