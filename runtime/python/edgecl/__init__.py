# The public names of edgecl, loaded when first used.
# Never here: code, and an import that takes time: the command line meets Ctrl-C only after this file.
"""edgecl: continual learning on the CPU of a device.

    import edgecl
    learner = edgecl.Classifier("model.ecl", random_state=0)
    learner.partial_fit(x, y)
    learner.predict(x)

The first use of a name loads numpy and the extension module, and no other package. `edgecl.export` (PyTorch, ONNX) and
`edgecl.evaluate` (streams, experiments) are no part of a device's installation.
"""

from __future__ import annotations

import importlib

from edgecl.parts import explain_missing_parts, is_missing

TYPE_CHECKING = False  # as type checkers know it; typing itself takes ten times as long as this file
if TYPE_CHECKING:
    from typing import Any

    from edgecl import errors
    from edgecl._core import DataRemoval, build_info, schedule_rate, schedule_rehearsal, schedule_removal
    from edgecl.bundle import Bundle, open_bundle
    from edgecl.classifier import Classifier
    from edgecl.domains import Routes
    from edgecl.errors import Error
    from edgecl.novelty import Decision

    __version__: str

_HOMES = {
    "Bundle": "bundle",
    "Classifier": "classifier",
    "DataRemoval": "_core",
    "Decision": "novelty",
    "Error": "errors",
    "Routes": "domains",
    "build_info": "_core",
    "open_bundle": "bundle",
    "schedule_rate": "_core",
    "schedule_rehearsal": "_core",
    "schedule_removal": "_core",
}
_MODULES = ("devices", "errors", "evaluate", "export", "methods")

__all__ = [
    "Bundle",
    "Classifier",
    "DataRemoval",
    "Decision",
    "Error",
    "Routes",
    "__version__",
    "build_info",
    "errors",
    "open_bundle",
    "schedule_rate",
    "schedule_rehearsal",
    "schedule_removal",
]

explain_missing_parts()


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"edgecl.{name}")
    if name == "__version__":
        value: Any = importlib.import_module("edgecl._core").version()
    elif name in _HOMES:
        value = getattr(importlib.import_module(f"edgecl.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module 'edgecl' has no attribute '{name}'")
    globals()[name] = value  # found without this function from now on
    return value


def __dir__() -> list[str]:
    here = [name for name in _MODULES if not is_missing(f"edgecl.{name}")]
    return sorted({*globals(), *_HOMES, "__version__", *here})
