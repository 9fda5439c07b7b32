# TFLite files that cannot be: one ExportError with what was expected, found and to do; never another exception.
# Never here: files that can.
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgecl.export.errors import ExportError
from edgecl.export.onnx_front import graph_of_onnx
from edgecl.export.options import ExportOptions

pytest.importorskip("tflite", reason="the package tflite is not installed (extra: export)")

from edgecl.export.tflite_front import onnx_of_tflite
from tflite_files import TfliteFile, weights, window

GENERATOR = np.random.default_rng(33)


def small_network() -> TfliteFile:
    """A bit of everything, of a few kilobytes."""
    file = TfliteFile((1, 8, 8, 2), kind="UINT8", scale=(0.5,), zero=(7,))
    stored = GENERATOR.integers(-127, 128, (4, 3, 3, 2)).astype(np.int8)
    weight, bias = file.constant(stored, "w", (0.1,), (0,)), file.constant(weights(GENERATOR, 4), "b")
    conv = file.op("CONV_2D", [0, weight, bias], (1, 4, 4, 4), window("Conv2DOptions", True, (2, 2)))
    depth = file.constant(weights(GENERATOR, 1, 3, 3, 4), "d")
    deep = file.op("DEPTHWISE_CONV_2D", [conv, depth], (1, 4, 4, 4), window("DepthwiseConv2DOptions"))
    both = file.op("ADD", [conv, deep], (1, 4, 4, 4), ("AddOptions", {"FusedActivationFunction": 3}))
    pads = file.constant(np.array([[0, 0], [1, 1], [0, 0], [0, 0]], np.int32), "pads")
    wide = file.op("PAD", [both, pads], (1, 6, 4, 4))
    pool = file.op(
        "MAX_POOL_2D", [wide], (1, 3, 2, 4), window("Pool2DOptions", True, (2, 2), FilterHeight=2, FilterWidth=2)
    )
    joined = file.op("CONCATENATION", [pool, pool], (1, 3, 2, 8), ("ConcatenationOptions", {"Axis": 3}))
    mean = file.op("MEAN", [joined, file.constant(np.int32([1]), "axes")], (1, 2, 8), ("ReducerOptions", {}))
    flat = file.op("RESHAPE", [mean], (1, 16))
    dense = file.constant(weights(GENERATOR, 3, 16), "dense")
    logits = file.op("FULLY_CONNECTED", [flat, dense, -1], (1, 3), ("FullyConnectedOptions", {}))
    file.op("SOFTMAX", [logits], (1, 3), ("SoftmaxOptions", {"Beta": 1.0}))
    return file


def refused(data: bytes | Path, *words: str) -> ExportError:
    with pytest.raises(ExportError) as caught:
        onnx_of_tflite(data)
    text = str(caught.value)
    assert "expected" in text and "found" in text and ";" in text
    assert all(word in text for word in words), text
    return caught.value


def read_or_refused(data: bytes) -> bool:
    """Converts and imports; an ExportError is the only exception that may come."""
    try:
        graph_of_onnx(onnx_of_tflite(data).model, ExportOptions(), "mutated")
    except ExportError as error:
        assert "expected" in str(error) and "found" in str(error)
        return False
    return True


def test_no_tflite_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.tflite", "nothing at").status == -50
    (tmp_path / "text.tflite").write_text("no model, but long enough for one")
    assert refused(tmp_path / "text.tflite", "TFL3", "text.tflite").status == -50
    for data in (b"", b"TFL3", bytes(64), b"\x08\0\0\0TFL3" + bytes(56), GENERATOR.bytes(4096)):
        refused(data)


def test_truncated() -> None:
    data = small_network().data()
    assert read_or_refused(data)
    for end in GENERATOR.integers(8, len(data), 120):
        read_or_refused(data[:end])
    refused(data[: len(data) // 2])


def test_mutated() -> None:
    """One to eight bytes or words changed: read as another model, or refused."""
    data = np.frombuffer(small_network().data(), np.uint8)
    outcomes = []
    for trial in range(600):
        broken = data.copy()
        for place in GENERATOR.integers(8, data.size - 4, GENERATOR.integers(1, 9)):
            if trial % 2:
                broken[place] = GENERATOR.integers(0, 256)
            else:
                edge = GENERATOR.choice([0, 1, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1])
                broken[place : place + 4] = np.frombuffer(np.uint32(edge).tobytes(), np.uint8)
        outcomes.append(read_or_refused(broken.tobytes()))
    assert 0 < sum(outcomes) < len(outcomes)


def unknown(*kinds: str) -> TfliteFile:
    file = TfliteFile((1, 4, 4, 2))
    last = 0
    for kind in kinds:
        last = file.op(kind, [last], (1, 4, 4, 2))
    return file


def test_operators_that_are_not_there_are_told_once_with_their_number() -> None:
    error = refused(unknown("TANH", "RELU", "CUSTOM FlexErf", "TANH", "WHILE").data(), "TANH", "2 in the model")
    assert [blocker.op_type for blocker in error.blockers] == ["TANH", "CUSTOM FlexErf", "WHILE"]
    assert "encoder" in error.proposal
    refused(unknown("BIDIRECTIONAL_SEQUENCE_LSTM").data(), "(BIDIRECTIONAL_SEQUENCE_LSTM)")


def test_ends_of_the_file() -> None:
    file = unknown("RELU", "RELU6")
    refused(file.data(1, 2), "outputs", "2 instead of one")
    file.subgraphs = 2
    refused(file.data(), "subgraphs", "2 instead of one")
    file = unknown("RELU")
    file.inputs = (0, 0)
    refused(file.data(), "inputs", "2 instead of one")
    for shape in ((15600,), (1, 2, 3, 4, 5), (1, 0, 4), (1, 1 << 13, 1 << 13)):
        file = TfliteFile(shape)
        file.op("RELU", [0], shape)
        refused(file.data(), "input")
    file = unknown("RELU")
    file.signature = (-1, -1, 4, 2)
    refused(file.data(), "left open")
    refused(TfliteFile((1, 4), kind="INT32").data(0), "INT32")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"StrideH": 0}, "StrideH"),
        ({"DilationWFactor": -1}, "DilationWFactor"),
        ({"FusedActivationFunction": 4}, "fused activation 4"),
        ({"Padding": 1, "DilationHFactor": 9}, "window"),
    ],
)
def test_fields_out_of_range(change: dict[str, float], word: str) -> None:
    file = TfliteFile((1, 4, 4, 2))
    options = window("Conv2DOptions")
    options[1].update(change)
    file.op("CONV_2D", [0, file.constant(weights(GENERATOR, 3, 3, 3, 2))], (1, 4, 4, 3), options)
    refused(file.data(), word, "CONV_2D")


@pytest.mark.parametrize(
    ("weight", "shape", "word"),
    [
        (weights(GENERATOR, 3, 3, 3, 5), (1, 4, 4, 3), "5"),
        (weights(GENERATOR, 3, 3, 3, 2), (1, 4, 4, 7), "states"),
        (np.zeros((3, 3, 3, 2), np.int8), (1, 4, 4, 3), "without a scale"),
    ],
)
def test_shapes_and_types_that_do_not_fit(weight: Any, shape: tuple[int, ...], word: str) -> None:
    file = TfliteFile((1, 4, 4, 2))
    file.op("CONV_2D", [0, file.constant(weight)], shape, window("Conv2DOptions"))
    refused(file.data(), word)


def test_batch_axis() -> None:
    file = TfliteFile((1, 4, 4, 2))
    file.op("RESHAPE", [0], (4, 8))
    refused(file.data(), "batch")
    file = TfliteFile((1, 4, 4, 2))
    file.op("MEAN", [0, file.constant(np.int32([0]))], (4, 4, 2), ("ReducerOptions", {}))
    refused(file.data(), "batch")
