# `edgecl pull`: what a device learned, as a file.
# Never here: merging it (tools/cli/merge.py).
"""The command `pull`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import typer
from edgecl.cli import failure, output
from edgecl.cli.remote_options import HOST, PORT, REFUSED, SSH_OPTION, UNKNOWN, judged
from edgecl.deploy.remote import Remote, Target, UnreachableError
from edgecl.files import check_output, write_file_atomic


def _copy(remote: Remote, path: str) -> bytes | None:
    # A file of the folder on the device; None where there is none. Bytes come as hexadecimal text, whatever the line.
    folder = shlex.quote(remote.target.folder)
    answer = remote.shell(f"cd {folder} && od -An -v -tx1 {shlex.quote(path)}", timeout=600)
    return bytes.fromhex("".join(answer.text.split())) if answer.code == 0 else None


@failure.command
def pull(
    host: str = HOST,
    out: Path = typer.Option(
        ..., "--output", "-o", help="State to write (.ecs); the journal comes beside it (.jsonl)."
    ),
    port: int | None = PORT,
    ssh_option: list[str] = SSH_OPTION,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Fetch what a device learned, committed now, and the journal of its deployments.

    Exit code 0, 1 the device cannot commit, 4 nothing was learned or deployed there, 5 unreachable.

    Example: edgecl pull pi@robot -o robot.ecs

    JSON: {"host", "state", "bytes", "journal", "lines"}
    """
    check_output(out)
    journal_path = out.with_suffix(".jsonl")
    check_output(journal_path)
    target = Target.parse(host, port, ssh_option)
    with Remote(target) as remote:
        try:
            path = judged(target, remote.call("state_file"))["state"]
            state, journal = _copy(remote, path), _copy(remote, "journal")
        except UnreachableError as error:
            raise failure.DeviceError(str(error), UNKNOWN) from error
    if state is None:
        sentence = f"expected a state on {target.host}; found none: nothing was learned there yet; pull later"
        raise failure.DeviceError(sentence, REFUSED)
    write_file_atomic(out, state)
    write_file_atomic(journal_path, journal or b"")
    document: dict[str, Any] = {
        "host": target.host,
        "state": str(out),
        "bytes": len(state),
        "journal": str(journal_path),
        "lines": len((journal or b"").splitlines()),
    }
    output.emit(
        document,
        as_json,
        lambda console: console.print(f"{out}: {output.size(len(state))}; {journal_path}: {document['lines']} lines"),
    )
