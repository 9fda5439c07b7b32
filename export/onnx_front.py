# From an ONNX file or model to the exporter's graph, and the source model as the parity reference.
# Never here: single operators (ops/), PyTorch.
"""`from_onnx`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner
import onnx.shape_inference
from edgecl.export.adaptor_data import AdaptorData
from edgecl.export.errors import Blocker, ExportError
from edgecl.export.exemplars import Exemplars
from edgecl.export.external import export_external_onnx
from edgecl.export.graph import Dims, Graph
from edgecl.export.importer import import_graph
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
from edgecl.export.qdq import refuse_operator_format, runner, take_integers
from edgecl.export.recipe import InputSpec, Recipe
from edgecl.export.report import ExportReport
from edgecl.export.stored import Stored
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

DYNAMIC_BATCH = 2  # the batch size that a graph with a dynamic batch axis is read with; the bundle takes any
_LAYER_ROLES = ("weight", "bias", "gamma", "beta")


def from_onnx(
    model: str | os.PathLike[str] | onnx.ModelProto,
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
) -> ExportReport:
    """Compiles an ONNX model to a bundle.

    Args:
        model: a file, or a loaded model: one float32 input [N][...] with fixed sizes behind the batch axis, logits as
            first output. Frozen layers between QuantizeLinear and DequantizeLinear (QDQ) stay in integers.
        Others: as in `edgecl.export.from_torch`. Weights, biases, gammas and betas held as initialisers count as
            parameters. A Transpose right
        behind the input that turns images from channels-last is taken over into the bundle's input
        (`InputSpec.channels_last`).
        external: the encoder stays an ONNX file, which the bundle carries and onnxruntime runs on the device; any of
            its operators will do. It is cut at the input of its classifier (`external_onnx.encoder_of_onnx`). Its batch
            axis is free or 1; a map is averaged over positions. The method of `recipe` must keep statistics; without
            a recipe it is "ridge".
        external_output: name of the tensor that is the embedding, in place of that cut.

    Returns:
        the report; its `bundle` holds the bytes.

    Raises:
        ExportError: the file is missing or no ONNX model, weights are not finite, or nodes are not supported (all of
            them at once).
        ParityError: the bundle's outputs differ from those of ONNX's reference evaluator.
        UnsupportedError: external, and onnxruntime is not installed.
    """
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
        input or InputSpec(),
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
        adaptor_data,
    )
    loaded, stem = _load(model)
    if external:
        return export_external_onnx(loaded, options, name or stem)
    graph, options, reference = graph_of_onnx(loaded, options, name or stem)
    return export_graph(graph, options, reference, f"onnx {onnx.__version__}")


def graph_of_onnx(
    model: onnx.ModelProto, options: ExportOptions, name: str, stored: Stored | None = None
) -> tuple[Graph, ExportOptions, OnnxReference]:
    """The imported graph, the options (channels_last set where the model turns its input itself) and the parity
    reference."""
    from dataclasses import replace

    refuse_operator_format(model)
    source = model = prepared_model(model)
    if stored is None:
        model, stored = take_integers(model)
    reference = OnnxReference(model)
    if _turns_channels_last(model):
        if not options.input.channels_last:
            options = replace(options, input=replace(options.input, channels_last=True))
        reference.channels_last = True
    if stored is not None and stored.run is None and source is not model:
        stored.run, stored.again = (runner(source, reference.channels_last, fused) for fused in (True, False))
    initialisers = initialisers_of(model)
    names_of_initialisers = set(initialisers)
    graph = read_graph(
        model, name, initialisers, lambda key, role: key in names_of_initialisers and role in _LAYER_ROLES, stored
    )
    graph.notes += [] if stored is None else stored.notes
    return graph, options, reference


class OnnxReference:
    """The model in ONNX's reference evaluator. `channels_last`: its input is [N][H][W][C]."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.source = f"onnx {onnx.__version__} reference"
        self.channels_last = False
        self._model = onnx.ModelProto()
        self._model.CopyFrom(model)
        self._batch = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value

    def run(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `parity.Reference`."""
        return np.asarray(self._evaluate(self._model, rows), np.float32)

    def run_double(self, rows: NDArray[np.float32]) -> NDArray[np.float64] | None:
        """As `parity.Reference`: every float32 of the model as float64."""
        double = onnx.ModelProto()
        double.CopyFrom(self._model)
        for tensor in double.graph.initializer:
            if tensor.data_type == onnx.TensorProto.FLOAT:
                tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
        for node in double.graph.node:
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == onnx.TensorProto.FLOAT:
                    attribute.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(attribute.t).astype(np.float64)))
        try:
            return np.asarray(self._evaluate(double, rows.astype(np.float64)), np.float64)
        except Exception:  # some operators of the evaluator are written for float32 only
            return None

    def weight(self, name: str) -> NDArray[np.float32]:
        """As `parity.Reference`."""
        return np.array(initialisers_of(self._model)[name], np.float32)

    def set_weight(self, name: str, values: NDArray[np.float32]) -> None:
        """As `parity.Reference`."""
        for tensor in self._model.graph.initializer:
            if tensor.name == name:
                dtype = numpy_helper.to_array(tensor).dtype
                tensor.CopyFrom(numpy_helper.from_array(values.astype(dtype), name))

    def _evaluate(self, model: onnx.ModelProto, rows: NDArray[Any]) -> NDArray[Any]:
        evaluator = ReferenceEvaluator(model)
        if self.channels_last:
            rows = np.ascontiguousarray(np.moveaxis(rows, 1, -1))
        step = self._batch or rows.shape[0]
        pieces = []
        for begin in range(0, rows.shape[0], step):
            piece = rows[begin : begin + step]
            full = np.concatenate([piece, np.repeat(piece[-1:], step - len(piece), axis=0)])
            results: Any = evaluator.run([model.graph.output[0].name], {model.graph.input[0].name: full})
            pieces.append(results[0][: len(piece)])
        return np.concatenate(pieces)


def _load(model: str | os.PathLike[str] | onnx.ModelProto) -> tuple[onnx.ModelProto, str]:
    if isinstance(model, onnx.ModelProto):
        return model, model.graph.name or "model"
    path = Path(model)
    if not path.is_file():
        raise ExportError(f"expected an ONNX file; found nothing at '{path}'; check the path", -50)
    try:
        return onnx.load(path), path.stem
    except Exception as error:  # protobuf raises its own classes
        raise ExportError(
            f"expected an ONNX model in '{path}'; found other bytes ({error}); export the model again", -50
        ) from error


def prepared_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """A checked copy with local functions inlined and unused initialisers' inputs taken off the list of inputs.

    Raises:
        ExportError: the checker's words, or an input that is not one float32 tensor of fixed size behind the batch
            axis.
    """
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        raise ExportError(f"expected a valid ONNX model; found: {error}; repair the model", -5) from error
    copy = (
        onnx.inliner.inline_local_functions(model)
        if model.functions
        else onnx.ModelProto.FromString(model.SerializeToString())
    )
    held = {tensor.name for tensor in copy.graph.initializer}
    inputs = [value for value in copy.graph.input if value.name not in held]
    del copy.graph.input[:]
    copy.graph.input.extend(inputs)
    blockers = [fault for value in inputs if (fault := _input_fault(value)) is not None]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        blockers.append(Blocker(names, "input", f"{len(inputs)} inputs", "export a model with one input"))
    blockers += _output_faults(copy)
    if blockers:
        raise ExportError.from_blockers("one float32 input and one output of fixed sizes", blockers)
    return copy


def _input_fault(value: onnx.ValueInfoProto) -> Blocker | None:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or kind.elem_type != onnx.TensorProto.FLOAT:
        found = onnx.TensorProto.DataType.Name(kind.elem_type) if value.type.HasField("tensor_type") else "no tensor"
        return Blocker(
            value.name, "input", f"{found} instead of FLOAT", "let the bundle convert raw bytes: InputSpec(dtype='u8')"
        )
    if not kind.HasField("shape") or not kind.shape.dim:
        return Blocker(value.name, "input", "no shape", "give it a batch axis and fixed sizes")
    dynamic = [axis for axis, dim in enumerate(kind.shape.dim) if axis > 0 and dim.dim_value < 1]
    if dynamic:
        return Blocker(value.name, "input", f"dynamic size on axes {dynamic}", "fix every size but the batch")
    return None


def _output_faults(model: onnx.ModelProto) -> list[Blocker]:
    """Further outputs block, except running statistics that a training graph hands out."""
    statistics = {key for node in model.graph.node if node.op_type == "BatchNormalization" for key in node.output[1:]}
    extra = [value.name for value in model.graph.output[1:] if value.name not in statistics]
    return [Blocker(key, "output", "a second output", "export a model that gives the logits alone") for key in extra]


def initialisers_of(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    """By name.

    Raises:
        ExportError: floating-point values that are not float32 or not finite, all at once.
    """
    values: dict[str, NDArray[Any]] = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    blockers = []
    for key, array in values.items():
        if array.dtype.kind == "f" and array.dtype != np.float32:
            blockers.append(
                Blocker(key, "initializer", f"{array.dtype} instead of float32", "convert the model to float32")
            )
        elif array.dtype == np.float32 and not np.isfinite(array).all():
            count = int((~np.isfinite(array)).sum())
            blockers.append(
                Blocker(key, "initializer", f"{count} values that are not finite", "repair or retrain the model")
            )
    if blockers:
        raise ExportError.from_blockers("finite float32 weights", blockers)
    return values


def _turns_channels_last(model: onnx.ModelProto) -> bool:
    """Takes out a Transpose [0, 3, 1, 2] that is the only reader of the input; the input then is [N][C][H][W]."""
    graph = model.graph
    source = graph.input[0].name
    readers = [node for node in graph.node if source in node.input]
    if len(readers) != 1 or readers[0].op_type != "Transpose" or len(graph.input[0].type.tensor_type.shape.dim) != 4:
        return False
    order = next((list(a.ints) for a in readers[0].attribute if a.name == "perm"), [])
    turned = readers[0].output[0]
    if order != [0, 3, 1, 2] or turned == graph.output[0].name:
        return False
    dims = graph.input[0].type.tensor_type.shape.dim
    sizes = [dims[axis].dim_value for axis in order[1:]]
    for dim, size in zip(list(dims)[1:], sizes, strict=True):
        dim.dim_value = size
    graph.node.remove(readers[0])
    for node in graph.node:
        for position, key in enumerate(node.input):
            if key == turned:
                node.input[position] = source
    return True


def read_graph(
    model: onnx.ModelProto,
    name: str,
    initialisers: Mapping[str, NDArray[Any]],
    learnable: Callable[[str, str], bool],
    stored: Stored | None = None,
) -> Graph:
    """Imports a prepared model; `stored`: the integers that it stands for."""
    value = model.graph.input[0]
    sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    batch = sizes[0] or DYNAMIC_BATCH
    return import_graph(
        model,
        name=name,
        initialisers=initialisers,
        input_name=value.name,
        input_dims=tuple(sizes[1:]),
        batch=batch,
        learnable=learnable,
        known_dims=_inferred(model, batch),
        stored=stored,
    )


def _inferred(model: onnx.ModelProto, batch: int) -> dict[str, Dims]:
    """Shapes that ONNX's own inference finds with the batch axis fixed; only used to look behind unsupported nodes."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    del fixed.graph.value_info[:]
    try:
        inferred = onnx.shape_inference.infer_shapes(fixed)
    except Exception:  # a node that it does not know; then nothing is known behind it
        return {}
    return {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in inferred.graph.value_info
        if value.type.HasField("tensor_type")
    }
