"""What the cost model knows of an operator: its work, its bytes and its shape; lists of them from a bundle.

Never here: devices and times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import isqrt, sqrt
from typing import Any

FLOAT_BYTES = 4
KERNELS = (1, 3, 5, 7)  # square windows that shapes are looked for among
STREAMED = ("activation", "add", "mul", "batch_norm", "group_norm", "max_pool", "average_pool", "global_average_pool",
            "concat", "l2_normalize", "layer_norm", "strided", "place", "prelu", "maximum", "minimum", "reduce",
            "softmax", "elementwise")  # fmt: skip


@dataclass(frozen=True)
class Operator:
    """One operator at a given number of rows: multiply-adds and bytes, all rows together.

    channels, positions: of the output; positions counts those of all rows. taps: of the window. direction: "forward",
    or which gradient. Where they are 0 the shape is not known.
    """

    name: str
    kind: str
    macs: int
    weight_bytes: int
    input_bytes: int
    output_bytes: int
    index_bytes: int = 0  # positions of sparse weights: read like weights, never updated
    channels: int = 0
    positions: int = 0
    taps: int = 1
    stride: int = 1
    direction: str = "forward"
    rows: int = 1
    training: bool = False  # statistics of the batch are made, not only used
    frozen: bool = False  # weights are read in the bundle: from flash on a microcontroller

    @property
    def constant_bytes(self) -> int:
        """Bytes that are the same in every pass: values of weights and their positions."""
        return self.weight_bytes + self.index_bytes

    @property
    def bytes(self) -> int:
        """All bytes that the operator touches at least once."""
        return self.constant_bytes + self.input_bytes + self.output_bytes

    @property
    def sparse(self) -> bool:
        """True for layers that store the weights of their pattern alone."""
        return self.kind.startswith("sparse ")

    @property
    def depth(self) -> float:
        """Multiply-adds of one output number."""
        outputs = self.channels * self.positions
        return self.macs / outputs if outputs else 0.0


def _window(weights: int, inputs: int, channels: int, positions: int, depthwise: bool) -> tuple[int, int]:
    """(taps, stride) of the square window that fits these counts best, for a bundle tells of no windows.

    For a convolution of `taps`, inputs = weights / channels / taps planes; a plane of inputs is stride^2 planes of
    outputs, about.
    """
    best, choice = float("inf"), (1, 1)
    for kernel in KERNELS:
        taps = kernel * kernel
        planes = channels if depthwise else weights / channels / taps
        if planes < 0.99 or (depthwise and not 0.9 < weights / channels / taps < 1.2):
            continue
        for stride in (1, 2):
            ratio = sqrt(inputs / planes / positions) / stride
            miss = abs(ratio - 1) + abs(planes - round(planes))
            if miss < best - 1e-9:
                best, choice = miss, (taps, stride)
    return choice


def forward_operators(ops: Iterable[Mapping[str, Any]], rows: int) -> list[Operator]:
    """The forward pass of a bundle at `rows` rows, from `edgecl._core.Model.ops()`."""
    found = []
    for op in ops:
        kind, macs, outputs = str(op["kind"]), int(op["macs_forward"]), int(op["output_bytes"])
        wide = 1 if kind.startswith("int8_") else FLOAT_BYTES
        weights = int(op["weight_bytes"]) // wide
        channels, positions, taps, stride = 0, 0, 1, 1
        if macs and weights and kind in ("conv", "depthwise", "linear", "int8_conv"):
            per_weight = max(1, round(macs / weights))  # a bias is among the weights
            positions = 1 if kind == "linear" else per_weight
            channels = max(1, round(outputs / wide / positions))
            if kind != "linear" and not op["sparse"]:
                inputs = int(op["input_bytes"]) // wide
                taps, stride = _window(macs // positions, inputs, channels, positions, kind == "depthwise")
        found.append(
            Operator(
                name=str(op["name"]),
                kind=("sparse " if op["sparse"] else "") + kind,
                macs=rows * macs,
                weight_bytes=int(op["weight_bytes"]),
                input_bytes=rows * int(op["input_bytes"]),
                output_bytes=rows * outputs,
                index_bytes=int(op["index_bytes"]),
                channels=channels,
                positions=rows * positions,
                taps=taps,
                stride=stride,
                rows=rows,
                frozen=not op["trainable"],
            )
        )
    return found


def learn_operators(ops: Iterable[Mapping[str, Any]], rows: int, momentum: bool) -> list[Operator]:
    """One learn step at `rows` rows (current and replayed together): forward, pruned backward, update.

    A layer's backward pass is its weight gradient and, where something before it learns, its input gradient: two
    operators, each with half of the multiply-adds. It reads its input, its output's gradient and its weights, and the
    positions of sparse weights once for each. An operator without weights passes its gradient on where an operator
    before it learns: it reads what it read and the gradient, and writes as much. The update reads weight and gradient
    (and velocity) and writes weight (and velocity).
    """
    listed = list(ops)
    forward = forward_operators(listed, rows)
    result = [replace(op, training=bool(info["trainable"])) for op, info in zip(forward, listed, strict=True)]
    first = next((i for i, op in enumerate(listed) if op["macs_backward"]), len(listed))
    for i in reversed(range(first, len(listed))):
        op, shape = listed[i], forward[i]
        backward = rows * int(op["macs_backward"])
        if shape.kind in STREAMED:
            result.append(replace(shape, name=f"{shape.name} (backward)", macs=0, direction="input gradient"))
        if not backward:
            continue
        both = backward > 1.5 * shape.macs
        work = backward // 2 if both else backward
        result.append(replace(shape, name=f"{shape.name} (backward)", macs=work, direction="weight gradient"))
        if both:
            result.append(
                replace(
                    shape, name=f"{shape.name} (backward)", macs=backward - work, direction="input gradient",
                    input_bytes=shape.output_bytes, output_bytes=shape.input_bytes,
                )
            )  # fmt: skip
    trained = sum(int(op["weight_bytes"]) for op in listed if op["trainable"])
    result.append(Operator("update", "update", trained // 4, trained * (4 if momentum else 2), 0, trained))
    return result


def side(positions: int) -> int:
    """The side of a square of so many positions, about; at least 1."""
    return max(1, isqrt(max(positions, 1)))
