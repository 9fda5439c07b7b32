# The order of the export: one function from an imported graph to a report.
# Never here: a step of its own.
"""`export_graph` runs every step on a graph that a front end has imported."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from edgecl.export.adaptor_choice import chosen_adaptor
from edgecl.export.adaptor_data import SEARCH, AdaptorData
from edgecl.export.adaptor_search.search import Found
from edgecl.export.backward import BackwardPass, backward_list, backward_macs
from edgecl.export.constant_rows import behind_border
from edgecl.export.errors import Blocker, ExportError
from edgecl.export.exemplars import exemplar_record
from edgecl.export.fuse import fuse
from edgecl.export.graph import Graph
from edgecl.export.head import kind_of_labels, settle_classes
from edgecl.export.int8_encoder import CALIBRATION_ROWS as CALIBRATION_LIMIT
from edgecl.export.int8_encoder import int8_candidates, measure_ranges, quantise_encoder, tensors_to_measure
from edgecl.export.int8_native import use_stored
from edgecl.export.int8_parity import compare_with_runtime
from edgecl.export.layer_choice import keep_dense_where_faster
from edgecl.export.new_head import centre, embeddings, feature_range, give_new_head, give_new_layer
from edgecl.export.options import ExportOptions
from edgecl.export.plan import build_plan
from edgecl.export.recipe import Recipe
from edgecl.export.report import ExportReport, LayerReport, ParityFigures
from edgecl.export.simplify import simplify
from edgecl.export.sparsify import apply_masks, choose_sparse_layers, densities
from edgecl.export.stages import stage
from edgecl.export.stored import DEQUANTISED
from edgecl.export.trainable import choose_trainable

if TYPE_CHECKING:
    from edgecl import _core

CALIBRATION_ROWS = 8
CENTRED_HEADS = ("hd",)  # which go by directions alone
CALIBRATION_SEED = 20


@dataclass(frozen=True)
class Prepared:
    """A plan without parity, and what the report needs of its making."""

    plan: dict[str, Any]
    graph: Graph
    backward: BackwardPass
    trainable: str
    untrainable: list[Blocker]
    columns: int
    sparse_weights: dict[str, np.ndarray]
    flattened: bool  # a reshape to columns stands behind the source's output
    search: Found | None = None  # of an adaptor


def prepare(graph: Graph, options: ExportOptions, producer: str) -> Prepared:
    """All steps that do not need the source model; changes the graph."""
    if len(graph.input_dims) > 3:
        graph.notes.append(f"samples of shape {list(graph.input_dims)} are taken as {list(graph.tensors[graph.input])}")
    if options.input.channels_last and len(graph.input_dims) != 3:
        raise ExportError(
            f"expected images for channels_last; found samples of shape {list(graph.input_dims)}; leave it out", -1
        )
    simplify(graph)
    trainable, untrainable = choose_trainable(graph, options.trainable)
    behind_border(graph)
    if options.trainable != "none" and prod(graph.tensors[graph.output]) == 1:
        raise ExportError(
            "expected at least two outputs, one a class; found one (a binary classifier with a single logit); give the "
            "last layer two columns: zeros, and the one it has, which is the same classifier under softmax; or a new "
            "head (--head new:2, new_head=2), or trainable='none'",
            -5,
        )
    columns = int(np.prod(graph.tensors[graph.output]))
    sparse: dict[str, np.ndarray] = {}
    if options.density < 1.0:
        layers = choose_sparse_layers(graph, options.sparse_layers)
        recurrent = [op.layer for op in graph.ops if op.kind == "recurrent"]
        if not layers:
            raise ExportError(
                f"expected layers that can be sparse for density={options.density}; found none"
                f"{' (recurrent layers stay dense)' if recurrent else ''}; leave density at 1, or "
                "name sparse_layers",
                -1,
            )
        if recurrent:
            graph.notes.append(f"recurrent layers stay dense: {', '.join(recurrent)}")
        kept = densities(layers, options.density, options.distribution)
        apply_masks(
            layers,
            keep_dense_where_faster(graph, layers, kept, options),
            options.initial_mask,
            options.mask_seed,
            options.initial_scale,
        )
        masked = [op.weight() for op in layers if op.weight().mask is not None]
        sparse = {param.source: param.values_in_source_order() for param in masked if param.source is not None}
        frozen = [op.layer for op in layers if op.weight().mask is not None and not op.weight().trainable]
        if frozen:
            graph.notes.append(f"frozen layers were pruned, which training cannot make up for: {', '.join(frozen)}")
    output = graph.output
    names, _ = settle_classes(graph, options.classes, options.max_classes, options.mask_seed)
    flattened = graph.output != output
    fuse(graph)
    backward = backward_list(graph)
    plan = _plan(graph, options, producer, backward, trainable, names)
    return Prepared(plan, graph, backward, trainable, untrainable, columns, sparse, flattened)


def with_new_head(prepared: Prepared, options: ExportOptions, producer: str, raw: Any) -> Prepared:
    """The same encoder under a head that keeps statistics; changes the graph."""
    from edgecl import _core

    graph = prepared.graph
    if prepared.flattened:
        graph.remove(graph.ops[-1])
    search = None
    if options.adaptor == SEARCH:
        search = chosen_adaptor(graph, prepared.plan or None, AdaptorData.of(options.adaptor_data), options)
        options = replace(options, adaptor=search.chosen, adaptor_data=None)
    head = give_new_head(graph, options)
    graph.notes += head.notes
    measured = options.calibration is not None
    centred = options.recipe.head in CENTRED_HEADS and measured
    if centred:
        plan = _plan(graph, options, producer, backward_list(graph), prepared.trainable, head.names)
        centre(graph, embeddings(_core.write_bundle(plan), raw))
        graph.notes.append(f"half the mean of {len(raw)} calibration rows is subtracted from embeddings")
    elif options.recipe.head in CENTRED_HEADS:
        graph.notes.append("embeddings are not centred, which costs accuracy; hand in calibration rows")
    backward = backward_list(graph)
    plan = _plan(graph, options, producer, backward, prepared.trainable, head.names)
    if not options.recipe.feature_range:
        found = feature_range(_core.write_bundle(plan), raw, measured, options.normalise and not centred)
        plan["recipe"]["feature_range"] = found
        rows = f"{len(raw)} {'calibration' if measured else 'random'} rows"
        graph.notes.append(
            f"embeddings are told apart up to {found:g} (feature_range), from {rows}"
            + ("" if measured else "; hand in calibration rows for a better one")
        )
    return replace(prepared, plan=plan, backward=backward, search=search)


def with_int8_encoder(prepared: Prepared, options: ExportOptions, producer: str, raw: Any) -> Prepared:
    """The same network whose frozen part computes in int8; changes the graph."""
    graph = prepared.graph
    candidates = int8_candidates(graph)
    if not any(op.kind in ("conv", "linear") for op in candidates):
        raise ExportError(
            "expected frozen layers that can compute in int8; found none; freeze some (trainable='head' or 'tail', or "
            "a head that keeps statistics), or leave encoder out",
            -1,
        )
    draft = {**prepared.plan, "recipe": Recipe().as_plan("head")}
    ranges = measure_ranges(graph, tensors_to_measure(candidates), draft, raw)
    graph.notes += quantise_encoder(graph, candidates, ranges).notes(min(len(raw), CALIBRATION_LIMIT))
    backward = backward_list(graph)
    names = [name for _, name in prepared.plan["classes"]]
    return replace(
        prepared,
        plan=_plan(graph, options, producer, backward, prepared.trainable, names),
        backward=backward,
    )


def with_stored_integers(
    prepared: Prepared, options: ExportOptions, producer: str, raw: Any, replaced: bool
) -> Prepared | None:
    """The same network whose frozen part computes in the integers of its source, or None where nothing can; changes the
    graph. `replaced`: a new head takes the place of the last layer."""
    graph = prepared.graph
    if not use_stored(graph, whole=options.trainable == "none" and not replaced):
        return None
    backward = backward_list(graph)
    names = [name for _, name in prepared.plan["classes"]]
    plan = _plan(graph, options, producer, backward, prepared.trainable, names)
    graph.notes += compare_with_runtime(graph, plan, options.input, raw)
    return replace(prepared, plan=plan, backward=backward)


def _plan(
    graph: Graph, options: ExportOptions, producer: str, backward: BackwardPass, trainable: str, names: list[str]
) -> dict[str, Any]:
    return build_plan(
        graph,
        backward,
        name=options.name or graph.name,
        producer=producer,
        input_spec=options.input,
        recipe=options.recipe,
        trainable=trainable,
        classes=names,
        label_kind=kind_of_labels(options.classes),
        structure_room=max(options.structure_room, options.recipe.structure_room),
    )


def _by_products(plan: dict[str, Any]) -> dict[str, Any]:
    """The plan with the source's own scores, which parity compares."""
    return {**plan, "recipe": {**plan["recipe"], "head": "gradient"}}


def export_graph(graph: Graph, options: ExportOptions, reference: Any, source: str) -> ExportReport:
    """Prepares, writes, opens and compares; the file is written only when all of that went well.

    Args:
        reference: `parity.Reference` of the source model.
        source: "torch 2.13.0", for the producer line.

    Raises:
        ExportError, ParityError, FileError.
    """
    from edgecl import __version__, _core
    from edgecl.export.parity import ask, compare, int8_parity

    producer = f"edgecl {__version__}, {source}"
    # A new head comes after the comparison: the source has none.
    as_source = replace(
        options, trainable="none", classes=None, max_classes=None, recipe=Recipe(), projection=0, adaptor=None,
        adaptor_data=None, new_head=None,
    )  # fmt: skip
    raw = _calibration(options, graph)
    learner = graph
    compared = as_source if options.keeps_statistics else options
    if options.new_head is not None:
        learner = _with_arrays_shared(graph)
        compared = replace(as_source, density=1.0)
    prepared = prepare(graph, compared, producer)
    unpruned = _outputs(reference, graph, options, raw) if prepared.sparse_weights else None
    for name, values in prepared.sparse_weights.items():
        reference.set_weight(name, values)
    by_cosine = options.recipe.head == "cosine"
    stage("running the source, to compare the bundle with it")
    asked = ask(graph, reference, options.input, raw)  # before there is a bundle: each may be large
    stage("writing the bundle and comparing it with the source")
    draft = _draft(prepared)
    parity = compare(draft, graph, asked, raw, prepared.columns)
    if unpruned is not None and options.initial_scale == "none":
        graph.notes.append(_cost_of_pruning(unpruned, _outputs(reference, graph, options, raw), options))
    if options.new_head is not None:
        graph = learner
        simplify(graph)
        give_new_layer(graph, options.new_head, options.mask_seed)
        prepared = prepare(graph, options, producer)
        draft = _draft(prepared)
    drafted = prepared.plan
    given = as_source if options.keeps_statistics else options
    turned = None
    stage("settling in which numbers the frozen part computes")
    if graph.stored is not None and (options.encoder == "float32" or options.takes_feature_maps):
        graph.notes.append(DEQUANTISED)
    elif graph.stored is not None:
        turned = with_stored_integers(prepared, given, producer, raw, options.keeps_statistics)
    if turned is None and options.encoder == "int8":
        turned = with_int8_encoder(prepared, given, producer, raw)
    if turned is not None:
        prepared = turned
        parity = int8_parity(
            draft, _core.write_bundle(_by_products(prepared.plan)), graph, parity, raw, prepared.columns
        )
    if options.keeps_statistics:
        stage("giving the encoder its head")
        prepared = with_new_head(prepared, options, producer, raw)
    if by_cosine:
        graph.notes.append(
            "scores are cosines with the columns of the last layer; its bias and their lengths are read only by the "
            "comparison with the source"
        )
    prepared.plan["parity"] = {
        "n_rows": parity.n_rows,
        "max_abs": parity.max_abs,
        "mean_abs": parity.mean_abs,
        "reference_abs": parity.reference_abs,
        "source": parity.source,
    }
    notes: list[str] = []
    if options.remember is not None:
        prepared.plan["exemplars"], notes = exemplar_record(options.remember, _encoded(_by_products(drafted)))
    del draft, reference
    stage("writing the bundle")
    return _written(prepared, options, parity, notes)


def _encoded(plan: dict[str, Any]) -> bytes:
    from edgecl import _core

    try:
        return _core.write_bundle(plan)
    except ValueError as error:  # a name, a number or a size beyond the format, in its words
        raise ExportError(str(error), -22) from error


def _draft(prepared: Prepared) -> _core.Model:
    """Opened; its bytes are not kept, which may be as large as the weights."""
    from edgecl import _core

    return _core.Model(data=_encoded(_by_products(prepared.plan)))


def _with_arrays_shared(graph: Graph) -> Graph:
    """A copy whose parameters may change without the original; their numbers are not copied."""
    return copy.deepcopy(graph, {id(param.values): param.values for param in graph.params()})


def _outputs(reference: Any, graph: Graph, options: ExportOptions, raw: Any) -> np.ndarray:
    rows = options.input.network_input(raw, graph.tensors[graph.input][0])
    outputs: np.ndarray = reference.run(rows.reshape(raw.shape[0], *graph.input_dims)).reshape(raw.shape[0], -1)
    return outputs.astype(np.float64)


def _cost_of_pruning(before: np.ndarray, after: np.ndarray, options: ExportOptions) -> str:
    spread = max(float(before.std()), float(np.finfo(np.float32).tiny))
    error = float(np.sqrt(np.mean((before - after) ** 2))) / spread
    same = int((before.argmax(axis=1) == after.argmax(axis=1)).sum())
    rows = f"{len(before)} {'random' if options.calibration is None else 'calibration'} rows"
    return (
        f"pruning to density {options.density:g}, on {rows}: outputs differ from the unpruned source's by "
        f"{100 * error:.3g} % of their spread (root mean square), the largest one is the same in {same}; a trained "
        "model has lost that much and learns it again only from data"
    )


def export_head(
    graph: Graph,
    options: ExportOptions,
    rows: Any = None,
    encoder: dict[str, Any] | None = None,
    source: str | None = None,
) -> ExportReport:
    """A graph that is an embedding and nothing else gets a head; there is no source to compare with.

    Args:
        rows: embeddings (n, dim) in place of random ones where there is no calibration.
        encoder: the record of a model file that makes the embeddings.
        source: for the producer line.

    Raises:
        ExportError, FileError.
    """
    from edgecl import __version__

    prepared = Prepared({}, graph, backward_list(graph), "head", [], 0, {}, False)
    raw = _calibration(options, graph) if rows is None else rows
    producer = f"edgecl {__version__}" + (f", {source}" if source else "")
    prepared = with_new_head(prepared, options, producer, raw)
    if encoder is not None:
        prepared.plan["encoder"] = encoder
    return _written(prepared, options, None, [])


def _written(
    prepared: Prepared, options: ExportOptions, parity: ParityFigures | None, notes: list[str]
) -> ExportReport:
    from edgecl import _core
    from edgecl.files import write_file_atomic

    bundle = _encoded(prepared.plan)
    model = _core.Model(data=bundle)
    info = model.describe()
    path = None
    if options.out is not None:
        path = os.fspath(options.out)
        write_file_atomic(path, bundle)
    return ExportReport(
        bundle=bundle,
        path=path,
        name=prepared.plan["name"],
        trainable=prepared.trainable,
        parity=parity,
        sizes=model.sizes(),
        untrainable=prepared.untrainable,
        layers=layer_reports(prepared.graph, prepared.backward),
        macs={key: int(info[f"macs_{key}"]) for key in ("forward", "forward_sparse", "backward", "backward_sparse")},
        notes=[*prepared.graph.notes, *notes],
        device=options.device,
        adaptor_search=prepared.search,
    )


def layer_reports(graph: Graph, backward: BackwardPass) -> list[LayerReport]:
    """One entry a convolution, linear or recurrent layer (its two weights side by side), in execution order."""
    steps = {id(step.op): step for step in backward.steps}
    reports = []
    for op in graph.ops:
        if op.kind not in ("conv", "linear", "int8_conv", "recurrent"):
            continue
        weight = op.weight()
        dims = weight.shown or weight.values.shape
        if op.kind == "recurrent":
            dims = (dims[0], dims[1] + graph.tensors[op.output][0])
        stored = prod(dims) if weight.mask is None else int(weight.mask.sum())
        step = steps.get(id(op))
        reports.append(
            LayerReport(
                name=op.layer,
                kind=op.kind,
                dims=tuple(dims),
                trainable=weight.trainable,
                density=stored / prod(dims),
                stored=stored,
                macs_forward=graph.macs(op),
                macs_backward=0 if step is None else backward_macs(graph, step),
            )
        )
    return reports


def _calibration(options: ExportOptions, graph: Graph) -> Any:
    sample = graph.sample_dims
    dims = options.input.raw_dims(sample)
    if options.calibration is None:
        return options.input.random_rows(CALIBRATION_ROWS, sample, CALIBRATION_SEED)
    wanted = np.uint8 if options.input.dtype == "u8" else np.float32
    rows = np.asarray(options.calibration)
    if rows.ndim != len(dims) + 1 or rows.shape[1:] != dims or rows.shape[0] < 1 or rows.dtype != wanted:
        raise ExportError(
            f"expected calibration rows (n, {', '.join(map(str, dims))}) of {np.dtype(wanted)}; found {rows.shape} of "
            f"{rows.dtype}; "
            "hand in raw samples as the device will see them",
            -2,
        )
    return rows
