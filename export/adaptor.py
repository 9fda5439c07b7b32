# Adaptors: a few parameters behind the last feature map, of which each domain has its own; and the taps that tell
# domains apart.
# Never here: the head behind them (new_head.py), which domain a sample is of (runtime/adapt).
"""`give_adaptor` puts an adaptor into a graph; `choose_taps` says which features routing compares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from edgecl.export.errors import ExportError
from edgecl.export.graph import Activation, Graph, Op, Param, unique
from edgecl.export.trainable import cut_points
from numpy.typing import NDArray

MAX_FEATURES = 1024  # of all taps together (kMaxRoutingFeatures of the core)
MAX_TAP = 512  # channels of one
DEFAULT_WIDTH = 16


@dataclass(frozen=True)
class Adaptor:
    """kind: a key of `KINDS`; width: channels in between, where the kind has some."""

    kind: str
    width: int = DEFAULT_WIDTH

    @classmethod
    def parse(cls, text: str) -> Adaptor:
        """ "film", "bottleneck:16" and so on.

        Raises:
            ExportError: no such kind, or no number of channels.
        """
        kind, _, width = text.partition(":")
        if kind not in KINDS or (width and not width.isdecimal()):
            raise ExportError(
                f"expected an adaptor among {', '.join(KINDS)}, with a width as in 'bottleneck:16'; found '{text}'; "
                "choose one",
                -1,
            )
        if width and not 1 <= int(width) <= 4096:
            raise ExportError(f"expected an adaptor's width in 1..4096; found {width}; 16 is a good number", -1)
        return cls(kind, int(width) if width else DEFAULT_WIDTH)


class _Builder:
    # Appends ops behind the graph's output; parameters of them train.
    def __init__(self, graph: Graph, seed: int) -> None:
        self.graph = graph
        self.random = np.random.default_rng(seed)

    def op(self, name: str, kind: str, inputs: list[str], channels: int, **fields: object) -> str:
        _, height, width = self.graph.tensors[inputs[0]]
        output = unique(f"adaptor.{name}", self.graph.tensors)
        self.graph.tensors[output] = (channels, height, width)
        self.graph.ops.append(Op(name=output, kind=kind, inputs=inputs, output=output, **fields))  # type: ignore[arg-type]
        return output

    def param(self, name: str, values: NDArray[np.float32]) -> Param:
        return Param(f"adaptor.{name}", values, trainable=True)

    def uniform(self, shape: tuple[int, ...], fan_in: int) -> NDArray[np.float32]:
        bound = 1 / sqrt(fan_in)
        return self.random.uniform(-bound, bound, shape).astype(np.float32)

    def pointwise(
        self, name: str, x: str, outputs: int, zero: bool = False, bias: bool = True, relu: bool = False
    ) -> str:
        inputs = self.graph.tensors[x][0]
        shape = (outputs, inputs, 1, 1)
        weight = np.zeros(shape, np.float32) if zero else self.uniform(shape, inputs)
        params: list[Param | None] = [self.param(f"{name}.weight", weight), None]
        if bias:
            params[1] = self.param(f"{name}.bias", np.zeros(outputs, np.float32))
        activation = Activation("relu") if relu else Activation()
        return self.op(name, "conv", [x], outputs, params=params, activation=activation)


def _film(build: _Builder, x: str, width: int) -> str:
    # Perez et al. 2018, "FiLM": a scale and a shift of each channel.
    channels = build.graph.tensors[x][0]
    scale = build.param("scale", np.ones((channels, 1, 1), np.float32))
    shift = build.param("shift", np.zeros((channels, 1, 1), np.float32))
    scaled = build.op("scale", "mul", [x], channels, params=[scale])
    return build.op("shift", "add", [scaled], channels, params=[shift])


def _bottleneck(build: _Builder, x: str, width: int) -> str:
    # Houlsby et al. 2019, "Parameter-efficient transfer learning": down, ReLU, up, added to the input.
    down = build.pointwise("down", x, width, relu=True)
    up = build.pointwise("up", down, build.graph.tensors[x][0], zero=True)
    return build.op("sum", "add", [x, up], build.graph.tensors[x][0])


def _low_rank(build: _Builder, x: str, width: int) -> str:
    # Hu et al. 2022, "LoRA": the same without a ReLU.
    down = build.pointwise("down", x, width, bias=False)
    up = build.pointwise("up", down, build.graph.tensors[x][0], zero=True)
    return build.op("sum", "add", [x, up], build.graph.tensors[x][0])


def _depthwise(build: _Builder, x: str, width: int) -> str:
    # A depthwise convolution that sees neighbours, then a bottleneck, added to the input.
    channels, height, columns = build.graph.tensors[x]
    kernel = (3 if height > 1 else 1, 3 if columns > 1 else 1)
    pads = (kernel[0] // 2, kernel[1] // 2, kernel[0] // 2, kernel[1] // 2)
    weight = build.param("depthwise.weight", build.uniform((channels, 1, *kernel), kernel[0] * kernel[1]))
    seen = build.op(
        "depthwise", "conv", [x], channels, params=[weight, None], kernel=kernel, pads=pads, groups=channels
    )
    down = build.pointwise("down", seen, width, relu=True)
    up = build.pointwise("up", down, channels, zero=True)
    return build.op("sum", "add", [x, up], channels)


KINDS: dict[str, Callable[[_Builder, str, int], str]] = {
    "film": _film,
    "bottleneck": _bottleneck,
    "depthwise": _depthwise,
    "lowrank": _low_rank,
}


def give_adaptor(graph: Graph, adaptor: Adaptor, seed: int) -> list[str]:
    """Puts an adaptor behind the last feature map of the encoder, or behind its embedding where there are no maps. It
    changes nothing until it is trained. Changes the graph, whose output is the encoder's.

    Returns:
        What was added, for the report.
    """
    at = last_map(graph)
    readers = graph.consumers(at)
    place = len(graph.ops) if at == graph.output else min(graph.ops.index(op) for op in readers)
    rest = graph.ops[place:]
    del graph.ops[place:]
    before = len(graph.ops)
    adapted = KINDS[adaptor.kind](_Builder(graph, seed), at, adaptor.width)
    added = graph.ops[before:]
    graph.ops.extend(rest)
    for op in rest:
        op.inputs = [adapted if tensor == at else tensor for tensor in op.inputs]
    if graph.output == at:
        graph.output = adapted
    n = sum(param.values.size for op in added for param in op.params if param is not None)
    encoder = sum(param.values.size for param in graph.params()) - n
    width = "" if adaptor.kind == "film" else f" of width {adaptor.width}"
    share = f"{100 * n / encoder:.1f} % of the encoder's" if encoder else "the encoder has none"
    return [f"each domain has an adaptor ({adaptor.kind}{width}) behind '{at}': {n} parameters, {share}"]


def choose_taps(graph: Graph, before: str | None) -> list[str]:
    """Tensors whose channel means tell domains apart: the last narrow enough one of each spatial size that all of the
    network passes through, in front of the tensor `before`, at most `MAX_FEATURES` channels; deep ones first."""
    chosen: dict[tuple[int, int], str] = {}
    # Behind the last op nothing is cut: the encoder's output is asked for by name.
    for tensor in [*(_crossing(graph, index) for index in cut_points(graph)), before]:
        if tensor == graph.input or tensor is None:
            continue
        channels, height, width = graph.tensors[tensor]
        if channels <= MAX_TAP:
            chosen[(height, width)] = tensor
        if tensor == before:
            break
    taps: list[str] = []
    room = MAX_FEATURES
    for tensor in reversed(chosen.values()):
        if graph.tensors[tensor][0] <= room:
            taps.append(tensor)
            room -= graph.tensors[tensor][0]
    return taps[::-1]


def last_map(graph: Graph) -> str:
    """The last feature map that all of the network passes through; the encoder's output where there is none."""
    maps = [graph.input, *(op.output for op in graph.ops)]
    maps = [tensor for tensor in maps if graph.tensors[tensor][1] * graph.tensors[tensor][2] > 1]
    crossing = {_crossing(graph, index) for index in cut_points(graph)} | {graph.output}
    maps = [tensor for tensor in maps if tensor in crossing and tensor != graph.input]
    return maps[-1] if maps else graph.output


def _crossing(graph: Graph, index: int) -> str | None:
    # The tensor that ops[index:] read of what lies before.
    made = {graph.input, *(op.output for op in graph.ops[:index])}
    return next((tensor for op in graph.ops[index:] for tensor in op.inputs if tensor in made), None)
