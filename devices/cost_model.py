"""Predicts the time of each operator on a device: simulated inner loops, the tiles a layer is cut into, and memory.

Never here: measuring, figures of a device, and a number that is not labelled as predicted.

The model, for one operator and `threads` cores:

    compute = cycles / (clock * efficiency * rate of the kind * speed-up of the threads)
    cache   = bytes / (one vector load or store a cycle)
    memory  = bytes that come from or go to DRAM / bandwidth (of frozen weights on a chip with flash: of the flash)
    time    = max(compute, cache, memory) + overhead        out-of-order cores
              compute + memory + overhead                   in-order cores, which wait; work that streams from DRAM

memory of a working set between a core's own second cache and the shared last one comes at the bandwidth of the latter,
where a profile has both. An out-of-order core fetches such a stream ahead of the work (measured on x86-64-v4,
2026-11-29: batch norms of 0.5 to 8 MiB all run at the rate of the shared cache), a stream from DRAM not quite.

`cycles` counts what the kernels do: tiles of the dense layers from the same choice that the kernel makes, whole vectors
where the last one is not full, packing of windows, and each loop at the share of the core's bound that llvm-mca
simulates for it (loops.json). `efficiency` is fitted per device on one published network; `rates` are measured on a
board by `edgecl devices --calibrate`. A tensor counts as DRAM traffic when the operator's working set is larger than
the last-level cache; weights also when all weights together are (S. Williams, A. Waterman, D. Patterson, "Roofline",
2009, with a share of peak in place of the peak).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgecl.devices.int8_cycles import int8_cycles
from edgecl.devices.loops import VECTOR_FLOATS, Loops, loops_of, tile_cycles
from edgecl.devices.operators import FLOAT_BYTES, Operator, side

if TYPE_CHECKING:
    from edgecl.devices.profile import Device

FLOPS_PER_MAC = 2
OVERHEAD_SECONDS = 1e-6  # a call of a kernel: argument checks, tile loop set-up
IN_ORDER = ("cortex-a53", "sifive-u74", "cortex-m4", "cortex-m7", "cortex-m55")
DEPTHWISE_ROWS = 8  # output rows of a depthwise tile; half of it where two vectors lie in a row
# One batch row on levels of 8 and 16 floats a vector: 3x3 on maps wider than half a vector takes tiles of 8 rows by one
# vector, in times of their multiply-adds, and twice as long at stride 2, where numbers are separated; any other window
# has channels in the lanes: in times of its multiply-adds, and cycles to turn a channel's input or output position
# there and back at 16 floats. Measured 2026-11-28 on layers of EfficientNet-Lite0 (x86-64-v4).
ROW_TILE, ROW_CHANNELS, ROW_POSITION_CYCLES = 2.7, 1.5, 0.45
PACK_VECTOR_CYCLES = 2.0  # to load and store one vector of a packed window
PACK_STRIDED_CYCLES = 4.0  # the same where a window moves by two: every other number
PACK_ROW_CYCLES = 8.0
SPARSE_TILE_VECTORS = 20  # output vectors that a sparse row keeps in registers
# NEON, sparse linear weight gradient: vectors of batch rows of the simulated loop, and how many products' time an
# entry's tree takes beside those (kernels/README.md, "Sparse linear layers on NEON").
SPARSE_LINEAR_VECTORS, SPARSE_LINEAR_TREE = 16, 5
SPARSE_ROW_CYCLES = 18.0  # of a row and tile: its bounds, its start and end, and a branch guessed wrong
# What x86-64-v4 reaches of the simulated sparse loops: half of its loads cross the lines of the second-level cache, and
# all of them where the rows of a batch do not fill its vectors. Measured 2026-11-28 on layers of 64 channels.
SPARSE_LOADS, SPARSE_SPLIT_LOADS = 0.55, 0.34
# Cost of an operator that streams, in times of the plain elementwise loop: for each number that it writes, and for each
# that it reads beyond those (a second input). When it predicts, when it learns (a norm's statistics), and back.
# Measured 2026-11-28 on x86-64-v4 with ResNet-18 and a small network of two convolutions.
Passes = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
PASSES: dict[str, Passes] = {
    "batch_norm": ((1.7, 0.8), (5.0, 1.0), (7.4, 4.0)),
    "group_norm": ((5.0, 1.0), (5.0, 1.0), (7.4, 4.0)),
    "max_pool": ((3.5, 3.5), (3.5, 3.5), (30.0, 30.0)),
    "average_pool": ((3.5, 3.5), (3.5, 3.5), (6.0, 6.0)),
    "global_average_pool": ((1.5, 1.5), (1.5, 1.5), (2.5, 2.5)),
}
ONE_ROW_POOL = 6.0  # a single row has its columns in the lanes, which windows cross
RECURRENT_SHARE = 0.75  # of what a convolution reaches: a step waits for the one before. Measured 2026-11-28, x86-64-v4
PLANE_CYCLES = 30.0  # of a plane whose mean is taken: a sum over lanes, and its end
# Times that int8 layers are as fast as float32 ones of the same shape: on x86-64 as measured (kernels/README.md), on
# Arm the instructions that emulation counts (tools/bench/results/aarch64_encoders.json; two networks, their mean).
INT8_GAIN = {"neon": 1.2, "x86-64-v4": 2.4, "x86-64-v3": 1.2}
DOT_CORES, DOT_GAIN = ("cortex-a76", "cortex-a78", "neoverse-n1"), 1.8  # with dot products of bytes


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
    direction: str = "forward"
    bytes: int = 0


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


def _vectors(floats: float, width: int) -> int:
    return -(-round(floats) // width)


def _dense_cycles(op: Operator, loops: Loops, width: int, bound: float) -> float:
    """Tiles of a dense convolution's forward pass or input gradient, and the packing of its windows."""
    line = side(op.positions // op.rows) * op.rows  # floats of an output row
    lines = max(1, op.positions // max(line, 1))
    direct = op.taps == 1 and op.stride == 1
    row_vectors = _vectors(line, width)
    flat = direct or (lines > 1 and (row_vectors < 3 or line * 20 < row_vectors * width * 19))
    vectors = _vectors(op.positions, width) if flat else lines * row_vectors
    channels, depth = op.channels, op.depth
    if op.direction == "input gradient" and op.input_bytes:
        # Channels and depth change places: what was summed over is what is computed now.
        channels = max(1, round(depth / op.taps))
        depth = op.macs / (channels * op.positions)
    segments = 1 if flat else lines
    cycles = segments * tile_cycles(loops, channels, max(1, vectors // segments), depth, width, bound)
    if direct:
        return cycles
    copies = (side(op.taps) if flat else 1) * (1 if op.stride == 1 else op.stride)
    planes = depth / op.taps
    packed = planes * copies * vectors * (1 if op.stride == 1 else op.stride)
    return cycles + packed * PACK_VECTOR_CYCLES + planes * copies * lines * PACK_ROW_CYCLES


def _depthwise_cycles(op: Operator, loops: Loops, width: int, bound: float) -> float:
    """Tiles of whole rows and vectors, and the packing of each channel."""
    line = side(op.positions // op.rows) * op.rows
    lines = max(1, op.positions // max(line, 1))
    vectors = _vectors(line, width)
    tile_rows = DEPTHWISE_ROWS // 2 if vectors > 1 else DEPTHWISE_ROWS
    rows = -(-lines // tile_rows) * tile_rows
    share = loops.share(f"depthwise {side(op.taps)}x{side(op.taps)}" + (" stride 2" if op.stride == 2 else ""))
    cycles = op.channels * rows * vectors * width * op.taps / (bound * share)
    tiles = op.channels * (rows / tile_rows) * vectors
    each = PACK_VECTOR_CYCLES if op.stride == 1 else PACK_STRIDED_CYCLES
    packed = op.channels * lines * op.stride * op.stride * (vectors * each + PACK_ROW_CYCLES)
    return cycles + tiles * 10 + packed


def _depthwise_row_cycles(op: Operator, width: int, bound: float) -> float:
    """One batch row on wide vectors (kernels/simd/depthwise_row.cpp, depthwise_channels.cpp)."""
    line = side(op.positions)
    lines = max(1, op.positions // max(line, 1))
    if op.taps == 9 and line > width // 2:
        rows = -(-lines // DEPTHWISE_ROWS) * DEPTHWISE_ROWS
        return op.channels * rows * _vectors(line, width) * width * op.taps / bound * ROW_TILE * op.stride
    turned = op.channels * op.positions * (1 + op.stride**2) * ROW_POSITION_CYCLES * 16 / width
    return op.macs / bound * ROW_CHANNELS + turned


def _linear_cycles(op: Operator, loops: Loops, width: int, bound: float) -> float:
    """Batch rows or features in the lanes, whichever wastes fewer (kernels/plan/linear_plan.cpp)."""
    rows, channels, depth = op.rows, op.channels, op.depth
    if op.direction == "input gradient":
        channels, depth = max(1, round(depth)), float(channels)
    lanes = 16 if rows % 16 == 0 else rows
    groups = rows // lanes
    by_batch = _vectors(lanes, width) * width * channels <= 1.1 * _vectors(channels, width) * width * lanes
    one = (channels, _vectors(lanes, width)) if by_batch and lanes > 1 else (lanes, _vectors(channels, width))
    return groups * tile_cycles(loops, one[0], one[1], depth, width, bound)


def _sparse_cycles(op: Operator, loops: Loops, width: int, bound: float) -> float:
    """Entries at their loop's rate over whole vectors of positions, and what each row costs in each tile."""
    layer = op.kind.removeprefix("sparse ")
    gradient = " weight gradient" if op.direction == "weight gradient" else ""
    share = loops.share(f"sparse {layer}{gradient}")
    if width == 16 and layer == "conv":
        share *= SPARSE_LOADS if op.rows % width == 0 or op.rows == 1 else SPARSE_SPLIT_LOADS
    vectors = _vectors(op.positions, width)
    if width == 4 and layer == "linear" and gradient:
        own = min(vectors, SPARSE_LINEAR_VECTORS)
        share *= own / (own + SPARSE_LINEAR_TREE) * (1 + SPARSE_LINEAR_TREE / SPARSE_LINEAR_VECTORS)
    waste = vectors * width / max(op.positions, 1)
    cycles = op.macs * waste / (bound * share)
    tiles = -(-vectors // SPARSE_TILE_VECTORS)
    cycles += tiles * op.channels * SPARSE_ROW_CYCLES
    if layer == "conv":
        cycles += 2 * op.input_bytes / FLOAT_BYTES / width * PACK_VECTOR_CYCLES
    return cycles


def compute_cycles(op: Operator, device: Device) -> float:
    """Cycles of one core for the arithmetic of an operator, everything in the first-level cache."""
    loops = loops_of(device.core)
    bound = device.flop_per_cycle / FLOPS_PER_MAC
    width = VECTOR_FLOATS[device.level]
    if not op.macs or op.kind == "update":
        floats = (op.input_bytes + op.output_bytes) / 2 / FLOAT_BYTES
        plain = loops.float_cycles.get("elementwise", 2.0 / width)
        if op.kind not in PASSES:
            return floats * loops.float_cycles.get(op.kind, plain)
        predicts, learns, back = PASSES[op.kind]
        own, more = back if op.direction != "forward" else learns if op.training else predicts
        written = op.output_bytes / FLOAT_BYTES
        read = max(op.input_bytes - op.output_bytes, 0) / FLOAT_BYTES
        planes = written if op.kind == "global_average_pool" else 0.0
        slow = ONE_ROW_POOL if op.rows == 1 and op.kind in ("max_pool", "average_pool") and width > 1 else 1.0
        return (own * written + more * read) * plain * slow + planes * PLANE_CYCLES / min(op.rows, width)
    if op.kind == "recurrent" and width > 1:
        return op.macs / (bound * loops.share("conv") * RECURRENT_SHARE)
    if (counted := int8_cycles(op, device.core)) is not None:
        return counted
    if not op.channels or width == 1:
        layer = op.kind.replace("depthwise", "conv")  # one scalar kernel computes both
        kind = layer if op.direction == "forward" else f"{layer} {op.direction}"
        if kind in loops.scalar_cycles:
            return op.macs * loops.scalar_cycles[kind]
        return op.macs / (bound * loops.share(kind if kind in loops.shares else layer))
    if op.kind.startswith("int8_"):
        gain = DOT_GAIN if device.core in DOT_CORES else INT8_GAIN.get(device.level, 1.0)
        return op.macs / (bound * loops.share("conv weight gradient") * gain)
    if op.sparse:
        return _sparse_cycles(op, loops, width, bound)
    if op.direction == "weight gradient":
        # Sums over positions: the linear layer's are those of the tile over rows.
        share = loops.share("conv weight gradient")
        packed = 0.0 if op.taps == 1 else 2 * op.input_bytes / FLOAT_BYTES / width * PACK_VECTOR_CYCLES
        return op.macs / (bound * share) + packed
    if op.kind == "depthwise" and op.direction == "forward" and op.rows == 1 and width >= 8:
        return _depthwise_row_cycles(op, width, bound)
    if op.kind == "depthwise":
        return _depthwise_cycles(op, loops, width, bound)
    if op.kind == "linear":
        return _linear_cycles(op, loops, width, bound)
    return _dense_cycles(op, loops, width, bound)


def rate_kind(op: Operator) -> str:
    """The name of an operator's kind among the `rates` of a calibrated profile."""
    kind = "pointwise" if op.kind == "conv" and op.taps == 1 else op.kind
    if not op.macs:
        kind = "elementwise"
    return f"{kind} {op.direction}" if "gradient" in op.direction and op.macs else kind


def predict(operators: Iterable[Operator], device: Device, threads: int = 1) -> Prediction:
    """Predicts a pass over `operators`, one after the other, on `threads` cores of `device`.

    Memory traffic does not gain from more threads (all cores share the DRAM channel). O(operators).
    """
    listed = list(operators)
    threads = max(1, min(threads, device.cores))
    hertz = device.clock_hz * device.efficiency * device.speedup(threads)
    cache_rate = device.clock_hz * device.vector_bytes * device.speedup(threads)
    weights_stay = sum(op.constant_bytes for op in listed) <= device.llc_bytes
    flash = device.optional("flash_bandwidth_bytes_per_s")
    private, shared = device.optional("l2_bytes"), device.optional("llc_bandwidth_bytes_per_s")
    rates = dict(device.rates)
    waits = device.core in IN_ORDER
    times = []
    for op in listed:
        fits = op.bytes <= device.llc_bytes
        in_flash = flash is not None and op.frozen
        moved = (0 if weights_stay or in_flash else op.constant_bytes) + (
            0 if fits else op.input_bytes + op.output_bytes
        )
        memory = moved / device.bandwidth_bytes_per_s
        if private is not None and shared is not None and op.bytes > private and not moved:
            memory += op.bytes / shared
        if in_flash and flash is not None and not weights_stay:
            memory += op.constant_bytes / flash
        rate = rates.get(rate_kind(op), rates.get("conv", 1.0))
        bounds = {
            "compute": compute_cycles(op, device) / (hertz * rate),
            "memory": memory,
            "cache": op.bytes / cache_rate,
        }
        bound = max(bounds, key=lambda k: bounds[k])
        streams = moved > 0 and op.bytes > op.macs  # too little work to hide DRAM's time behind
        seconds = bounds["compute"] + bounds["memory"] if waits or streams else bounds[bound]
        ms = 1e3 * (seconds + OVERHEAD_SECONDS)
        low, high = ms * device.range_low, ms * device.range_high
        times.append(OperatorTime(op.name, op.kind, op.macs, ms, low, high, bound, op.direction, op.bytes))
    total = sum(t.ms for t in times)
    return Prediction(
        threads=threads,
        ms=total,
        low_ms=total * device.range_low,
        high_ms=total * device.range_high,
        macs=sum(op.macs for op in listed),
        operators=tuple(times),
    )
