# The public names of edgecl.
# Never here: code; and no import of anything but numpy and the package's own device-side modules.
"""edgecl: continual learning on the CPU of a device.

    import edgecl
    learner = edgecl.Classifier("model.ecl", random_state=0)
    learner.partial_fit(x, y)
    learner.predict(x)

Importing edgecl loads numpy and the extension module only; `edgecl.export` (PyTorch, ONNX) is loaded when it is first
used.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from edgecl import errors
from edgecl._core import DataRemoval, build_info, version
from edgecl.bundle import Bundle, open_bundle
from edgecl.classifier import Classifier
from edgecl.errors import Error

__version__: str = version()

__all__ = ["Bundle", "Classifier", "DataRemoval", "Error", "__version__", "build_info", "errors", "open_bundle"]

_LAZY = ("devices", "experiment", "export", "metrics", "streams", "testing")


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        return importlib.import_module(f"edgecl.{name}")
    raise AttributeError(f"module 'edgecl' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
