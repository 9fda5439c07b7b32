# The parser of the `edgecl` command: which commands there are.
# Never here: what a command does (one file each).
"""Entry point of the console script."""

from __future__ import annotations

import sys

import typer
from edgecl.cli.bench import bench
from edgecl.cli.deploy import deploy
from edgecl.cli.devices import devices
from edgecl.cli.evaluate import evaluate
from edgecl.cli.export import export
from edgecl.cli.failure import report
from edgecl.cli.forget import forget
from edgecl.cli.inspect import inspect
from edgecl.cli.learn import learn
from edgecl.cli.merge import merge
from edgecl.cli.methods import methods
from edgecl.cli.migrate import migrate
from edgecl.cli.pull import pull
from edgecl.cli.quickstart import quickstart
from edgecl.cli.rollback import rollback
from edgecl.cli.run import run
from edgecl.cli.sign import sign
from edgecl.cli.status import status
from edgecl.cli.verify import verify

app = typer.Typer(
    name="edgecl",
    help="Continual learning on the CPU of a device: export a model, let it learn, look at what it costs.",
    epilog="Exit codes: 0 done, 1 the check said no, 2 wrong usage, 3 a file or its contents cannot be used, "
    "70 internal, 130 interrupted, 143 told to end; deploy: 2 also for a file here, "
    "3 rolled back, 4 refused, 5 unreachable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("export")(export)
app.command("inspect")(inspect)
app.command("run")(run)
app.command("learn")(learn)
app.command("evaluate")(evaluate)
app.command("methods")(methods)
app.command("migrate")(migrate)
app.command("merge")(merge)
app.command("forget")(forget)
app.command("verify")(verify)
app.command("sign")(sign)
app.command("deploy")(deploy)
app.command("status")(status)
app.command("rollback")(rollback)
app.command("pull")(pull)
app.command("bench")(bench)
app.command("devices")(devices)
app.command("quickstart")(quickstart)


@app.callback(invoke_without_command=True)
def about(version: bool = typer.Option(False, "--version", help="Print version and build, then exit.")) -> None:
    """Continual learning on the CPU of a device."""
    if version:
        import edgecl

        typer.echo(edgecl.build_info())
        raise typer.Exit(0)


def main() -> None:
    """Runs the command line; ends the process with an exit code."""
    try:
        app()
    except SystemExit:
        raise
    except BaseException as error:
        sys.exit(report(error, "--json" in sys.argv))


if __name__ == "__main__":
    main()
