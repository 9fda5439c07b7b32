# From a TFLite file to ONNX, and from there as any ONNX model: the third way in.
# Never here: single operators and the flatbuffer (tflite/), the parity reference (onnx_front.py).
"""`from_tflite`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import onnx
import tflite
from edgecl.export.adaptor_data import AdaptorData
from edgecl.export.errors import ExportError
from edgecl.export.exemplars import Exemplars
from edgecl.export.external import export_external_tflite
from edgecl.export.onnx_front import graph_of_onnx
from edgecl.export.options import (
    Classes,
    Distribution,
    Encoder,
    ExportOptions,
    InitialMask,
    InitialScale,
    LayerChoice,
    NamePredicate,
    Trainable,
)
from edgecl.export.pipeline import export_graph
from edgecl.export.recipe import InputSpec, Recipe
from edgecl.export.report import ExportReport
from edgecl.export.stored import DEQUANTISED, Stored
from edgecl.export.tflite.convert import convert
from edgecl.export.tflite.network import Network
from edgecl.export.tflite.read import E_FORMAT, File, Tensor, read_tflite
from edgecl.export.tflite.runtime import RUNTIME, runner
from numpy.typing import NDArray


def from_tflite(
    model: str | os.PathLike[str] | bytes,
    *,
    out: str | os.PathLike[str] | None = None,
    name: str | None = None,
    trainable: Trainable = "all",
    density: float = 1.0,
    distribution: Distribution = "uniform",
    sparse_layers: Sequence[str] | NamePredicate | None = None,
    layer_choice: LayerChoice = "sparse",
    initial_mask: InitialMask = "magnitude",
    mask_seed: int = 0,
    initial_scale: InitialScale = "none",
    structure_room: float = 0.01,
    classes: Classes | None = None,
    max_classes: int | None = None,
    input: InputSpec | None = None,
    recipe: Recipe | None = None,
    calibration: NDArray[Any] | None = None,
    device: str | None = None,
    remember: Exemplars | None = None,
    projection: int = 0,
    normalise: bool = True,
    adaptor: str | None = None,
    encoder: Encoder = "auto",
    external: bool = False,
    external_output: str | None = None,
    adaptor_data: AdaptorData | tuple[Any, Any] | None = None,
    new_head: int | None = None,
) -> ExportReport:
    """Compiles a TFLite model to a bundle. The bundle takes images as [C][H][W], where the file has [H][W][C].

    Args:
        model: a file, or its bytes: one input with a batch axis, one output. Frozen layers of an int8 file stay in
            integers, other quantised weights are dequantised; what then differs from the file is among the notes.
        input: None takes the file's own: bytes with the file's scale and zero point where its input is quantised (int8
            samples q as bytes q + 128), else float32.
        external: the file stays as it is; the bundle carries it, and ai-edge-litert or tflite-runtime runs it on the
            device. Its only output is the embedding; a map is averaged over positions. The method of `recipe` must keep
            statistics; without a recipe it is "ridge".
        external_output: of ONNX files only.
        Others: as in `edgecl.export.from_torch`.

    Returns:
        the report; its `bundle` holds the bytes.

    Raises:
        ExportError: the file is missing, broken or no TFLite model, or operators are not supported.
        ParityError: the bundle's outputs differ from those of ONNX's reference evaluator.
        UnsupportedError: external, and no engine is installed.
    """
    converted = None if external else onnx_of_tflite(model)
    options = ExportOptions(
        out,
        name,
        trainable,
        density,
        distribution,
        sparse_layers,
        layer_choice,
        initial_mask,
        mask_seed,
        initial_scale,
        structure_room,
        classes,
        max_classes,
        input or (InputSpec() if converted is None else converted.input),
        recipe or (Recipe(method="ridge") if external else Recipe()),
        calibration,
        device,
        remember,
        projection,
        normalise,
        adaptor,
        encoder,
        external,
        external_output,
        adaptor_data=adaptor_data,
        new_head=new_head,
    )
    if converted is None:
        data, stem = _bytes_of(model)
        return export_external_tflite(data, options, name or stem, input)
    graph, options, reference = graph_of_onnx(
        converted.model, options, name or converted.model.graph.name, converted.stored
    )
    graph.notes[:0] = converted.notes
    reference.before = f"tflite {tflite.__version__} to "
    return export_graph(graph, options, reference, f"tflite {tflite.__version__}")


@dataclass(frozen=True)
class Converted:
    """A TFLite model as ONNX.

    Attributes:
        model: channels first, free batch axis, float32.
        input: what the file itself takes, as raw samples of a bundle.
        notes: what a user should know of the difference.
        stored: the integers that the file computes with; None where it computes in floats.
    """

    model: onnx.ModelProto
    input: InputSpec
    notes: list[str]
    stored: Stored | None = None


def onnx_of_tflite(model: str | os.PathLike[str] | bytes) -> Converted:
    """Reads and converts.

    Raises:
        ExportError: as `from_tflite`.
    """
    data, stem = _bytes_of(model)
    file = read_tflite(data, "these bytes" if isinstance(model, bytes) else f"'{Path(model)}'")
    converted, network = convert(file, stem)
    entry = file.tensors[file.inputs[0]]
    spec, notes = _input_spec(entry)
    stored = network.stored if network.stored.tensors else None
    network.stored.run, network.stored.runtime = runner(data, entry, network.values[file.inputs[0]].first), RUNTIME
    notes = [*_notes_on_layout(network), *_notes_on_integers(network), *network.notes, *notes]
    return Converted(converted, spec, notes, stored)


def _bytes_of(model: str | os.PathLike[str] | bytes) -> tuple[bytes, str]:
    if isinstance(model, bytes):
        return model, "model"
    if not isinstance(model, (str, os.PathLike)):
        raise ExportError(
            f"expected the path of a TFLite file, or its bytes; found {type(model).__name__}; hand in one of these", -3
        )
    path = Path(model)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise ExportError(f"expected a TFLite file; found {found} at '{path}'; check the path", E_FORMAT)
    return path.read_bytes(), path.stem


def _input_spec(entry: Tensor) -> tuple[InputSpec, list[str]]:
    """real = scale * (q - zero point) as raw * scale - mean, with raw = q, or q + 128 for int8."""
    if entry.kind == "FLOAT32":
        return InputSpec(), []
    if entry.kind not in ("UINT8", "INT8") or entry.scale.size > 1:
        raise ExportError(
            f"expected an input of float32, uint8 or int8 with one scale; found '{entry.name}' of {entry.kind} with "
            f"{entry.scale.size}; convert the model with such an input",
            -5,
        )
    scale = float(entry.scale[0]) if entry.scale.size else 1.0
    zero = int(entry.zero_point[0]) if entry.zero_point.size else 0
    shift = 128 if entry.kind == "INT8" else 0
    told = (
        f"the file takes {entry.kind.lower()}; the bundle takes bytes"
        + (" that are 128 larger" if shift else "")
        + f", scale {scale:.9g}, zero point {zero + shift}; --input-dtype f32 takes real numbers instead"
    )
    return InputSpec("u8", scale=scale, mean=scale * (zero + shift)), [told]


def _notes_on_layout(network: Network) -> list[str]:
    value = network.values[network.file.inputs[0]]
    if not value.first or prod(value.shape[2:]) == value.shape[1]:
        return []
    own, ours = list(value.shape[1:]), list(value.dims[1:])
    letters = ("[H,W,C]", "[C,H,W]") if len(own) == 3 else ("[T,C]", "[C,T]")
    return [f"the file takes {letters[0]} = {own}; the bundle takes {letters[1]} = {ours}"]


def _notes_on_integers(network: Network) -> list[str]:
    file: File = network.file
    computed = {index for op in file.operators for index in op.outputs}
    whole = sum(file.tensors[index].quantised for index in computed)
    weights = sum(tensor.quantised and tensor.data is not None for tensor in file.tensors)
    if whole:
        kinds = sorted({file.tensors[index].kind for index in computed if file.tensors[index].quantised} - {"INT8"})
        notes = [DEQUANTISED] if kinds else []  # else the exporter says it where it turns layers (int8_native.py)
        if "UINT8" in kinds:
            notes.append("its uint8 weights are those of before the int8 specification and have no int8 form here")
        if "INT16" in kinds:
            notes.append("its 16-bit activations have no form in integers here")
    elif weights:
        notes = [
            f"{weights} quantised weights are dequantised exactly; an interpreter that rounds activations for their "
            "sake differs by that noise"
        ]
    elif any(tensor.kind == "FLOAT16" for tensor in file.tensors):
        notes = ["float16 weights become float32, exactly"]
    else:
        return []
    if network.implied_relus:
        notes.append(f"integers that begin at zero imply a RELU, which {network.implied_relus} layers got")
    return notes
