# Options and words that the commands over ssh have in common.
# Never here: what they do.
"""`HOST`, `PORT`, `SSH_OPTION`, and the end of a command that spoke to one device."""

from __future__ import annotations

from typing import Any

import typer
from edgecl.cli import failure
from edgecl.deploy.remote import Answer, Remote, Target, UnreachableError

HOST = typer.Argument(..., help="user@host or user@host:folder (default: edgecl in the home folder).")
PORT = typer.Option(None, "--port", "-p", min=1, max=65535, help="ssh's port; default as ssh's configuration says.")
SSH_OPTION = typer.Option([], "--ssh-option", help="NAME=VALUE for ssh -o; repeatable.")

REFUSED, UNKNOWN = 4, 5


def ask(host: str, port: int | None, options: list[str], command: str) -> tuple[Target, Answer]:
    """One command of device.sh, without the lock. Ends the program with exit code 5 where no device answers, and with 4
    where nothing was deployed."""
    target = Target.parse(host, port, options)
    with Remote(target) as remote:
        try:
            answer = remote.call(command, timeout=180)
        except UnreachableError as error:
            raise end(UNKNOWN, str(error)) from error
    if answer.code == 127 or (answer.code != 0 and not answer["error"]):
        raise end(
            REFUSED,
            f"expected a deployment in '{target.folder}' of {target.host}; found none ({answer.error}); deploy one",
        )
    return target, answer


def end(code: int, sentence: str) -> Any:
    """Prints the sentence on stderr; raise what comes back."""
    typer.echo(f"error: {sentence}", err=True)
    return typer.Exit(code)


def judged(answer: Answer) -> Answer:
    """The same answer of a command that succeeded; ends the program where it did not."""
    if answer.code == 0:
        return answer
    raise end(REFUSED if answer.code == REFUSED else failure.NO, answer.error)
