# From a PyTorch module to the exporter's graph, by way of ONNX, and the module as the parity reference.
# Never here: anything about ONNX operators.
"""`from_torch`."""

from __future__ import annotations

import copy
import io
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import torch
from edgecl.export.adaptor_data import AdaptorData
from edgecl.export.computing import import_with_computed
from edgecl.export.context import Computing
from edgecl.export.errors import ExportError, counted, raised
from edgecl.export.exemplars import Exemplars
from edgecl.export.graph import Graph
from edgecl.export.onnx_front import read_graph
from edgecl.export.onnx_prepare import initialisers_of, prepared_model, refuse_odd_weights
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
from edgecl.export.row_pieces import in_pieces
from edgecl.export.stages import stage
from edgecl.export.torch_call import as_written, example_rows, one_of, run_rows, why_it_fails
from edgecl.export.torch_symbolics import symbolics
from edgecl.export.torch_weights import with_plain_weights
from numpy.typing import NDArray

OPSET = 18


def from_torch(
    module: torch.nn.Module,
    example: torch.Tensor | NDArray[np.float32],
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
    adaptor_data: AdaptorData | tuple[Any, Any] | None = None,
    new_head: int | None = None,
    logits: str | int | None = None,
) -> ExportReport:
    """Compiles a PyTorch module to a bundle. The module itself, its mode and PyTorch's random state stay as they are.

    Args:
        module: takes one float32 tensor, gives logits [N][classes]. Its parameter names become the bundle's. Parameters
            with requires_grad=False never learn.
        example: network input [N][F], [N][C][T] or [N][C][H][W] (N >= 1); only its shape matters.
        out: file to write; None keeps the bytes in the report.
        name: of the bundle; default the class of the module.
        trainable: "all"; "tail" (the last quarter of the multiply-adds); "tail:LAYER" (from that layer on); "head" (the
            last linear layer); "none" (a bundle that only predicts); a list of prefixes of parameter names; or a
            function of the parameter name. What is frozen needs no gradient, and a batch-norm that is frozen is folded
            into the layer before it.
        density: fraction of the weights kept in sparse layers, 0 < density <= 1; 1 = all dense.
        distribution: "uniform" or "erk" (see `sparsify.densities`).
        sparse_layers: names, or a function of the layer name; default see `sparsify.choose_sparse_layers`.
        layer_choice: "sparse": the layers above are sparse. "predicted", "measured": those of them that would not learn
            faster so stay dense, with all weights; see `layer_choice.keep_dense_where_faster`.
        initial_mask: "magnitude" (largest weights of each layer) or "random".
        mask_seed: seed of random masks and of new head columns.
        initial_scale: "none", or "variance": the kept weights are multiplied so that each layer keeps its sum of
            squares; for networks that were not trained yet.
        structure_room: room for weights to come in sparse layers, as a fraction of the layer's weights (0.01 for
            SparCL's exchanges).
        classes: their labels, or how many of the head's columns are classes already; default all columns, named "0",
            "1", ...
        max_classes: columns of the head; new ones are drawn as a fresh nn.Linear has them.
        input: how raw samples become the network's input.
        recipe: how the device learns by default.
        calibration: raw rows (n, *sample) for the parity check; default 8 seeded random ones of plausible range.
        device: profile name, kept in the report.
        remember: samples of the shipped classes that travel in the bundle, for the replay buffer of the device.
        projection: with a head that keeps statistics (recipe method "ncm", "ncm-distance", "lda", "ridge", "hd",
            "fecam"), which takes the place of the last linear layer: width of a random projection with a ReLU before
            it, 0 = none.
        normalise: with such a head: embeddings are scaled to length 1, which novelty scores are better for.
        adaptor: with such a head: "film", "bottleneck:16", "depthwise:16" or "lowrank:16", parameters behind the last
            feature map of which each domain has its own (recipe field max_domains); or "search": the one that suits
            `adaptor_data` best, see `report.adaptor_search`.
        encoder: "auto": the numbers of the source: a file of integers keeps them where nothing learns, all else is
            float32. "float32": everything. "int8": frozen layers with nothing before them that learns compute in
            integers; their ranges are those of the calibration rows, which stand for the data then (100 are plenty),
            unless the file has integers of its own. The notes say what that costs.
        adaptor_data: with adaptor "search": (x, y), raw rows of a new domain and their labels, or `AdaptorData`, which
            has more to set.
        new_head: a fresh linear layer with so many columns takes the place of the last layer, or stands behind an
            encoder without one; it learns by gradients. A map is averaged over its positions first.
        logits: of a module with several outputs: the key (of a dict), field or position of the one to learn; of one
            inside others the path, such as "heads.0".

    Returns:
        the report; its `bundle` holds the bytes.

    Raises:
        ExportError: a keyword is wrong, weights are not finite, or nodes cannot be exported or trained (all of them at
            once).
        ParityError: the bundle's outputs differ from the module's in evaluation mode.
        FileError: `out` cannot be written.
    """
    module = as_written(module)
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
        recipe or Recipe(),
        calibration,
        device,
        remember,
        projection,
        normalise,
        adaptor,
        encoder,
        adaptor_data=adaptor_data,
        new_head=new_head,
    )
    graph = graph_of_torch(
        module, example, name or type(module).__name__, logits, "none" if options.keeps_statistics else trainable
    )
    return export_graph(graph, options, TorchReference(module, logits), f"torch {torch.__version__.partition('+')[0]}")


def graph_of_torch(
    module: torch.nn.Module,
    example: torch.Tensor | NDArray[np.float32],
    name: str,
    logits: str | int | None = None,
    trainable: Trainable = "all",
) -> Graph:
    """The imported graph of a module, of which that will learn."""
    stage("tracing the module")
    module, plain = with_plain_weights(module)
    traced, weights = _trace(module, example, logits)
    model = prepared_model(traced, weights)
    initialisers = initialisers_of(model) | weights
    refuse_odd_weights(weights)
    learning = {key for key, parameter in module.named_parameters(remove_duplicate=False) if parameter.requires_grad}
    cut_off = learning - _with_gradient(module, example, logits) if isinstance(trainable, str) else set()
    learning -= cut_off

    def imported(computing: Computing) -> Graph:
        found = read_graph(model, name, initialisers, lambda key, role: key in learning, None, computing)
        reached = {param.name for param in found.params()} | found.plain_from
        found.computed_from = [key for key in initialisers if key in learning and key not in reached]
        return found

    graph = import_with_computed(imported, learning, trainable)
    graph.notes += plain
    fixed = sum(not parameter.requires_grad for parameter in module.parameters())
    if fixed:
        graph.notes.append(f"frozen, by requires_grad=False: {counted(fixed, 'parameter')}")
    shown = [param.name for param in graph.params() if param.name in cut_off]
    if shown:
        names = ", ".join(shown[:3]) + (", ..." if len(shown) > 3 else "")
        graph.notes.append(
            f"frozen, since the module lets no gradient through (no_grad, detach): {counted(len(shown), 'parameter')}, "
            f"{names}; trainable with their names lets them learn"
        )
    dropouts = sum(isinstance(layer, torch.nn.modules.dropout._DropoutNd) for layer in module.modules())
    if dropouts:
        graph.notes.append(f"left out, since learning on the device uses none: {counted(dropouts, 'dropout layer')}")
    return graph


def _with_gradient(module: torch.nn.Module, example: Any, logits: str | int | None) -> set[str]:
    """Parameters that the logits have a gradient by. All of them where none has, as in a forward that is made for
    predicting alone, or where PyTorch cannot tell."""
    copied = _copy(module)
    named = dict(copied.named_parameters(remove_duplicate=False))
    try:
        with _quiet(), torch.enable_grad(), torch.random.fork_rng(devices=[]):
            outputs = one_of(copied(example_rows(example)), logits)
    except Exception:  # of the module's own code, which tracing met before
        return set(named)
    waiting, seen, reached = [outputs.grad_fn], set(), set()
    while waiting:
        function = waiting.pop()
        if function is None or function in seen:
            continue
        seen.add(function)
        reached.add(id(getattr(function, "variable", None)))
        waiting += [before for before, _ in function.next_functions]
    found = {name for name, parameter in named.items() if id(parameter) in reached}
    return found or set(named)


class TorchReference:
    """A copy of the module in evaluation mode on the CPU."""

    def __init__(self, module: torch.nn.Module, logits: str | int | None = None) -> None:
        self.source = f"torch {torch.__version__.partition('+')[0]}"
        self._module = _copy(with_plain_weights(module)[0])
        self._logits = logits

    def run(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `parity.Reference`."""

        def run(piece: NDArray[np.float32]) -> NDArray[np.float32]:
            outputs = run_rows(self._module, torch.from_numpy(piece.copy()))  # it may write to them
            return np.asarray(one_of(outputs, self._logits).numpy(), np.float32)

        with torch.no_grad():
            return in_pieces(run, rows)

    def run_double(self, rows: NDArray[np.float32]) -> NDArray[np.float64] | None:
        """As `parity.Reference`."""
        double = _copy(self._module, torch.float64)

        def run(piece: NDArray[np.float32]) -> NDArray[np.float64]:
            return np.asarray(one_of(double(torch.from_numpy(piece).double()), self._logits).numpy(), np.float64)

        try:
            with torch.no_grad():
                return in_pieces(run, rows)
        except Exception:  # a module that makes float32 tensors of its own
            return None

    def weight(self, name: str) -> NDArray[np.float32]:
        """As `parity.Reference`."""
        return np.array(self._module.state_dict()[name].numpy(), np.float32)

    def set_weight(self, name: str, values: NDArray[np.float32]) -> None:
        """As `parity.Reference`; the user's module, which shares the old numbers, keeps them."""
        owner, _, last = name.rpartition(".")
        parameter = torch.nn.Parameter(torch.from_numpy(values.copy()), requires_grad=False)
        self._module.get_submodule(owner)._parameters[last] = parameter


def _copy(module: torch.nn.Module, dtype: torch.dtype | None = None) -> torch.nn.Module:
    """A copy on the CPU that shares the parameters where it can: their numbers may be most of the memory. With a
    `dtype` they are of that type."""
    try:
        copied = _copied(module, dtype).eval()
    except Exception as error:  # of its own code, or of what Python cannot copy
        raise ExportError(
            "expected a module that copy.deepcopy copies, and that eval() turns to predicting; found "
            f"{raised(error)}; keep locks, files and generators out of its attributes",
            -5,
        ) from error
    for layer in copied.modules():  # nothing learns here
        layer._backward_hooks.clear()
        layer._backward_pre_hooks.clear()
    return copied


def _copied(module: torch.nn.Module, dtype: torch.dtype | None) -> torch.nn.Module:
    tensors = dict.fromkeys(module.parameters())
    if any(tensor.device.type != "cpu" for tensor in tensors):
        copied = copy.deepcopy(module).cpu()
        return copied if dtype is None else copied.to(dtype)
    memo: dict[int, Any] = {}
    for tensor in tensors:
        memo[id(tensor)] = (
            tensor if dtype is None else torch.nn.Parameter(tensor.detach().to(dtype), requires_grad=False)
        )
    copied = copy.deepcopy(module, memo)
    return copied if dtype is None else copied.to(dtype)


class _Traced(torch.nn.Module):
    """The module in evaluation mode inside one in training mode. Evaluation: nothing random (dropout, stochastic
    depth), and statistics stay.
    Training outside: the exporter then neither folds batch-norms nor merges parameters that happen to be equal."""

    def __init__(self, module: torch.nn.Module, logits: str | int | None) -> None:
        super().__init__()
        self.module = module
        self.logits = logits

    def forward(self, rows: torch.Tensor) -> Any:
        return one_of(self.module(rows), self.logits)


def _trace(
    module: torch.nn.Module, example: torch.Tensor | NDArray[np.float32], logits: str | int | None
) -> tuple[onnx.ModelProto, dict[str, NDArray[Any]]]:
    """ONNX with batch-norms as nodes, parameters under their own names, and operators without an ONNX form left in as
    they are (so that all of them can be reported). Parameters and buffers come beside it, the module's own memory, as
    inputs of the model behind the first."""
    rows = example_rows(example)
    buffer = io.BytesIO()
    traced = _Traced(_copy(module), logits)
    with _quiet(), torch.random.fork_rng(devices=[]), symbolics(OPSET):
        try:
            torch.onnx.export(
                traced,
                (rows,),
                buffer,  # type: ignore[arg-type]
                dynamo=False,
                training=torch.onnx.TrainingMode.PRESERVE,
                do_constant_folding=False,
                export_params=False,
                operator_export_type=torch.onnx.OperatorExportTypes.ONNX_FALLTHROUGH,
                opset_version=OPSET,
                verbose=False,  # else a failure prints all of what was traced
            )
        except ExportError:
            raise
        except Exception as error:  # whatever the module's own code or the tracer raises
            raise why_it_fails(traced.module, example, rows, error) from error
    model = onnx.load_from_string(buffer.getvalue())
    held = {
        **dict(traced.named_parameters(remove_duplicate=False)),
        **dict(traced.named_buffers(remove_duplicate=False)),
    }
    if all(value.name in held for value in model.graph.input):
        raise ExportError(
            "expected outputs that follow from the input; found none that does as PyTorch traces it; compute them from "
            "it by torch's operators, without numpy(), item(), data or lists of numbers",
            -5,
        )
    weights = {}
    for value in model.graph.input:
        tensor = held.get(value.name)
        if tensor is not None:
            value.name = value.name.removeprefix("module.")
            weights[value.name] = tensor.detach().numpy()
    for node in model.graph.node:
        node.name = node.name.replace("/module/", "/", 1) if node.name.startswith("/module/") else node.name
        for index, key in enumerate(node.input):
            node.input[index] = key.removeprefix("module.")
    return model, weights


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the tracer's warnings off the user's screen."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
