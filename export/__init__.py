# The public names of edgecl.export, loaded when first used.
# Never here: code, and no import of torch or onnx.
"""PyTorch, ONNX and TFLite models to bundles (`.ecl`).

    report = edgecl.export.from_torch(module, example, out="model.ecl", density=0.1)
    report = edgecl.export.from_onnx("model.onnx", out="model.ecl", trainable="head")
    report = edgecl.export.from_tflite("model.tflite", out="model.ecl", trainable="head")
    print(report.summary())

Importing this package loads neither torch nor onnx; the functions do when they are called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgecl.export.adaptor_data import AdaptorData
    from edgecl.export.embeddings_front import from_embeddings
    from edgecl.export.errors import Blocker, ExportError, ParityError
    from edgecl.export.exemplars import Exemplars
    from edgecl.export.onnx_front import from_onnx
    from edgecl.export.recipe import InputSpec, Recipe
    from edgecl.export.report import ExportReport, LayerReport, ParityFigures
    from edgecl.export.tflite_front import from_tflite
    from edgecl.export.torch_front import from_torch

_HOMES = {
    "AdaptorData": "adaptor_data",
    "Blocker": "errors",
    "Exemplars": "exemplars",
    "ExportError": "errors",
    "ExportReport": "report",
    "InputSpec": "recipe",
    "LayerReport": "report",
    "ParityError": "errors",
    "ParityFigures": "report",
    "Recipe": "recipe",
    "from_embeddings": "embeddings_front",
    "from_onnx": "onnx_front",
    "from_tflite": "tflite_front",
    "from_torch": "torch_front",
}

__all__ = [
    "AdaptorData",
    "Blocker",
    "Exemplars",
    "ExportError",
    "ExportReport",
    "InputSpec",
    "LayerReport",
    "ParityError",
    "ParityFigures",
    "Recipe",
    "from_embeddings",
    "from_onnx",
    "from_tflite",
    "from_torch",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from edgecl.parts import load

        return getattr(load(f"edgecl.export.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'edgecl.export' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
