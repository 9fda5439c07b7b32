# Which of the sparse layers had better stay dense, because a learn step would take no less time with them sparse.
# Never here: densities and masks (sparsify.py), figures of devices (edgecl.devices).
"""`keep_dense_where_faster`: sparse or dense, layer by layer, by the cost model or by measurement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from edgecl._core import replay_rows
from edgecl.export.errors import ExportError
from edgecl.export.graph import Graph, Op
from edgecl.parts import missing_part

if TYPE_CHECKING:
    from edgecl.export.options import ExportOptions

PASSES = ("forward", "backward_data", "backward_weight")  # of a frozen layer the first alone
REPEATS = 5  # in turns, sparse and dense; the smallest counts
FLOAT_BYTES = 4
INDEX_BYTES = 2  # of each stored entry of a sparse weight


@dataclass(frozen=True)
class LayerTimes:
    """One layer in a learn step (forward, input gradient, weight gradient), milliseconds in either form."""

    layer: str
    density: float
    sparse_ms: float
    dense_ms: float

    @property
    def stays_dense(self) -> bool:
        """Sparse would not be faster."""
        return self.sparse_ms >= self.dense_ms

    def note(self, how: str) -> str:
        """For the report."""
        return (
            f"{self.layer} stays dense: {how} {self.dense_ms:.3g} ms a step, {self.sparse_ms:.3g} at density "
            f"{self.density:.3g}"
        )


def keep_dense_where_faster(
    graph: Graph, layers: Sequence[Op], kept: Sequence[float], options: ExportOptions
) -> list[float]:
    """The densities `kept`, with 1 for layers whose sparse form would not make a learn step faster; adds notes.

    options.layer_choice "sparse" changes nothing. "predicted": the cost model for options.device (default: this
    machine), one thread. "measured": the kernels on this machine with the layer's shape and the recipe's rows; takes up
    to a second a layer. The choice is part of the bundle and never made again: it decides the bits of gradients.
    """
    if options.layer_choice == "sparse":
        return list(kept)
    rows = learn_rows(options)
    times: Callable[[Op, float], LayerTimes]
    if options.layer_choice == "predicted":
        from edgecl import devices

        device = devices.load(options.device or "host")
        how = f"predicted for {device.name}"
        times = lambda op, density: _predicted(graph, op, density, rows, device)  # noqa: E731
    else:
        how = "measured"
        times = lambda op, density: _measured(graph, op, density, rows)  # noqa: E731
    chosen = []
    for op, density in zip(layers, kept, strict=True):
        found = times(op, density) if density < 1.0 else None
        if found is not None and found.stays_dense:
            graph.notes.append(found.note(how))
        chosen.append(1.0 if found is None or found.stays_dense else density)
    return chosen


def learn_rows(options: ExportOptions) -> int:
    """Rows of a learn step of the recipe: new ones and all replayed draws."""
    recipe = options.recipe
    return int(recipe.batch_size) + replay_rows(recipe.as_config())


def _predicted(graph: Graph, op: Op, density: float, rows: int, device: Any) -> LayerTimes:
    from edgecl.devices import learn_operators, predict

    macs, weights = graph.macs(op), op.weight().values.size

    def milliseconds(share: float) -> float:
        described = {
            "name": op.layer,
            "kind": op.kind,
            "sparse": share < 1.0,
            "macs_forward": round(macs * share),
            "macs_backward": round(2 * macs * share) if op.weight().trainable else 0,
            "weight_bytes": round(weights * share) * FLOAT_BYTES,
            "index_bytes": round(weights * share) * INDEX_BYTES if share < 1.0 else 0,
            "input_bytes": prod(graph.tensors[op.inputs[0]]) * FLOAT_BYTES,
            "output_bytes": prod(graph.tensors[op.output]) * FLOAT_BYTES,
            "trainable": op.weight().trainable,
        }
        return predict(learn_operators([described], rows, momentum=False), device).ms

    return LayerTimes(op.layer, density, milliseconds(density), milliseconds(1.0))


def _measured(graph: Graph, op: Op, density: float, rows: int) -> LayerTimes:
    try:
        from edgecl_kernels import TimedLayer
    except ModuleNotFoundError as error:
        raise ExportError(f"{missing_part(error.name) or error}; or choose layers as predicted", -1) from error

    def layer(share: float | None) -> Any:
        if op.kind == "linear":
            return TimedLayer(rows, prod(graph.tensors[op.inputs[0]]), prod(graph.tensors[op.output]), density=share)
        channels, height, width = graph.tensors[op.inputs[0]]
        window: dict[str, Any] = {"stride": op.stride, "padding": op.pads, "dilation": op.dilation}
        out_channels = graph.tensors[op.output][0]
        return TimedLayer(rows, channels, out_channels, (height, width), density=share, kernel_size=op.kernel, **window)

    passes = PASSES if op.weight().trainable else PASSES[:1]
    forms = (layer(density), layer(None))
    best = [[float("inf")] * len(passes) for _ in forms]
    for _ in range(REPEATS):
        for form, smallest in zip(forms, best, strict=True):
            for i, name in enumerate(passes):
                smallest[i] = min(smallest[i], *form.time(name, 2))
    return LayerTimes(op.layer, density, 1e3 * sum(best[0]), 1e3 * sum(best[1]))
