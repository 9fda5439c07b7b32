# From an ONNX file or model to the exporter's graph, and the source model as the parity reference.
# Never here: single operators (ops/), PyTorch.
"""`from_onnx`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import onnx.shape_inference
from edgecl.export.adaptor_data import AdaptorData
from edgecl.export.context import Computing
from edgecl.export.errors import ExportError
from edgecl.export.exemplars import Exemplars
from edgecl.export.external import export_external_onnx
from edgecl.export.graph import Dims, Graph
from edgecl.export.importer import import_graph
from edgecl.export.integer_onnx import DYNAMIC_NOTE, with_borders, without_dynamic
from edgecl.export.onnx_cut import with_output
from edgecl.export.onnx_prepare import hollowed, initialisers_of, prepared_model, refuse_odd_weights
from edgecl.export.onnx_reference import OnnxReference
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
from edgecl.export.qdq import runner, take_integers
from edgecl.export.recipe import InputSpec, Recipe
from edgecl.export.report import ExportReport
from edgecl.export.stored import Stored
from numpy.typing import NDArray

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
    new_head: int | None = None,
    logits: str | int | None = None,
) -> ExportReport:
    """Compiles an ONNX model to a bundle.

    Args:
        model: a file, or a loaded model: one float32 input [N][...] with fixed sizes behind the batch axis, logits as
            first output. Frozen layers of quantised files (QDQ, or operators
            of integers) stay in integers.
        Others: as in `edgecl.export.from_torch`. Weights, biases, gammas and betas held as initialisers count as
            parameters. A Transpose right behind the input that turns images from channels-last is taken over into the
            bundle's input (`InputSpec.channels_last`).
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
        ParityError: the bundle's outputs differ from those of onnxruntime, or where it is not installed from those of
            ONNX's reference evaluator.
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
        new_head,
    )
    loaded, stem = load_onnx(model)
    _refuse_odd_names(loaded)
    if logits is not None:
        loaded = with_output(loaded, logits)
    if external:
        return export_external_onnx(loaded, options, name or stem)
    name = name or stem
    hollow, beside = hollowed(loaded)
    del loaded, model  # whose weights may be most of the memory
    graph, options, reference = graph_of_onnx(hollow, options, name, beside=beside)
    return export_graph(graph, options, reference, f"onnx {onnx.__version__}")


def graph_of_onnx(
    model: onnx.ModelProto,
    options: ExportOptions,
    name: str,
    stored: Stored | None = None,
    beside: dict[str, NDArray[Any]] | None = None,
) -> tuple[Graph, ExportOptions, OnnxReference]:
    """The imported graph, the options (channels_last set where the model turns its input itself) and the parity
    reference. `beside`: weights that were taken out of the model already."""
    from dataclasses import replace

    if beside is None:
        model, beside = hollowed(model)
    source = model = prepared_model(model, beside)
    model, dynamic = without_dynamic(model)
    if stored is None:
        model, stored = take_integers(with_borders(model))
    reference = OnnxReference(model, beside)
    if _turns_channels_last(model):
        if not options.input.channels_last:
            options = replace(options, input=replace(options.input, channels_last=True))
        reference.channels_last = True
    if stored is not None and stored.run is None and source is not model:
        stored.run, stored.again = (runner(source, reference.channels_last, fused) for fused in (True, False))
    refuse_odd_weights(beside)
    initialisers = initialisers_of(model) | beside
    names_of_initialisers = set(initialisers)
    graph = read_graph(
        model, name, initialisers, lambda key, role: key in names_of_initialisers and role in _LAYER_ROLES, stored
    )
    graph.merged = True
    graph.notes += ([] if stored is None else stored.notes) + ([DYNAMIC_NOTE] if dynamic else [])
    return graph, options, reference


def load_onnx(model: str | os.PathLike[str] | onnx.ModelProto) -> tuple[onnx.ModelProto, str]:
    """The model with its weights, and a name for it.

    Raises:
        ExportError: no such file, or no ONNX model in it.
    """
    if isinstance(model, onnx.ModelProto):
        return model, model.graph.name or "model"
    if not isinstance(model, (str, os.PathLike)):
        remedy = (
            "hand in onnx.load_from_string(bytes)"
            if isinstance(model, (bytes, bytearray))
            else "a PyTorch module goes to from_torch"
        )
        raise ExportError(
            f"expected the path of an ONNX file, or an onnx.ModelProto; found {type(model).__name__}; {remedy}", -3
        )
    path = Path(model)
    if not path.is_file() or not path.stat().st_size:
        found = "a folder" if path.is_dir() else "an empty file" if path.is_file() else "nothing"
        raise ExportError(f"expected an ONNX file; found {found} at '{path}'; check the path", -50)
    beside: set[str] = set()
    try:
        loaded = onnx.load(path, load_external_data=False)
        beside = {entry.value for t in loaded.graph.initializer for entry in t.external_data if entry.key == "location"}
        missing = sorted(name for name in beside if not (path.parent / name).is_file())
        if missing:
            raise ExportError(
                f"expected the weights of '{path}' beside it, in '{missing[0]}'; found no such file; copy it there", -50
            )
        return (onnx.load(path) if beside else loaded), path.stem
    except ExportError:
        raise
    except Exception as error:  # protobuf raises its own classes
        if beside:
            raise ExportError(
                f"expected the weights of '{path}' beside it; found: {error}; export the model again, with its weights "
                "in the same folder",
                -50,
            ) from error
        raise ExportError(
            f"expected an ONNX model in '{path}'; found other bytes ({error}); export the model again", -50
        ) from error


def _refuse_odd_names(model: onnx.ModelProto) -> None:
    graph = model.graph
    named = [*graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info]
    names = [graph.name, *(entry.name for entry in named)]
    names += [name for node in graph.node for name in (node.op_type, node.domain, *node.input, *node.output)]
    odd = [name for name in names if not isinstance(name, str)]  # what protobuf cannot decode stays bytes
    if odd:
        raise ExportError(
            f"expected a valid ONNX model, whose names are UTF-8; found {odd[0]!r}; export the model again", -50
        )


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
    computing: Computing | None = None,
) -> Graph:
    """Imports a prepared model. `stored`: the integers that it stands for. The others: as of
    `import_graph`."""
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
        known_dims=_inferred(model, batch, initialisers),
        stored=stored,
        computing=computing,
    )


def _inferred(model: onnx.ModelProto, batch: int, weights: Mapping[str, Any]) -> dict[str, Dims]:
    """Shapes that ONNX's own inference finds with the batch axis fixed; only used to look behind unsupported nodes."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    typed = [value for value in fixed.graph.value_info if value.name in weights]  # held beside the model
    del fixed.graph.value_info[:]
    fixed.graph.value_info.extend(typed)
    try:
        inferred = onnx.shape_inference.infer_shapes(fixed)
    except Exception:  # a node that it does not know; then nothing is known behind it
        return {}
    return {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in inferred.graph.value_info
        if value.type.HasField("tensor_type")
    }
