# The console script `edgecl`: loads the command line, or says what is missing for it.
# Never here: commands, and an import of anything that an installation may lack.
"""Entry point that works without the packages of the extra `cli`."""

from __future__ import annotations

import sys

from edgecl.parts import missing_part


def main() -> None:
    """Runs the command line; ends the process with an exit code."""
    from edgecl.cli.interrupts import TerminatedError, check, held

    try:
        with held():
            from edgecl.cli.main import main as run
        check()
    except ModuleNotFoundError as error:
        sentence = missing_part(error.name)
        if sentence is None:
            raise
        print(f"error: {sentence}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as error:
        print("error: interrupted; nothing was begun", file=sys.stderr)
        sys.exit(143 if isinstance(error, TerminatedError) else 130)
    run()


if __name__ == "__main__":
    main()
