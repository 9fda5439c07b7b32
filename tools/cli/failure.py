# Exit codes, and the one place where an exception becomes a line on stderr.
# Never here: commands.
"""Exit codes of every command: 0 done, 1 the check said no, 2 wrong usage, 3 a file or its contents cannot be used,
70 a defect of edgecl, 130 interrupted (Ctrl-C), 143 told to end (SIGTERM). Never a traceback, unless EDGECL_DEBUG=1
asks for it.

Of a model: 2 where an option is wrong or asks for what the model has not, or a package is missing; 3 where the model is
missing or damaged, does not fit, or its own code fails; 1 where its bundle computes something else."""

from __future__ import annotations

import functools
import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from edgecl.cli import interrupts
from edgecl.cli.interrupts import TerminatedError
from edgecl.errors import ArgumentError, Error, FileError, UnsupportedError
from edgecl.parts import from_source, missing_part

DONE, NO, USAGE, INPUT, INTERNAL = 0, 1, 2, 3, 70
INTERRUPTED, TERMINATED = 130, 143

_CODE_OF_STATUS = {
    -1: USAGE,
    -2: INPUT,
    -3: INPUT,
    -4: USAGE,
    -5: USAGE,
    -20: INTERNAL,
    -21: INTERNAL,
    -22: INPUT,
    -23: INPUT,
    -30: INPUT,
    -31: INPUT,
    -32: NO,
    -33: INPUT,
    -40: INPUT,
    -41: INPUT,
    -50: INPUT,
    -60: INPUT,
}

_OF_KEYWORDS = (-1, -23)  # of an export: a value that nothing accepts, a name that the model has not

P = ParamSpec("P")
R = TypeVar("R")


class UsageError(ArgumentError):
    """Options that do not go together, or a value that the parser cannot judge."""


class ModelError(Error):
    """Code that should give a model fails, or gives something else."""

    status = -2


class DeviceError(Error):
    """What a device answered, or did not, over ssh; `code` is the exit code of its kind."""

    status = -50

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def exit_code(error: BaseException) -> int:
    """The exit code for an exception."""
    if isinstance(error, DeviceError):
        return error.code
    kinds = {kind.__name__ for kind in type(error).__mro__}  # of edgecl.export, which is not loaded for this
    if "ParityError" in kinds:
        return NO
    if isinstance(error, Error):
        if "ExportError" in kinds:
            return USAGE if error.status in _OF_KEYWORDS else INPUT
        return _CODE_OF_STATUS.get(error.status, INTERNAL)
    if isinstance(error, KeyboardInterrupt):
        return TERMINATED if isinstance(error, TerminatedError) else INTERRUPTED
    return INTERNAL


def report(error: BaseException, as_json: bool) -> int:
    """Prints the error (stderr; with --json also one document on stdout) and returns the exit code."""
    if isinstance(error, ModuleNotFoundError) and (sentence := missing_part(error.name)):
        error = UnsupportedError(sentence)
    if isinstance(error, OSError):  # of files the library makes its own errors; what is left is our output
        error = FileError(
            f"expected to write the output; found: {error.strerror or error}; free space, or write it to another place"
        )
    code = exit_code(error)
    if os.environ.get("EDGECL_DEBUG") == "1":
        traceback.print_exception(error, file=sys.stderr)
    if isinstance(error, KeyboardInterrupt):
        status = "INTERRUPTED"
        what = "ended by SIGTERM" if isinstance(error, TerminatedError) else "interrupted"
        message = f"{what}; files that were there before are unchanged"
    elif isinstance(error, Error):
        status, message = error.status_name, str(error)
    else:
        status = "E_INTERNAL"
        text = " ".join(str(error).split())
        message = (
            f"internal error: {type(error).__name__}: {text}; please report it (EDGECL_DEBUG=1 shows where it arose)"
        )
    print(f"error: {message}", file=sys.stderr)
    try:
        if as_json:
            print(json.dumps({"error": {"status": status, "message": message, "exit_code": code}}, indent=2))
        sys.stdout.flush()
    except OSError:
        discard_output()
    return code


def discard_output() -> None:
    """Drops what is still to be written to stdout, which nobody takes."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def needs(what: str, extra: str) -> Iterator[None]:
    """Inside, a package that cannot be imported is told as `what`, with how to install the extra that has it.

    Raises:
        UnsupportedError. A part of edgecl that is not here: `report` has its sentence.
    """
    try:
        yield
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("edgecl."):
            raise
        raise UnsupportedError(f"expected {what}; found none ({error}); {from_source(extra)}") from error


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"warning: {message}", file=sys.stderr)


def command(function: Callable[P, R]) -> Callable[P, R]:
    """Wraps a command so that every exception ends as one error and an exit code. Reads the option `as_json`."""

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        import typer

        try:
            with interrupts.raised(), warnings.catch_warnings():
                warnings.showwarning = _show_warning
                result = function(*args, **kwargs)
            sys.stdout.flush()  # a full disk shows here and not when the interpreter ends
            return result
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except BrokenPipeError:  # the reader of our output went away, as `| head` does
            discard_output()
            raise typer.Exit(DONE) from None
        except (Exception, KeyboardInterrupt) as error:
            # An import that was interrupted half way fails with an error of its own.
            raise typer.Exit(report(interrupts.come() or error, bool(kwargs.get("as_json")))) from None

    return guarded


def finish(code: int) -> Any:
    """Ends a command with an exit code other than 0."""
    import typer

    raise typer.Exit(code)
