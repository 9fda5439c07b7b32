# Runs the int8 operators of a plan in NumPy, by the formulas of the TensorFlow Lite 8-bit quantization specification
# and of its reference kernels (gemmlowp's rounding): an oracle with no part of the runtime in it.
# Never here: operators of floats, but for those that a test network has between int8 ones.
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensors = dict[int, NDArray[Any]]


def embeddings(plan: dict[str, Any], rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The embedding of network inputs [n][C][H][W]; int8 tensors are [n][C][H][W] here too."""
    tensors: Tensors = {0: rows.reshape(len(rows), *_shape(plan["tensors"][0]))}
    for op in plan["ops"]:
        if plan["embedding_tensor"] in tensors:
            break
        tensors[op["output"]] = run_op(plan, op, [tensors[i] for i in op["inputs"]])
    found: NDArray[np.float32] = tensors[plan["embedding_tensor"]].reshape(len(rows), -1)
    return found


def _shape(record: dict[str, Any]) -> tuple[int, int, int]:
    return record["channels"], record["height"], record["width"]


def run_op(plan: dict[str, Any], op: dict[str, Any], x: list[NDArray[Any]]) -> NDArray[Any]:
    """One operator on its inputs [n][C][H][W]."""
    record = plan["tensors"][op["output"]]
    entry = plan["tensors"][op["inputs"][0]]
    params = [plan["params"][p]["values"] for p in op["params"]]
    kind = op["kind"]
    if kind == "quantize":
        quotient = x[0] / np.float32(record["scale"])
        rounded = np.copysign(np.floor(np.abs(quotient.astype(np.float64)) + 0.5), quotient)  # std::round
        return np.clip(rounded + record["zero_point"], -128, 127).astype(np.int64)
    if kind == "dequantize":
        return ((x[0] - entry["zero_point"]) * np.float64(np.float32(entry["scale"]))).astype(np.float32)
    if kind == "int8_conv":
        return _conv(op, record, entry["zero_point"], x[0], *params)
    if kind == "int8_add":
        zero = [plan["tensors"][t]["zero_point"] for t in op["inputs"]]
        (m0, m1, m2), (s0, s1, s2) = params[0].tolist()
        total = multiply((x[0] - zero[0]) << 20, m0, s0) + multiply((x[1] - zero[1]) << 20, m1, s1)
        return np.clip(multiply(total, m2, s2) + record["zero_point"], op["i"][0], op["i"][1])
    if kind == "int8_mean":
        multiplier, shift, offset, start = op["i"]
        return np.clip(multiply(start + x[0].sum(axis=(2, 3), keepdims=True), multiplier, shift) + offset, -128, 127)
    if kind in ("int8_max_pool", "int8_average_pool"):
        return np.clip(_pool(op, record, x[0]), *op["i"][:2])
    if kind == "reshape":
        return x[0].reshape(len(x[0]), *_shape(record))
    assert kind == "activation", kind
    return _activation(op, x[0])


def _pool(op: dict[str, Any], record: dict[str, Any], x: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cells of the padding take no part; means are rounded to the nearest, halves away from zero."""
    (kh, kw), (sh, sw), (dh, dw) = op["kernel"], op["stride"], op["dilation"]
    _, height, width = _shape(record)
    largest = op["kind"] == "int8_max_pool"
    reach = ((0, 0), (0, 0), (op["pads"][0], kh * dh + sh), (op["pads"][1], kw * dw + sw))
    padded = np.pad(x, reach, constant_values=-128 if largest else 0)
    inside = np.pad(np.ones_like(x), reach)
    taps = [
        (slice(None), slice(None), slice(i * dh, None, sh), slice(j * dw, None, sw))
        for i in range(kh)
        for j in range(kw)
    ]
    cells, count = ([values[tap][:, :, :height, :width] for tap in taps] for values in (padded, inside))
    if largest:
        return np.asarray(np.max(cells, axis=0))
    total, n = np.sum(cells, axis=0), np.sum(count, axis=0)
    return np.asarray(np.sign(total) * ((np.abs(total) + n // 2) // n))


def _activation(op: dict[str, Any], x: NDArray[np.float32]) -> NDArray[np.float32]:
    if op["activation"] == "relu":
        return np.where(x > 0, x, np.float32(0))
    assert op["activation"] == "hard_swish"
    one_sixth = np.float32(1.0 / 6.0)
    inner = (x.astype(np.float64) * np.float64(one_sixth) + 0.5).astype(np.float32)  # one rounding, as a fused one
    return np.asarray(x * np.clip(inner, np.float32(0), np.float32(1)), np.float32)


def _conv(
    op: dict[str, Any],
    record: dict[str, Any],
    zero_point: int,
    x: NDArray[np.int64],
    weight: NDArray[np.int8],
    table: NDArray[np.int32],
) -> NDArray[np.int64]:
    (kh, kw), (sh, sw), (dh, dw) = op["kernel"], op["stride"], op["dilation"]
    top, left, bottom, right = op["pads"]
    depthwise = op["groups"] > 1
    outputs, height, width = _shape(record)
    padded = np.pad(x - zero_point, ((0, 0), (0, 0), (top, bottom), (left, right)))  # the border is the zero point
    if depthwise:
        taps = weight[:, :outputs].astype(np.int64).reshape(kh, kw, outputs)
    else:
        rows = weight.astype(np.int64).transpose(0, 2, 1, 3).reshape(-1, weight.shape[1] * 4)
        taps = rows[:outputs, : kh * kw * x.shape[1]].reshape(outputs, kh, kw, x.shape[1])
    acc = np.zeros((len(x), outputs, height, width), np.int64) + table[0, :outputs, None, None]
    for ky in range(kh):
        for kx in range(kw):
            part = padded[:, :, ky * dh :: sh, kx * dw :: sw][:, :, :height, :width]
            if depthwise:
                acc += part * taps[ky, kx][:, None, None]
            else:
                acc += np.einsum("nchw,oc->nohw", part, taps[:, ky, kx])
    scaled = np.empty_like(acc)
    for o in range(outputs):
        scaled[:, o] = multiply(acc[:, o], int(table[2, o]), int(table[3, o]))
    return np.clip(scaled + record["zero_point"], op["i"][0], op["i"][1])


def multiply(x: NDArray[np.int64], multiplier: int, shift: int) -> NDArray[np.int64]:
    """MultiplyByQuantizedMultiplier: SaturatingRoundingDoublingHighMul, then RoundingDivideByPOT, as gemmlowp writes
    them."""
    assert (np.abs(x) < 2**31).all()
    product = (x << max(shift, 0)) * multiplier
    nudge = np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.sign(product + nudge) * (np.abs(product + nudge) // 2**31)  # C++ divides towards zero
    exponent = max(-shift, 0)
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (high < 0)
    return np.asarray((high >> exponent) + ((high & mask) > threshold), np.int64)
