# What an installation may lack beside the device part, and how to get it.
# Never here: an import of any of it, or one that takes time.
"""`missing_part`: one sentence for a part that is not installed here. `from_source`: how to install an extra."""

from __future__ import annotations

import importlib
import sys

TYPE_CHECKING = False  # without typing, which takes time
if TYPE_CHECKING:
    from types import ModuleType


def from_source(extra: str) -> str:
    """What installs an extra of pyproject.toml. edgecl is in no registry, so it is a folder that pip is given."""
    return f"pip install '.[{extra}]' in edgecl's source folder"


_WHOLE = "this is a device's installation; install edgecl whole (pip install . without EDGECL_DEVICE_ONLY)"
_HOW = {
    "edgecl.export": _WHOLE,
    "edgecl.evaluate": _WHOLE,
    "edgecl.kernels_numba": _WHOLE,
    "edgecl_kernels": "build it: pip install --config-settings cmake.define.EDGECL_BUILD_KERNELS_MODULE=ON .",
    "typer": f"the command line needs it: {from_source('cli')}",
    "rich": f"the command line needs it: {from_source('cli')}",
    "torch": f"export needs it: {from_source('export')}",
    "onnx": f"export needs it: {from_source('export')}",
    "onnxscript": f"export needs it: {from_source('export')}",
}


def missing_part(module: str | None) -> str | None:
    """The sentence for a module that could not be found; None if it is not a part that may be absent.

    Args:
        module: dotted name, as in `ModuleNotFoundError.name`.
    """
    for part, how in _HOW.items():
        if module == part or (module or "").startswith(f"{part}."):
            return f"expected the module {part}; found none in this installation; {how}"
    return None


def is_missing(part: str) -> bool:
    """Whether a module of edgecl is not installed here. Imports nothing."""
    from importlib.util import find_spec

    try:
        return find_spec(part) is None
    except ModuleNotFoundError:
        return True


class _MissingParts:
    # Asked last, so a module that it is asked for is not here. A finder, because `import edgecl.export` runs no code of
    # ours that could say the sentence.

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name in _HOW and name.startswith("edgecl."):
            raise ModuleNotFoundError(missing_part(name), name=name)


def explain_missing_parts() -> None:
    """From now on the import of a part of edgecl that is not here fails with its sentence."""
    if _MissingParts not in sys.meta_path:
        sys.meta_path.append(_MissingParts)


def load(module: str) -> ModuleType:
    """Imports a module of edgecl that may need packages that are not here.

    Raises:
        ModuleNotFoundError: with our sentence where we have one.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        sentence = missing_part(error.name)
        if sentence is None or str(error) == sentence:
            raise
        raise ModuleNotFoundError(sentence, name=error.name) from error
