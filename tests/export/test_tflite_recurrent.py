# LSTM layers of TFLite files against LiteRT: whole sequences, last steps, both directions, what is refused.
# Never here: recurrent layers of other sources (test_recurrent.py).
from __future__ import annotations

import numpy as np
import pytest
from edgecl.export.errors import ExportError
from edgecl.export.parity import bundle_logits
from numpy.typing import NDArray

pytest.importorskip("tflite", reason="the package tflite is not installed (extra: export)")
pytest.importorskip("edgecl._core")

from edgecl.export.tflite_front import from_tflite
from tflite_files import TfliteFile

STEPS, FEATURES, HIDDEN, CLASSES = 10, 4, 5, 3
LAST = ("StridedSliceOptions", {"BeginMask": 5, "EndMask": 5, "ShrinkAxisMask": 2})


def lstm(
    file: TfliteFile, source: int, rng: np.random.Generator, features: int = FEATURES, clip: float = 10.0, time: int = 0
) -> int:
    """A layer as Keras's converter writes it."""

    def some(*shape: int) -> int:
        return file.constant(rng.uniform(-0.6, 0.6, shape).astype(np.float32))

    inputs = [source, *(some(HIDDEN, features) for _ in range(4)), *(some(HIDDEN, HIDDEN) for _ in range(4))]
    inputs += [-1, -1, -1, *(some(HIDDEN) for _ in range(4)), -1, -1]
    states = [file.constant(np.zeros((1, HIDDEN), np.float32)) for _ in range(2)]
    for state in states:  # variables: no data
        file.tensors[state].data, file.tensors[state].variable = None, True
    options = {"FusedActivationFunction": 4, "CellClip": clip, "ProjClip": 0.0, "TimeMajor": time}
    return file.op(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", [*inputs, *states], (1, STEPS, HIDDEN),
        ("UnidirectionalSequenceLSTMOptions", options),
    )  # fmt: skip


def last(file: TfliteFile, source: int) -> int:
    bounds = [file.constant(np.int32(numbers)) for numbers in ([0, -1, 0], [0, 0, 0], [1, 1, 1])]
    return file.op("STRIDED_SLICE", [source, *bounds], (1, HIDDEN), LAST)


def layer(file: TfliteFile, source: int, inputs: int, rng: np.random.Generator) -> None:
    weight = file.constant(rng.uniform(-0.6, 0.6, (CLASSES, inputs)).astype(np.float32))
    file.op("FULLY_CONNECTED", [source, weight, -1], (1, CLASSES), ("FullyConnectedOptions", {}))


def network(form: str) -> TfliteFile:
    rng, file = np.random.default_rng(4), TfliteFile((1, STEPS, FEATURES))
    if form == "last":
        layer(file, last(file, lstm(file, 0, rng)), HIDDEN, rng)
    elif form == "two layers, mean":
        deep = lstm(file, lstm(file, 0, rng), rng, HIDDEN)
        axes = file.constant(np.int32([1]))
        layer(file, file.op("MEAN", [deep, axes], (1, HIDDEN), ("ReducerOptions", {})), HIDDEN, rng)
    else:
        axes = file.constant(np.int32([1]))
        turned = file.op("REVERSE_V2", [0, axes], (1, STEPS, FEATURES), ("ReverseV2Options", {}))
        both = [last(file, lstm(file, source, rng)) for source in (0, turned)]
        options = ("ConcatenationOptions", {"Axis": 1})
        layer(file, file.op("CONCATENATION", both, (1, 2 * HIDDEN), options), 2 * HIDDEN, rng)
    return file


def litert(data: bytes, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(model_content=data)
    interpreter.allocate_tensors()
    found = []
    for row in rows:
        interpreter.reset_all_variables()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], row[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    return np.array(found)


@pytest.mark.parametrize("form", ["last", "two layers, mean", "both directions"])
def test_lstm_is_that_of_the_runtime(form: str) -> None:
    data = network(form).data()
    report = from_tflite(data)
    rows = np.random.default_rng(5).normal(size=(3, STEPS, FEATURES)).astype(np.float32)
    np.testing.assert_allclose(bundle_logits(report.bundle, rows), litert(data, rows), rtol=1e-5, atol=1e-5)
    layers = [layer for layer in report.layers if layer.kind == "recurrent"]
    assert layers and all(layer.trainable for layer in layers)
    assert sum("not clipped" in note for note in report.notes) == 1


def test_what_the_device_does_not_have() -> None:
    rng = np.random.default_rng(4)
    for keywords, words in (({"clip": 3.0}, "clipped at 3"), ({"time": 1}, "put the batch first")):
        file = TfliteFile((1, STEPS, FEATURES))
        lstm(file, 0, rng, **keywords)
        with pytest.raises(ExportError, match=words):
            from_tflite(file.data())
    file = TfliteFile((1, STEPS, FEATURES))
    lstm(file, 0, rng)
    file.operators[-1][1][9] = file.constant(np.ones(HIDDEN, np.float32))
    with pytest.raises(ExportError, match="peepholes"):
        from_tflite(file.data())
