# The table of supported ONNX operators: importing this package registers every family, one module each.
# Never here: a conversion.
"""ONNX operators to the exporter's graph, one module a family."""

from importlib import import_module
from pkgutil import iter_modules

from edgecl.export.ops.registry import HANDLERS

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["HANDLERS"]
