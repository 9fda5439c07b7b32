# `adaptor="search"`: from rows of a new domain to the adaptor that suits it.
# Never here: scores (adaptor_search/), the adaptor itself (adaptor.py).
"""`chosen_adaptor` runs the encoder once and compares candidates behind it."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from edgecl import _core
from edgecl.errors import Error
from edgecl.export.adaptor import last_map
from edgecl.export.adaptor_data import FEWEST_ROWS, AdaptorData
from edgecl.export.adaptor_search.batch import Batch
from edgecl.export.adaptor_search.candidates import candidates, every_candidate
from edgecl.export.adaptor_search.forms import parameters
from edgecl.export.adaptor_search.search import DEFAULT_RULE, Found, search
from edgecl.export.errors import ExportError
from edgecl.export.graph import Graph
from edgecl.export.options import ExportOptions
from edgecl.export.recipe import InputSpec
from edgecl.labels import label_keys
from numpy.typing import NDArray

_MOST_NUMBERS = 2**23  # of all maps together: 64 MiB
_PIECE = 16
_MEANS = ("global_average_pool", "reshape", "l2_normalize")  # which scores do as well


def chosen_adaptor(graph: Graph, draft: dict[str, Any] | None, data: AdaptorData, options: ExportOptions) -> Found:
    """Compares adaptors behind the last feature map of the encoder. The graph stays as it is.

    Args:
        graph: the encoder, with the source's head or without.
        draft: its plan; None where samples are the embedding.

    Raises:
        ExportError: rows or labels that do not fit, or no adaptor that is small enough.
    """
    x, columns = _rows(graph, data, options.input)
    encoder = _without_head(graph)
    at = last_map(encoder)
    shape = graph.tensors[at]
    size = sum(param.values.size for param in encoder.params())
    every = every_candidate(shape)
    found = candidates(shape, data.share * size) if size else every
    if not found:
        least = parameters(every[0], shape)
        raise ExportError(
            f"expected an adaptor of at most {100 * data.share:g} % of the encoder's {size} parameters behind '{at}' "
            f"of {shape[0]} channels; found none: the smallest, {every[0].name}, has {least} "
            f"({100 * least / size:.1f} %); allow a larger share, or leave the adaptor out",
            -1,
        )
    n = max(FEWEST_ROWS, min(data.rows, _MOST_NUMBERS // prod(shape)))
    kept = balanced_rows(columns, n, options.mask_seed)
    maps = np.ascontiguousarray(_maps(graph, draft, at, x[kept]).swapaxes(0, 1))
    if not np.isfinite(maps).all():
        raise ExportError(
            f"expected finite values in the feature map '{at}'; found NaN or infinity; check the rows for the adaptor",
            -60,
        )
    batch = Batch(maps, columns[kept], options.normalise, options.mask_seed)
    chosen = search(batch, found, data.score or DEFAULT_RULE, data.budget)
    return replace(chosen, unseen=tuple(_unseen(encoder, at, options.projection)))


def balanced_rows(columns: NDArray[np.int64], n: int, seed: int) -> NDArray[np.int64]:
    """At most n rows, in ascending order, as many of each class as it has and the others allow."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(columns))
    turn = np.zeros(len(columns), np.int64)  # the how manieth of its class a row is
    for column in range(int(columns.max()) + 1):
        rows = order[columns[order] == column]
        turn[rows] = np.arange(len(rows))
    kept: NDArray[np.int64] = np.sort(order[np.argsort(turn[order], kind="stable")][:n])
    return kept


def _without_head(graph: Graph) -> Graph:
    last = graph.head()
    if last is None:
        return graph
    return replace(graph, ops=[op for op in graph.ops if op is not last], output=last.inputs[0])


def _unseen(encoder: Graph, at: str, projection: int) -> list[str]:
    made = [op.output for op in encoder.ops]
    behind = encoder.ops[made.index(at) + 1 :] if at in made else []
    found = []
    for op in behind:
        flattens = op.kind == "reshape" and prod(encoder.tensors[op.inputs[0]][1:]) > 1
        if op.kind not in _MEANS or op.activation.kind != "none" or flattens:
            found.append(op.layer)
    return found + ["the random projection"] * bool(projection)


def _maps(graph: Graph, draft: dict[str, Any] | None, at: str, x: NDArray[Any]) -> NDArray[np.float64]:
    shape = graph.tensors[at]
    if draft is None:
        return x.reshape(len(x), *shape).astype(np.float64)
    index = [graph.input, *(op.output for op in graph.ops)].index(at)
    session = _core.Session(
        _core.Model(data=_core.write_bundle({**draft, "embedding_tensor": index})), predict_only=1, max_batch=_PIECE
    )
    pieces = [session.embed(np.ascontiguousarray(x[i : i + _PIECE])) for i in range(0, len(x), _PIECE)]
    return np.concatenate(pieces).reshape(len(x), *shape).astype(np.float64)


def _rows(graph: Graph, data: AdaptorData, spec: InputSpec) -> tuple[NDArray[Any], NDArray[np.int64]]:
    dims = spec.raw_dims(graph.sample_dims)
    wanted = np.dtype(np.uint8 if spec.dtype == "u8" else np.float32)
    x = np.asarray(data.x)
    if x.shape[1:] != dims or x.ndim != len(dims) + 1 or x.dtype != wanted:
        raise ExportError(
            f"expected rows for the adaptor of shape (n, {', '.join(map(str, dims))}) and {wanted}; found {x.shape} of "
            f"{x.dtype}; hand in raw samples of the new domain as the device will see them",
            -2,
        )
    try:
        keys, _ = label_keys(data.y, len(x), "labels of the rows for the adaptor")
    except Error as error:
        raise ExportError(str(error), error.status) from error
    if len(x) < FEWEST_ROWS:
        raise ExportError(
            f"expected {FEWEST_ROWS} rows or more to choose an adaptor by; found {len(x)}; hand in more of the new "
            "domain",
            -2,
        )
    if wanted == np.float32 and not np.isfinite(x).all():
        raise ExportError("expected finite rows for the adaptor; found NaN or infinity; repair or drop them", -60)
    number = {key: column for column, key in enumerate(dict.fromkeys(keys))}
    if len(number) < 2:
        raise ExportError(
            f"expected rows of two classes or more to choose an adaptor by; found one, {next(iter(number))!r}; hand in "
            "others too",
            -2,
        )
    return x, np.array([number[key] for key in keys], np.int64)
