# `edgecl rollback`: a device goes back to the release before.
# Never here: rollbacks that a device decides by itself (tools/deploy/device.sh).
"""The command `rollback`."""

from __future__ import annotations

from typing import Any

import typer
from edgecl.cli import failure, output
from edgecl.cli.remote_options import HOST, PORT, SSH_OPTION, ask
from edgecl.deploy.remote import Target
from rich.console import Console


@failure.command
def rollback(
    host: str = HOST,
    port: int | None = PORT,
    ssh_option: list[str] = SSH_OPTION,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Take a device back to its previous release, which goes on with what it had learned when it was left.

    During a probation the release on probation goes, and what was learned is as in the snapshot. The release counter
    stays: an older bundle cannot be deployed again, the one that was left can.

    Exit code 0, 1 the previous release does not answer, 4 there is none, 5 unreachable.

    Example: edgecl rollback pi@robot

    JSON: {"host", "current", "lost": what was learned and is gone, in words, or null}
    """
    target = Target.parse(host, port, ssh_option)
    said = ask(target, "take_back")
    document: dict[str, Any] = {"host": target.host, "current": said["current"], "lost": said["lost"] or None}

    def render(console: Console) -> None:
        console.print(f"{target.host}: runs {document['current'][:12] or 'nothing'} again")
        if document["lost"]:
            console.print(f"lost: {document['lost']}")

    output.emit(document, as_json, render)
