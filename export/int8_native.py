# The frozen part of a quantised source by its own integers: which operators, and why the others stay in float32.
# Never here: ranges measured anew (int8_encoder.py), the arithmetic (int8_numbers.py), reading a source.
"""`use_stored` puts int8 operators with the source's scales, zero points and weights in the place of frozen ones."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from edgecl.export.graph import Dims, Graph, Op, Param
from edgecl.export.int8_encoder import LAYERS, Borders, bounds_of
from edgecl.export.int8_numbers import (
    Int8Layer,
    Quantisation,
    add_constants,
    is_scale,
    mean_constants,
    multiplier_of,
    packed_layer,
    single_multiplier_of,
)
from edgecl.export.ops.windows import MAX_TAPS
from edgecl.export.stored import DEQUANTISED, Stored
from numpy.typing import NDArray

_POOLS = ("max_pool", "average_pool")
_FORMS = (*LAYERS, *_POOLS, "add", "global_average_pool")
_MOST_SPREAD = 1 << 22  # weights that a grouped convolution may have once it is written as one of a single group
_BIAS_TOLERANCE = 1e-5  # of a bias's scale, against that of input times weight


def use_stored(graph: Graph, whole: bool) -> int:
    """Turns what can be turned, and adds to the notes what was and what was not. Changes the graph.

    Args:
        whole: the layer of the logits too, which nothing learns then.

    Returns:
        how many operators compute in integers now.
    """
    assert graph.stored is not None
    step = _Native(graph, graph.stored)
    kinds = [op.kind for op in graph.ops]
    candidates, learning = _frozen(graph, whole)
    step.run(candidates)
    turned = sum(op.kind.startswith("int8_") for op in graph.ops)
    layers = sum(kind in LAYERS for kind in kinds)
    source = graph.stored.source
    if turned:
        graph.notes.append(
            f"{step.done.layers} of {layers} layers compute in int8, with the weights, scales and zero points of "
            f"{source}"
        )
    else:
        graph.notes.append(DEQUANTISED)
    if learning and len(learning) == layers:
        graph.notes.append("dequantised, since every layer learns; trainable 'head' keeps the others in int8")
    elif learning:
        graph.notes.append(f"dequantised, since they learn or make way for what learns: {', '.join(learning)}")
    graph.notes += [f"stays in float32: {layer}: {reason}" for layer, reason in step.done.kept.items()]
    graph.notes += step.told
    if turned and graph.stored.twice:
        graph.notes.append(f"rounded twice in {source}, of which one is left out: {', '.join(graph.stored.twice)}")
    return turned


def _frozen(graph: Graph, whole: bool) -> tuple[list[Op], list[str]]:
    """Operators with nothing that learns in or before them, and the layers among the others."""
    moves = {graph.input: False}
    found, learning = [], []
    head = None if whole else graph.head()
    for op in graph.ops:
        own = any(param is not None and param.trainable for param in op.params)
        moves[op.output] = own or op is head or any(moves[tensor] for tensor in op.inputs)
        if not moves[op.output]:
            found.append(op)
        elif op.kind in LAYERS:
            learning.append(op.layer)
    return found, learning


def _param(name: str, values: NDArray[Any], shown: Dims = ()) -> Param:
    return Param(name, values, shown=shown)


class _Fault(Exception):
    """Why an operator stays in float32."""


class _Native(Borders):
    def __init__(self, graph: Graph, stored: Stored) -> None:
        super().__init__(graph, stored.tensors)
        self.source = stored
        self.told: list[str] = []

    def int8_form(self, op: Op) -> Op | None:
        if op.kind == "reshape":
            return None  # keeps every number where it is
        try:
            return self._form(op)
        except _Fault as fault:
            self.done.kept[op.layer] = str(fault)
            return None

    def _form(self, op: Op) -> Op:
        if op.kind not in _FORMS:
            raise _Fault(f"{op.kind} has no int8 form")
        if op.activation.kind not in ("none", "relu", "clip"):
            raise _Fault(f"{op.activation.kind} has no int8 form")
        inputs = [self._unflattened(op)] if op.kind == "linear" else list(op.inputs)
        of = [self._quantisation(tensor) for tensor in (*inputs, op.output)]
        x, y = of[0], of[-1]
        lo, hi = y.stored_bounds(bounds_of(op))
        if op.kind in LAYERS:
            return self._layer(op, inputs[0], x, y)
        if op.kind == "add":
            if len(inputs) != 2 or self.graph.tensors[inputs[0]] != self.graph.tensors[inputs[1]]:
                raise _Fault("only a sum of two tensors of one shape has an int8 form")
            constants = add_constants(of[0], of[1], y)
            if constants is None:
                raise _Fault("the scale of its output is too small for the int8 form")
            return self._op(op, "int8_add", inputs, [_param(f"{op.name}.constants", constants)], (lo, hi))
        _, height, width = self.graph.tensors[op.inputs[0]]
        exact = op.output in self.source.exact_means
        if op.kind == "global_average_pool" and not (exact and x == y and height * width <= MAX_TAPS):
            return self._mean(op, x, y, height, width)
        if x != y:
            raise _Fault("its output has another scale than its input")
        if op.kind == "average_pool" and op.i != (0,) and any(op.pads):
            raise _Fault("an average that counts padded cells has no int8 form")
        new = self._op(op, "int8_max_pool" if op.kind == "max_pool" else "int8_average_pool", inputs, [], (lo, hi))
        if op.kind == "global_average_pool":
            new.kernel = (height, width)
        return new

    def _mean(self, op: Op, x: Quantisation, y: Quantisation, height: int, width: int) -> Op:
        mean = mean_constants(x, y, height * width, op.kind in self.source.rounds_once)
        if mean is None:
            raise _Fault("its sums could leave the range of int32")
        return self._op(op, "int8_mean", op.inputs, [], mean)

    def _layer(self, op: Op, source: str, x: Quantisation, y: Quantisation) -> Op:
        weight = op.weight()
        stored, scales = self._weights(weight)
        kernel, shape = op.kernel, weight.values.shape
        if op.kind == "linear":
            kernel = self.graph.tensors[source][1:]
            stored = stored.reshape(len(stored), -1, *kernel)
        depthwise = op.groups > 1
        groups = op.groups
        if depthwise and not op.groups == len(stored) == self.graph.tensors[source][0]:
            stored, depthwise, groups = self._spread(op, stored), False, 1
        # The product of one scale for all is rounded to float32 where a layer is fully connected, as in
        # GetQuantizedConvolutionMultipler of the reference implementation.
        product = [float(scale) * x.scale for scale in scales]
        if op.kind == "linear" and len(set(scales.tolist())) == 1:
            product = [float(np.float32(value)) for value in product]
        biases = self._biases(op, product)
        multiplier = single_multiplier_of if op.kind in self.source.rounds_once else multiplier_of
        constants = [multiplier(value / y.scale) for value in product]
        layer: Int8Layer | None = packed_layer(stored, biases, constants, x, y, bounds_of(op), depthwise)
        if layer is None:
            raise _Fault("its sums could leave the range of int32")
        params = [_param(weight.name, layer.weight, shape), _param(f"{op.layer}.table", layer.table)]
        new = self._op(op, "int8_conv", [source], params, (layer.lo, layer.hi))
        new.kernel, new.groups = kernel, groups
        return new

    def _op(self, op: Op, kind: str, inputs: list[str], params: list[Param], numbers: tuple[int, ...]) -> Op:
        """The int8 operator in the place of `op`, its inputs made."""
        return Op(
            name=op.name,
            kind=kind,
            inputs=[self.stored(tensor) for tensor in inputs],
            output=self.new_tensor(op.output),
            params=list(params),
            i=numbers,
            kernel=op.kernel,
            stride=op.stride,
            dilation=op.dilation,
            pads=op.pads,
            groups=op.groups,
        )

    def _quantisation(self, tensor: str) -> Quantisation:
        if tensor not in self.quantisations:
            fault = self.source.faults.get(tensor, f"is not rounded to int8 in {self.source.source}")
            raise _Fault(f"'{tensor}' {fault}")
        return self.quantisations[tensor]

    def _unflattened(self, op: Op) -> str:
        """The map that a linear layer reads the rows of: as a window over the whole of it, the layer takes the map
        channels-last as int8 tensors are."""
        before = self.graph.producer(op.inputs[0])
        if before is None or before.kind != "reshape" or before.inputs[0] not in self.quantisations:
            return op.inputs[0]
        source = before.inputs[0]
        known = self.quantisations.setdefault(op.inputs[0], self.quantisations[source])
        same = known == self.quantisations[source]
        return source if same and prod(self.graph.tensors[source][1:]) <= MAX_TAPS else op.inputs[0]

    def _weights(self, weight: Param) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As stored, and a scale an output channel."""
        known = self.source.weights.get(weight.source or "")
        if known is None or weight.mask is not None:
            raise _Fault(f"its weights are not those int8 ones of {self.source.source}")
        if known.fault:
            raise _Fault(known.fault)
        outputs = len(weight.values)
        if not is_scale(known.scales):
            raise _Fault("its weights have a scale that is none")
        if known.scales.size not in (1, outputs):
            raise _Fault(f"{known.scales.size} scales for {outputs} outputs")
        scales = np.broadcast_to(known.scales.reshape(-1), (outputs,))
        steps = weight.values.astype(np.float64) / scales.astype(np.float64).reshape(
            -1, *[1] * (weight.values.ndim - 1)
        )
        stored = np.rint(steps)
        if np.abs(steps - stored).max(initial=0.0) > 1e-3:
            raise _Fault("its weights were changed since they were stored")
        if np.abs(stored).max(initial=0.0) > 127:
            raise _Fault("holds a weight of -128, which symmetric weights do not have")
        return stored.astype(np.int64), scales

    def _biases(self, op: Op, product: list[float]) -> NDArray[np.int64]:
        bias = op.params[1]
        if bias is None:
            return np.zeros(len(product), np.int64)
        known = self.source.biases.get(bias.source or "")
        if known is None or known[0].size != len(product):
            raise _Fault("its bias is not stored as int32")
        scales = np.broadcast_to(known[1].reshape(-1), (len(product),))
        if not np.allclose(scales, product, rtol=_BIAS_TOLERANCE, atol=0.0):
            raise _Fault("its bias is stored in other steps than those of weight times input")
        return known[0].reshape(-1)

    def _spread(self, op: Op, stored: NDArray[np.int64]) -> NDArray[np.int64]:
        """Weights [O][I / groups][kh][kw] as those of one group, with zeros between other groups."""
        outputs, inner = stored.shape[:2]
        if outputs * inner * op.groups * prod(stored.shape[2:]) > _MOST_SPREAD:
            raise _Fault(f"{op.groups} groups are too many for the int8 form")
        wide = np.zeros((outputs, inner * op.groups, *stored.shape[2:]), np.int64)
        for o in range(outputs):
            begin = o // (outputs // op.groups) * inner
            wide[o, begin : begin + inner] = stored[o]
        self.told.append(f"{op.layer}: its {op.groups} groups are computed as one, with zeros between them")
        return wide
