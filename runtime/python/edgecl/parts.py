# What an installation may lack beside the device part, and how to get it.
# Never here: an import of any of it.
"""`missing_part`: one sentence for a part of edgecl that is not installed here."""

from __future__ import annotations

_WHOLE = "this is a device's installation; install edgecl whole (pip install . without EDGECL_DEVICE_ONLY)"
_HOW = {
    "edgecl.export": _WHOLE,
    "edgecl.evaluate": _WHOLE,
    "edgecl.kernels_numba": _WHOLE,
    "edgecl_kernels": "build it: pip install --config-settings cmake.define.EDGECL_BUILD_KERNELS_MODULE=ON .",
    "typer": "the command line needs it: pip install 'edgecl[cli]'",
    "rich": "the command line needs it: pip install 'edgecl[cli]'",
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
