# The public names of edgecl.
# Never here: code; and no import of anything but numpy and the package's own device-side modules.
"""edgecl: continual learning on the CPU of a device.

    import edgecl
    learner = edgecl.Classifier("model.ecl", random_state=0)
    learner.partial_fit(x, y)
    learner.predict(x)

Importing edgecl loads numpy and the extension module only. `edgecl.export` (PyTorch, ONNX), `edgecl.evaluate` (streams,
experiments) and `edgecl.devices` are loaded when they are first used; a device's installation lacks the first two.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from edgecl import errors
from edgecl._core import DataRemoval, build_info, schedule_rate, schedule_rehearsal, schedule_removal, version
from edgecl.bundle import Bundle, open_bundle
from edgecl.classifier import Classifier
from edgecl.errors import Error
from edgecl.novelty import Decision
from edgecl.parts import missing_part

__version__: str = version()

__all__ = [
    "Bundle",
    "Classifier",
    "DataRemoval",
    "Decision",
    "Error",
    "__version__",
    "build_info",
    "errors",
    "open_bundle",
    "schedule_rate",
    "schedule_rehearsal",
    "schedule_removal",
]

_LAZY = ("devices", "evaluate", "export")


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        try:
            return importlib.import_module(f"edgecl.{name}")
        except ModuleNotFoundError as error:
            raise AttributeError(missing_part(error.name) or str(error)) from error
    raise AttributeError(f"module 'edgecl' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
