# Each TFLite operator once, in files of our own, against its definition in NumPy over [N][H][W][C].
# Never here: files of others (test_tflite_encoders.py), wrong files (test_tflite_bad_input.py).
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from edgecl.export.parity import bundle_logits
from edgecl.export.report import ExportReport
from numpy.typing import NDArray

pytest.importorskip("tflite", reason="the package tflite is not installed (extra: export)")
pytest.importorskip("edgecl._core")

from edgecl.export.tflite_front import from_tflite
from tflite_files import TfliteFile, weights, window

Array = NDArray[Any]
GENERATOR = np.random.default_rng(31)
ACTIVATIONS: list[Callable[[Array], Array]] = [
    lambda x: x,
    lambda x: np.maximum(x, 0),
    lambda x: np.clip(x, -1, 1),
    lambda x: np.clip(x, 0, 6),
]


def check(file: TfliteFile, expected: Callable[[Array], Array], n: int = 3) -> ExportReport:
    """Exports the file and compares the bundle with the definition on rows [H][W][C], which it takes channels first."""
    report = from_tflite(file.data(), trainable="none")
    rows = weights(GENERATOR, n, *file.input_shape[1:])
    raw = np.moveaxis(rows, -1, 1) if rows.ndim == 4 else rows
    found = bundle_logits(report.bundle, np.ascontiguousarray(raw))
    wanted = np.asarray(expected(rows.astype(np.float64))).reshape(n, -1)
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= 1e-5 * max(1.0, np.abs(wanted).max())
    return report


def taps(
    x: Array, kernel: tuple[int, int], strides: tuple[int, int], dilation: tuple[int, int], same: bool, fill: float
) -> Array:
    """[N][OH][OW][kh][kw][C]: what each window sees; TensorFlow's definition of SAME, spelled out."""
    sizes = []
    for axis in (0, 1):
        size, reach = x.shape[axis + 1], (kernel[axis] - 1) * dilation[axis] + 1
        count = int(np.ceil(size / strides[axis])) if same else int(np.ceil((size - reach + 1) / strides[axis]))
        total = max((count - 1) * strides[axis] + reach - size, 0) if same else 0
        sizes.append((count, total // 2, total - total // 2))
    wide = np.pad(x, ((0, 0), sizes[0][1:], sizes[1][1:], (0, 0)), constant_values=fill)
    out = np.empty((x.shape[0], sizes[0][0], sizes[1][0], *kernel, x.shape[3]))
    for i, j in np.ndindex(*out.shape[1:3]):
        for a, b in np.ndindex(*kernel):
            out[:, i, j, a, b] = wide[:, i * strides[0] + a * dilation[0], j * strides[1] + b * dilation[1]]
    return out


WINDOWS = [
    ((7, 6), (3, 3), (1, 1), (1, 1), True),
    ((7, 6), (3, 3), (2, 2), (1, 1), True),  # the odd zero lies behind in one axis only
    ((8, 9), (2, 5), (3, 2), (1, 1), True),
    ((9, 8), (3, 2), (1, 1), (2, 3), True),
    ((9, 8), (3, 2), (2, 1), (1, 1), False),
    ((6, 6), (1, 1), (2, 2), (1, 1), True),
]


@pytest.mark.parametrize("activation", range(4))
@pytest.mark.parametrize(("size", "kernel", "strides", "dilation", "same"), WINDOWS)
def test_convolutions(size: Any, kernel: Any, strides: Any, dilation: Any, same: bool, activation: int) -> None:
    fields = {
        "FusedActivationFunction": activation, "DilationHFactor": dilation[0], "DilationWFactor": dilation[1],
    }  # fmt: skip
    conv, bias = weights(GENERATOR, 5, *kernel, 4), weights(GENERATOR, 5)
    depth = weights(GENERATOR, 1, *kernel, 8)  # each of four channels twice
    grouped = weights(GENERATOR, 6, *kernel, 2)
    function = ACTIVATIONS[activation]
    spatial = taps(np.zeros((1, *size, 4)), kernel, strides, dilation, same, 0).shape[1:3]

    def run(kind: str, table: str, weight: Array, with_bias: bool, formula: Callable[[Array], Array]) -> None:
        file = TfliteFile((1, *size, 4))
        inputs = [0, file.constant(weight), file.constant(bias) if with_bias else -1]
        outputs = weight.shape[3] if kind.startswith("DEPTH") else weight.shape[0]
        file.op(kind, inputs, (1, *spatial, outputs), window(table, same, strides, **fields))
        check(file, lambda x: function(formula(taps(x, kernel, strides, dilation, same, 0))))

    def each_twice(seen: Array) -> Array:
        products = np.einsum("nijabc,abcm->nijcm", seen, depth.reshape(*kernel, 4, 2))
        return products.reshape(*seen.shape[:3], 8)

    def two_groups(seen: Array) -> Array:
        halves = [(seen[..., :2], grouped[:3]), (seen[..., 2:], grouped[3:])]
        return np.concatenate([np.einsum("nijabc,oabc->nijo", x, w) for x, w in halves], -1)

    run("CONV_2D", "Conv2DOptions", conv, True, lambda seen: np.einsum("nijabc,oabc->nijo", seen, conv) + bias)
    run("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", depth, False, each_twice)
    run("CONV_2D", "Conv2DOptions", grouped, False, two_groups)


@pytest.mark.parametrize(("size", "kernel", "strides", "dilation", "same"), [w for w in WINDOWS if w[3] == (1, 1)])
def test_pools(size: Any, kernel: Any, strides: Any, dilation: Any, same: bool) -> None:
    fields = {"FilterHeight": kernel[0], "FilterWidth": kernel[1], "FusedActivationFunction": 1}
    spatial = taps(np.zeros((1, *size, 3)), kernel, strides, dilation, same, 0).shape[1:3]
    for kind, fill, reduce in (("MAX_POOL_2D", -np.inf, np.max), ("AVERAGE_POOL_2D", np.nan, np.nanmean)):
        file = TfliteFile((1, *size, 3))
        file.op(kind, [0], (1, *spatial, 3), window("Pool2DOptions", same, strides, **fields))
        check(file, lambda x, f=fill, r=reduce: np.maximum(r(taps(x, kernel, strides, (1, 1), same, f), (3, 4)), 0))


@pytest.mark.parametrize(("axes", "keep"), [([1, 2], 0), ([1, 2], 1), ([-2, 1], 0), ([1], 0), ([3], 1), ([3], 0)])
def test_mean(axes: list[int], keep: int) -> None:
    file = TfliteFile((1, 4, 5, 3))
    shape = np.mean(np.zeros((1, 4, 5, 3)), tuple(axes), keepdims=bool(keep)).shape
    file.op("MEAN", [0, file.constant(np.array(axes, np.int32))], shape, ("ReducerOptions", {"KeepDims": keep}))
    check(file, lambda x: x.mean(tuple(axes), keepdims=bool(keep)))


@pytest.mark.parametrize("shape", [(), (3,), (1, 1, 1, 3), (1, 4, 5, 1), (1, 4, 5, 3)])
@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL"])
def test_constant_operands(kind: str, shape: tuple[int, ...]) -> None:
    function = {"ADD": np.add, "SUB": np.subtract, "MUL": np.multiply}[kind]
    constant = np.asarray(weights(GENERATOR, *shape))
    file = TfliteFile((1, 4, 5, 3))
    options = (f"{kind.title()}Options", {"FusedActivationFunction": 3})
    file.op(kind, [0, file.constant(constant)], (1, 4, 5, 3), options)
    check(file, lambda x: np.clip(function(x, constant), 0, 6))
    file = TfliteFile((1, 4, 5, 3))
    scaled = file.op("RELU", [0], (1, 4, 5, 3))
    file.op(kind, [scaled, 0], (1, 4, 5, 3), (f"{kind.title()}Options", {}))
    check(file, lambda x: function(np.maximum(x, 0), x))


@pytest.mark.parametrize("axis", [3, 1, -2])
def test_concatenation(axis: int) -> None:
    file = TfliteFile((1, 4, 5, 3))
    other = file.op("RELU_N1_TO_1", [0], (1, 4, 5, 3))
    shape = np.concatenate([np.zeros((1, 4, 5, 3))] * 2, axis).shape
    file.op("CONCATENATION", [0, other], shape, ("ConcatenationOptions", {"Axis": axis}))
    check(file, lambda x: np.concatenate([x, np.clip(x, -1, 1)], axis))


def test_pads() -> None:
    pads = np.array([[0, 0], [1, 0], [2, 3], [0, 0]], np.int32)
    for kind, value in (("PAD", 0.0), ("PADV2", 1.5)):
        file = TfliteFile((1, 4, 5, 3))
        more = [file.constant(np.float32([value]))] if kind == "PADV2" else []
        file.op(kind, [0, file.constant(pads), *more], (1, 5, 10, 3))
        check(file, lambda x, v=value: np.pad(x, pads, constant_values=v))


def test_a_flattened_map_turns_the_weight() -> None:
    """Of a fully connected layer: the map itself stays as it lies, in the bundle too."""
    weight, bias = weights(GENERATOR, 6, 60), weights(GENERATOR, 6)
    options = ("FullyConnectedOptions", {"FusedActivationFunction": 0})
    for flat in (True, False):
        file = TfliteFile((1, 4, 5, 3))
        entry = file.op("RELU", [0], (1, 4, 5, 3))
        if flat:
            entry = file.op("RESHAPE", [entry, file.constant(np.array([-1, 60], np.int32))], (1, 60))
        file.op("FULLY_CONNECTED", [entry, file.constant(weight, "dense"), file.constant(bias)], (1, 6), options)
        report = check(file, lambda x: np.maximum(x, 0).reshape(len(x), -1) @ weight.T + bias)
        assert [(layer.name, layer.kind) for layer in report.layers] == [("dense", "linear")]


@pytest.mark.parametrize(
    "shapes",
    [((1, 60), (1, 60)), ((1, 5, 4, 3),), ((1, 2, 10, 3),), ((1, 60), (1, 3, 4, 5)), ((1, 20, 3),), ((1, 5, 12),)],
)
def test_reshapes(shapes: tuple[tuple[int, ...], ...]) -> None:
    file = TfliteFile((1, 4, 5, 3))
    last = file.op("RELU", [0], (1, 4, 5, 3))
    for shape in shapes:
        last = file.op("RESHAPE", [last], shape)
    file.op("RELU6", [last], shapes[-1])
    check(file, lambda x: np.clip(x, 0, 6))


def test_vectors_and_maps_of_one_cell() -> None:
    weight = weights(GENERATOR, 5, 3, 2, 1)
    file = TfliteFile((1, 24))
    image = file.op("RESHAPE", [0], (1, 6, 4, 1))
    conv = file.op("CONV_2D", [image, file.constant(weight)], (1, 4, 3, 5), window("Conv2DOptions", False))
    pool = window("Pool2DOptions", False, FilterHeight=4, FilterWidth=3)
    mean = file.op("AVERAGE_POOL_2D", [conv], (1, 1, 1, 5), pool)
    file.op("SQUEEZE", [mean], (1, 5))

    def formula(x: Array) -> Array:
        seen = taps(x.reshape(-1, 6, 4, 1), (3, 2), (1, 1), (1, 1), False, 0)
        return np.einsum("nijabc,oabc->nijo", seen, weight).mean((1, 2))

    check(file, formula)


def test_one_dimensional_convolution() -> None:
    """[T][C] with one axis more and less around a convolution; the bundle takes [C][T]."""
    weight = weights(GENERATOR, 5, 1, 3, 2)
    file = TfliteFile((1, 9, 2))
    image = file.op("EXPAND_DIMS", [0, file.constant(np.int32([1]))], (1, 1, 9, 2))
    conv = file.op("CONV_2D", [image, file.constant(weight)], (1, 1, 7, 5), window("Conv2DOptions", False))
    line = file.op("SQUEEZE", [conv], (1, 7, 5))
    file.op("MEAN", [line, file.constant(np.int32([1]))], (1, 5), ("ReducerOptions", {}))
    report = from_tflite(file.data(), trainable="none")
    rows = weights(GENERATOR, 3, 9, 2)
    found = bundle_logits(report.bundle, np.ascontiguousarray(np.moveaxis(rows, -1, 1)))
    seen = taps(rows[:, None], (1, 3), (1, 1), (1, 1), False, 0)
    assert np.allclose(found, np.einsum("nijabc,oabc->nijo", seen, weight).mean((1, 2)), atol=1e-5)
    assert any("[C,T] = [2, 9]" in note for note in report.notes)


@pytest.mark.parametrize("kind", ["SOFTMAX", "LOGISTIC"])
@pytest.mark.parametrize("convolution", [False, True])
def test_head_and_embedding(kind: str, convolution: bool) -> None:
    """What a classifier ends in: a layer on one cell, axes dropped, a function that the bundle leaves out."""
    import edgecl._core as core

    weight, bias = weights(GENERATOR, 7, 1, 1, 3), weights(GENERATOR, 7)
    file = TfliteFile((1, 4, 5, 3))
    pool = window("Pool2DOptions", False, FilterHeight=4, FilterWidth=5)
    last = file.op("AVERAGE_POOL_2D", [0], (1, 1, 1, 3), pool)
    if convolution:
        inputs = [last, file.constant(weight), file.constant(bias)]
        last = file.op("CONV_2D", inputs, (1, 1, 1, 7), window("Conv2DOptions"))
        last = file.op(kind, [last], (1, 1, 1, 7), ("SoftmaxOptions", {"Beta": 1.0}) if kind == "SOFTMAX" else None)
        file.op("RESHAPE", [last], (1, 7))
    else:
        inputs = [last, file.constant(weight.reshape(7, 3)), file.constant(bias)]
        last = file.op("FULLY_CONNECTED", inputs, (1, 7), ("FullyConnectedOptions", {}))
        file.op(kind, [last], (1, 7), ("SoftmaxOptions", {"Beta": 1.0}) if kind == "SOFTMAX" else None)
    report = check(file, lambda x: x.mean((1, 2)) @ weight.reshape(7, 3).T + bias)
    assert core.Model(data=report.bundle).describe()["embedding_dim"] == 3
    assert any("left out" in note for note in report.notes)


def test_hard_swish_and_inner_logistic() -> None:
    file = TfliteFile((1, 4, 5, 3))
    gate = file.op("LOGISTIC", [0], (1, 4, 5, 3))
    swish = file.op("HARD_SWISH", [0], (1, 4, 5, 3))
    file.op("MUL", [gate, swish], (1, 4, 5, 3))
    check(file, lambda x: 1 / (1 + np.exp(-x)) * x * np.clip(x / 6 + 0.5, 0, 1))


def test_float16_weights_and_quantise_of_float_models() -> None:
    weight = weights(GENERATOR, 6, 5).astype(np.float16)
    file = TfliteFile((1, 5))
    wide = file.op("DEQUANTIZE", [file.constant(weight)], (6, 5))
    rounded = file.op("QUANTIZE", [0], (1, 5), output=("INT8", (0.1,), (0,)))
    real = file.op("DEQUANTIZE", [rounded], (1, 5))
    file.op("FULLY_CONNECTED", [real, wide, -1], (1, 6), ("FullyConnectedOptions", {}))
    check(file, lambda x: x @ weight.astype(np.float64).T)
