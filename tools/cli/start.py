# The console script `edgecl`: loads the command line, or says what is missing for it.
# Never here: commands, and an import of anything that an installation may lack.
"""Entry point that works without the packages of the extra `cli`."""

from __future__ import annotations

import sys

from edgecl.parts import missing_part


def main() -> None:
    """Runs the command line; ends the process with an exit code."""
    try:
        from edgecl.cli.main import main as run
    except ModuleNotFoundError as error:
        sentence = missing_part(error.name)
        if sentence is None:
            raise
        print(f"error: {sentence}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:  # the imports take a moment
        print("error: interrupted", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
