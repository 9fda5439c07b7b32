# --set NAME=VALUE: any field of a recipe from the command line.
# Never here: options with a name of their own (the commands'), ranges (the core checks them).
"""The option `--set` of `export` and `learn`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer
from edgecl import _core
from edgecl.cli import failure

SET = typer.Option(
    None,
    "--set",
    metavar="NAME=VALUE",
    help="Any field of the recipe, such as rate_floor=0.1 or removal_stages=1,2; wins over other options; repeatable.",
)
MAX_SEED = 2**64 - 1
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def recipe_settings(settings: Sequence[str] | None, **options: Any) -> dict[str, Any]:
    """Fields of a recipe by name: the options that are not None, and NAME=VALUE over them.

    Raises:
        UsageError: no such field, or a text that is no value of its kind.
    """
    kinds = {name: kind for name, kind, _ in _core.recipe_fields()}
    result = {name: value for name, value in options.items() if value is not None}
    for setting in settings or ():
        name, equals, text = setting.partition("=")
        if not equals or name not in kinds:
            raise failure.UsageError(
                f"expected --set NAME=VALUE with a name among {', '.join(kinds)}; found '{setting}'; correct it"
            )
        result[name] = _value(kinds[name], name, text)
    return result


def _value(kind: str, name: str, text: str) -> Any:
    try:
        if kind == "flag":
            return _FLAGS[text.lower()]
        if kind == "count":
            return int(text)
        if kind == "number":
            return float(text)
        if kind == "epochs":
            return [int(part) for part in text.split(",") if part]
    except (KeyError, ValueError) as error:
        wanted = {"flag": "true or false", "count": "a whole number", "number": "a number", "epochs": "epochs 1,2,3"}
        raise failure.UsageError(f"expected {wanted[kind]} for --set {name}; found '{text}'; correct it") from error
    return text  # a choice: the core knows its names
