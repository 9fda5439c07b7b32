# Options and words that the commands over ssh have in common.
# Never here: what they do.
"""`HOST`, `PORT`, `SSH_OPTION`; `ask` and `judged` for commands that speak to one device."""

from __future__ import annotations

import typer
from edgecl.cli import failure
from edgecl.deploy.remote import Answer, Remote, Target, UnreachableError

HOST = typer.Argument(..., help="user@host or user@host:folder (default: edgecl in the home folder).")
PORT = typer.Option(None, "--port", "-p", min=1, max=65535, help="ssh's port; default as ssh's configuration says.")
SSH_OPTION = typer.Option([], "--ssh-option", help="NAME=VALUE for ssh -o; repeatable.")

REFUSED, UNKNOWN = 4, 5


def ask(target: Target, command: str) -> Answer:
    """The answer to one command of device.sh, without the lock.

    Raises:
        DeviceError: of exit code 5 where no device answers, 4 where nothing was deployed, 1 where the command failed.
    """
    with Remote(target) as remote:
        try:
            return judged(target, remote.call(command, timeout=180))
        except UnreachableError as error:
            raise failure.DeviceError(str(error), UNKNOWN) from error


def judged(target: Target, answer: Answer) -> Answer:
    """The same answer of a command that succeeded. DeviceError as `ask`."""
    if answer.code == 0:
        return answer
    if not answer["error"]:  # the script is not there, or was ended
        raise failure.DeviceError(
            f"expected a deployment in '{target.folder}' of {target.host}; found none ({answer.error}); deploy one",
            REFUSED,
        )
    raise failure.DeviceError(answer.error, REFUSED if answer.code == REFUSED else failure.NO)
