"""Int8 layers on Cortex-M: the instructions of their kernels as the emulator counts them, and cycles of an instruction.

The kernels are those of `kernels/dsp`, on a Cortex-M55 those of `kernels/mve`. Never here: other cores, whose int8
layers the cost model takes for a multiple of float32 ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgecl.devices.operators import Operator


@dataclass(frozen=True)
class Instructions:
    """Of a multiply-add, and of an output: its window, requantisation and store."""

    mac: float
    output: float


# A multiply-add by the inner loops; an output by what is left of the counts of the DS-CNN of devices/firmware (64
# channels; by kernel, 2026-11-29).
_DSP = {"int8_conv": Instructions(1.6, 90), "int8_depthwise": Instructions(10, 93)}
CORES = {
    "cortex-m4": _DSP,
    "cortex-m7": _DSP,
    "cortex-m55": {"int8_conv": Instructions(0.19, 17.5), "int8_depthwise": Instructions(1.4, 9.4)},
}
# Of an instruction, in the mean: llvm-mca's of the loop of Cortex-M4; of the M55 two beats of a vector instruction,
# which overlap at times, and scalar ones between them. Nothing was measured on a chip.
CYCLES = {"cortex-m4": 1.1, "cortex-m7": 1.1, "cortex-m55": 2.0}


def int8_cycles(op: Operator, core: str) -> float | None:
    """Cycles of a layer, whose outputs are a byte each; None for other kinds, and for cores whose kernels were not
    counted."""
    kinds = CORES.get(core, {})
    if op.kind not in kinds:
        return None
    cost = kinds[op.kind]
    return CYCLES[core] * (op.macs * cost.mac + op.output_bytes * cost.output)
