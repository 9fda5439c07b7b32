"""Predicts the time of each operator on a device from its profile: a roofline with a calibrated share of peak.

Never here: measuring, figures of a device, and a number that is not labelled as predicted.

The model, for one operator and `threads` cores:

    compute = 2 * macs / (peak_flops(threads) * efficiency * share of the kind)
    memory  = bytes that come from or go to DRAM / bandwidth
    cache   = all bytes / (one vector load or store a cycle)
    time    = max(compute, memory, cache) + overhead

(S. Williams, A. Waterman, D. Patterson, "Roofline", 2009, with a share of peak in place of the peak.) A tensor counts
as DRAM traffic when the operator's working set is larger than the last-level cache; weights
also when all weights together are. `efficiency` is fitted per device on one published network; the range is what the
same model misses on the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgecl.devices.profile import Device

FLOPS_PER_MAC = 2
OVERHEAD_SECONDS = 2e-6  # a call of a kernel: argument checks, tile loop set-up
# Shares of the fitted efficiency (which is that of dense convolutions, forward). Depthwise: one weight serves one
# output, so half of the instructions are loads. The others are what `edgecl bench` measured on x86-64-v4, one thread,
# 2026-11-22, against dense convolutions there; that they carry over to the boards is an assumption.
DEPTHWISE_SHARE = 0.5
SPARSE_SHARE = {"conv": (0.35, 0.65), "linear": (0.04, 0.6)}  # at 1 row; at 16 rows and more; a straight line between
BACKWARD_SHARE = {"dense": 0.85, "sparse": 0.8}


@dataclass(frozen=True)
class Operator:
    """One operator at a given number of rows: multiply-adds and bytes, all rows together."""

    name: str
    kind: str
    macs: int
    weight_bytes: int
    input_bytes: int
    output_bytes: int
    share: float = 1.0  # of the device's efficiency that this operator reaches
    index_bytes: int = 0  # positions of sparse weights: read like weights, never updated

    @property
    def constant_bytes(self) -> int:
        """Bytes that are the same in every pass: values of weights and their positions."""
        return self.weight_bytes + self.index_bytes

    @property
    def bytes(self) -> int:
        """All bytes that the operator touches at least once."""
        return self.constant_bytes + self.input_bytes + self.output_bytes


@dataclass(frozen=True)
class OperatorTime:
    """Predicted time of one operator, in milliseconds, and what bounds it."""

    name: str
    kind: str
    macs: int
    ms: float
    low_ms: float
    high_ms: float
    bound: str  # "compute", "memory" or "cache"


@dataclass(frozen=True)
class Prediction:
    """Predicted time of a whole pass, ms, with its stated range; `operators` holds the shares."""

    threads: int
    ms: float
    low_ms: float
    high_ms: float
    macs: int
    operators: tuple[OperatorTime, ...]

    @property
    def gflops(self) -> float:
        """Rate that follows from the prediction, 10^9 operations a second (a multiply-add is two)."""
        return FLOPS_PER_MAC * self.macs / self.ms / 1e6 if self.ms else 0.0


def predict(operators: Iterable[Operator], device: Device, threads: int = 1) -> Prediction:
    """Predicts a pass over `operators`, one after the other, on `threads` cores of `device`.

    Memory traffic does not gain from more threads (all cores share the DRAM channel). O(operators).
    """
    listed = list(operators)
    threads = max(1, min(threads, device.cores))
    peak = device.peak_flops(threads)
    cache_rate = device.clock_hz * device.vector_bytes * device.speedup(threads)
    all_weights = sum(op.constant_bytes for op in listed)
    weights_stay = all_weights <= device.llc_bytes
    times = []
    for op in listed:
        share = op.share * (DEPTHWISE_SHARE if op.kind == "depthwise" else 1.0)
        fits = op.bytes <= device.llc_bytes
        dram = (0 if weights_stay else op.constant_bytes) + (0 if fits else op.input_bytes + op.output_bytes)
        bounds = {
            "compute": FLOPS_PER_MAC * op.macs / (peak * device.efficiency * share),
            "memory": dram / device.bandwidth_bytes_per_s,
            "cache": op.bytes / cache_rate,
        }
        bound = max(bounds, key=lambda k: bounds[k])
        ms = 1e3 * (bounds[bound] + OVERHEAD_SECONDS)
        low, high = ms * device.range_low, ms * device.range_high
        times.append(OperatorTime(op.name, op.kind, op.macs, ms, low, high, bound))
    total = sum(t.ms for t in times)
    return Prediction(
        threads=threads,
        ms=total,
        low_ms=total * device.range_low,
        high_ms=total * device.range_high,
        macs=sum(op.macs for op in listed),
        operators=tuple(times),
    )


def _share(op: Mapping[str, Any], rows: int) -> float:
    """Share of the efficiency that an operator of a bundle reaches in the forward pass at `rows` rows."""
    if not op["sparse"]:
        return 1.0
    one, many = SPARSE_SHARE.get(str(op["kind"]), SPARSE_SHARE["linear"])
    return one + (many - one) * (min(rows, 16) - 1) / 15


def forward_operators(ops: Iterable[Mapping[str, Any]], rows: int) -> list[Operator]:
    """The forward pass of a bundle at `rows` rows, from `edgecl._core.Model.ops()`."""
    return [
        Operator(
            name=str(op["name"]),
            kind=("sparse " if op["sparse"] else "") + str(op["kind"]),
            macs=rows * int(op["macs_forward"]),
            weight_bytes=int(op["weight_bytes"]),
            input_bytes=rows * int(op["input_bytes"]),
            output_bytes=rows * int(op["output_bytes"]),
            share=_share(op, rows),
            index_bytes=int(op["index_bytes"]),
        )
        for op in ops
    ]


def learn_operators(ops: Iterable[Mapping[str, Any]], rows: int, momentum: bool) -> list[Operator]:
    """One learn step at `rows` rows (current and replayed together): forward, pruned backward, update.

    The backward pass of an operator reads its input, its output's gradient and its weights and writes as much; it reads
    the positions of sparse weights for each of its two gradients. The update reads weight and gradient (and velocity)
    and writes weight (and velocity).
    """
    listed = list(ops)
    result = forward_operators(listed, rows)
    for op in reversed(listed):
        if not op["macs_backward"]:
            continue
        result.append(
            Operator(
                name=f"{op['name']} (backward)",
                kind=("sparse " if op["sparse"] else "") + str(op["kind"]),
                macs=rows * int(op["macs_backward"]),
                weight_bytes=2 * int(op["weight_bytes"]),
                input_bytes=2 * rows * int(op["input_bytes"]),
                output_bytes=rows * int(op["output_bytes"]),
                share=_share(op, rows) * BACKWARD_SHARE["sparse" if op["sparse"] else "dense"],
                index_bytes=2 * int(op["index_bytes"]),
            )
        )
    trained = sum(int(op["weight_bytes"]) for op in listed if op["trainable"])
    result.append(Operator("update", "update", trained // 4, trained * (4 if momentum else 2), 0, trained))
    return result
