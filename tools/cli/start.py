# The console script `edgecl`: loads the command line, or says what is missing for it.
# Never here: commands, and an import of anything that an installation may lack or that takes time.
"""Entry point that works without the packages of the extra `cli`, and meets Ctrl-C from its first moment on."""

from __future__ import annotations

import sys

from edgecl.parts import missing_part


def main() -> None:
    """Runs the command line; ends the process with an exit code."""
    try:
        _run()
    except KeyboardInterrupt as error:  # commands report their own
        print("error: interrupted; nothing was begun", file=sys.stderr)
        sys.exit(130 if type(error) is KeyboardInterrupt else 143)


def _run() -> None:
    from edgecl.cli.interrupts import check, held

    with held():  # to the end: a command raises what comes while it works
        try:
            from edgecl.cli.main import main as run
        except ModuleNotFoundError as error:
            sentence = missing_part(error.name)
            if sentence is None:
                raise
            print(f"error: {sentence}", file=sys.stderr)
            sys.exit(2)
        check()
        run()


if __name__ == "__main__":
    main()
