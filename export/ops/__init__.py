# The table of supported ONNX operators: importing this package registers every family.
# Never here: a conversion.
"""ONNX operators to the exporter's graph, one module a family."""

from edgecl.export.ops import activation, conv, elementwise, linear, normalisation, pooling, rearrange, shape, transpose
from edgecl.export.ops.registry import HANDLERS

__all__ = [
    "HANDLERS",
    "activation",
    "conv",
    "elementwise",
    "linear",
    "normalisation",
    "pooling",
    "rearrange",
    "shape",
    "transpose",
]
