# A head that keeps statistics, in place of the source's last layer or behind an encoder without one.
# Never here: the encoder, what such a head computes (runtime/heads).
"""`give_new_head` replaces what makes class scores; `centre` puts the zero of embeddings where the data are;
`feature_range` measures the embeddings that the head will see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from edgecl import _core
from edgecl._core import MAX_CLASSES
from edgecl.export.adaptor import Adaptor, choose_taps, give_adaptor, last_map
from edgecl.export.errors import ExportError
from edgecl.export.graph import Activation, Graph, Op, Param, unique
from edgecl.export.head import class_names, fresh_columns
from edgecl.export.options import ExportOptions
from numpy.typing import NDArray

DEFAULT_CLASSES = 100
PROJECTION_DENSITY = 0.1
MAX_FEATURES = 8192
_EPSILON = 1e-12  # of PyTorch's normalize
_CENTRE_EPSILON = 2.0**-16  # of the batch norm that centres; with its variance it makes exactly 1
# Of the mean, before a head that goes by directions alone. The whole mean gives the best classes, but leaves strange
# samples looking like any other (tools/bench/README.md).
CENTRE_SHARE = 0.5
# Room above the largest feature of rows that stand for the data, and of random ones, which may look like nothing.
_MARGIN, _MARGIN_RANDOM = 2.0, 8.0


@dataclass(frozen=True)
class NewHead:
    """What stands where the source's head was.

    Attributes:
        names: classes that exist from the start; they have no rows yet.
        dim: numbers of an embedding.
        notes: what was replaced and added.
    """

    names: list[str]
    dim: int
    notes: list[str]


def give_new_head(graph: Graph, options: ExportOptions) -> NewHead:
    """Takes the last linear layer out, averages a spatial map, adds the random projection that was asked for, scales
    embeddings to length 1 unless told otherwise, and ends in a linear layer of zeros whose columns are the classes to
    come. Changes the graph.

    The projection has entries 0 and +-1 / sqrt(density * inputs) at random places and a ReLU behind it (Li, Hastie and
    Church 2006, "Very sparse random projections"; McDonnell et al. 2023, "RanPAC").

    Raises:
        ExportError: class names, their number, or an embedding that is too wide.
    """
    notes: list[str] = []
    adapts = options.adaptor is not None
    last = graph.head()
    if last is not None:
        columns = graph.tensors[graph.output][0]
        graph.output = last.inputs[0]
        graph.ops.remove(last)
        notes.append(f"the source's last layer, '{last.layer}' of {columns} outputs, is left out for the new head")
    if options.recipe.max_domains:
        graph.taps = choose_taps(graph, last_map(graph) if adapts else None)
        notes.append(f"routing compares the channel means of {', '.join(graph.taps) or 'the embedding'}")
    if options.adaptor is not None:
        notes += give_adaptor(graph, Adaptor.parse(options.adaptor), options.mask_seed)
    channels, height, width = graph.tensors[graph.output]
    if height * width > 1:
        graph.output = _append(graph, "embedding.mean", (channels, 1, 1), kind="global_average_pool")
        notes.append(f"the embedding is the mean of {channels} channels over {height} x {width} positions")
    if options.projection:
        _project(graph, options.projection, options.mask_seed)
        notes.append(
            f"a random projection to {options.projection} features stands before the head (seed {options.mask_seed})"
        )
    if options.normalise:
        width = graph.tensors[graph.output][0]
        graph.output = _append(graph, "embedding.length1", (width, 1, 1), kind="l2_normalize", epsilon=_EPSILON)
        notes.append("embeddings are scaled to length 1")
    dim = graph.tensors[graph.output][0]
    if dim > MAX_FEATURES:
        raise ExportError(
            f"expected an embedding of at most {MAX_FEATURES} numbers for this head; found {dim}; average or project "
            "it first",
            -22,
        )
    names = [] if options.classes is None else class_names(options.classes)
    capacity = options.max_classes or max(DEFAULT_CLASSES, len(names))
    if not len(names) <= capacity <= MAX_CLASSES:
        raise ExportError(
            f"expected room for the {len(names)} classes, at most {MAX_CLASSES}; found max_classes={capacity}; change "
            "it",
            -1,
        )
    head = _append(
        graph,
        "head",
        (capacity, 1, 1),
        kind="linear",
        params=[
            Param("head.weight", np.zeros((capacity, dim), np.float32), trainable=adapts),
            Param("head.bias", np.zeros(capacity, np.float32), trainable=adapts),
        ],
    )
    graph.output = head
    graph.prune()
    return NewHead(names, dim, notes)


def give_new_layer(graph: Graph, columns: int, seed: int) -> None:
    """A linear layer that learns by gradients, in the place of the last one or behind an encoder without one; a map is
    averaged first. Its numbers are those of `head.fresh_columns`. Changes the graph."""
    last = graph.classifier()
    if last is not None:
        columns_before = graph.tensors[graph.output][0]
        graph.output = last.inputs[0]
        graph.notes.append(
            f"the source's last layer, '{last.layer}' of {columns_before} outputs, is left out for the new head"
        )
        graph.prune()
    channels, height, width = graph.tensors[graph.output]
    if height * width > 1:
        graph.output = _append(graph, "embedding.mean", (channels, 1, 1), kind="global_average_pool")
        graph.notes.append(f"the embedding is the mean of {channels} channels over {height} x {width} positions")
    weight, bias = fresh_columns(columns, channels, seed)
    graph.output = _append(
        graph,
        "head",
        (columns, 1, 1),
        kind="linear",
        params=[Param("head.weight", weight, learnable=True), Param("head.bias", bias, learnable=True)],
    )
    graph.final = ""
    graph.notes.append(
        f"a new head of {columns} columns stands behind an embedding of {channels} numbers (seed {seed})"
    )
    graph.prune()


def embeddings(bundle: bytes, raw: NDArray[Any]) -> NDArray[np.float32]:
    """What enters the head of a bundle, (n, dim)."""
    session = _core.Session(_core.Model(data=bundle), predict_only=1, max_batch=min(16, len(raw)))
    return session.embed(np.ascontiguousarray(raw))


def centre(graph: Graph, rows: NDArray[np.float32]) -> None:
    """Subtracts CENTRE_SHARE of the mean of `rows` (n, dim) from the embeddings: a frozen batch norm before the last
    layer. The numbers travel with the bundle, so that all devices have the same. Changes the graph."""
    mean = CENTRE_SHARE * rows.mean(0, dtype=np.float64)
    head = graph.head()
    assert head is not None
    dim, before = len(mean), head.inputs[0]
    name = unique("embedding.centred", graph.tensors)
    graph.tensors[name] = (dim, 1, 1)
    ones = np.ones(dim, np.float32)
    parts = {"gamma": ones, "beta": 0 * ones, "mean": mean, "variance": ones - np.float32(_CENTRE_EPSILON)}
    params: list[Param | None] = [
        Param(f"embedding.{part}", values.astype(np.float32)) for part, values in parts.items()
    ]
    norm = Op(name, "batch_norm", [before], name, params, epsilon=_CENTRE_EPSILON, frozen=True)
    graph.ops.insert(graph.ops.index(head), norm)
    head.inputs = [name]


def feature_range(bundle: bytes, raw: NDArray[Any], measured: bool, normalised: bool) -> float:
    """A power of two well above the largest feature of the rows; `measured`: they stand for the data; `normalised`: no
    feature is larger than 1."""
    largest = float(np.abs(embeddings(bundle, raw)).max())
    margin = _MARGIN if measured else _MARGIN_RANDOM
    found = float(2.0 ** np.ceil(np.log2(max(largest, 2.0**-20) * margin)))
    return min(found, 1.0) if normalised else found


def _append(graph: Graph, name: str, shape: tuple[int, int, int], **fields: Any) -> str:
    name = unique(name, graph.tensors)
    graph.tensors[name] = shape
    graph.ops.append(Op(name=name, inputs=[graph.output], output=name, **fields))
    return name


def _project(graph: Graph, width: int, seed: int) -> None:
    inputs = graph.tensors[graph.output][0]
    generator = np.random.default_rng(seed)
    mask = generator.random((width, inputs)) < PROJECTION_DENSITY
    mask[~mask.any(axis=1), 0] = True
    signs = np.where(generator.random((width, inputs)) < 0.5, np.float32(-1), np.float32(1))
    values = np.where(mask, signs / np.float32(np.sqrt(PROJECTION_DENSITY * inputs)), np.float32(0))
    weight = Param("projection.weight", values.astype(np.float32), mask=mask)
    graph.output = _append(
        graph, "projection", (width, 1, 1), kind="linear", params=[weight, None], activation=Activation("relu")
    )
