# The table of TFLite operators that can be converted: importing this package registers every family, one module each.
# Never here: a conversion, files (tflite_front.py).
"""TFLite operators to ONNX nodes, one module a family."""

from edgecl.export.tflite import convolution, elementwise, linear, pooling, rearrange, recurrent
from edgecl.export.tflite.registry import HANDLERS

__all__ = ["HANDLERS", "convolution", "elementwise", "linear", "pooling", "rearrange", "recurrent"]
