"""The reference in float64: it computes what PyTorch's float64 computes, and holds one layer's weights at a time.

Never here: what the comparison allows (tests/export/test_from_onnx.py).
"""

from __future__ import annotations

import tracemalloc

import numpy as np
import onnx
import pytest
import torch
from edgecl.export.onnx_double import DoubleModel
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

LAYERS, WIDTH = 4, 512
VALUE = helper.make_tensor_value_info


def stacked(beside: bool) -> tuple[onnx.ModelProto, dict[str, NDArray[np.float32]]]:
    """Linear layers with ReLU between them; their weights inside the model, or inputs of it."""
    generator = np.random.default_rng(3)
    weights = {f"w{i}": (generator.standard_normal((WIDTH, WIDTH)) / 16).astype(np.float32) for i in range(LAYERS)}
    nodes = []
    for i in range(LAYERS):
        nodes += [
            helper.make_node("MatMul", [f"r{i}", f"w{i}"], [f"m{i}"]),
            helper.make_node("Relu", [f"m{i}"], [f"r{i + 1}"]),
        ]
    inputs = [VALUE("r0", TensorProto.FLOAT, ["n", WIDTH])]
    inputs += [VALUE(key, TensorProto.FLOAT, w.shape) for key, w in weights.items() if beside]
    held = [] if beside else [numpy_helper.from_array(w, key) for key, w in weights.items()]
    outputs = [VALUE(f"r{LAYERS}", TensorProto.FLOAT, ["n", WIDTH])]
    graph = helper.make_graph(nodes, "stack", inputs, outputs, held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), weights


@pytest.mark.parametrize("beside", [False, True])
def test_layers_give_what_float64_gives(beside: bool) -> None:
    model, weights = stacked(beside)
    rows = np.random.default_rng(0).standard_normal((3, WIDTH))
    expected = torch.from_numpy(rows)
    for weight in weights.values():
        expected = torch.relu(expected @ torch.from_numpy(weight).double())
    found = DoubleModel(model, weights if beside else {}).run(rows)
    assert found.dtype == np.float64
    assert np.abs(found - expected.numpy()).max() < 1e-12 * float(expected.max())


def test_one_layers_weights_are_held_at_a_time() -> None:
    model, weights = stacked(beside=True)
    double, rows = DoubleModel(model, weights), np.ones((1, WIDTH))
    tracemalloc.start()
    double.run(rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    one = 8 * WIDTH * WIDTH
    assert one <= peak < 2 * one


def test_a_branch_reads_constants_and_what_stands_around_it() -> None:
    third = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.float32([1 / 3])))
    used = helper.make_graph(
        [third, helper.make_node("Mul", ["x", "c"], ["a"]), helper.make_node("Add", ["a", "w"], ["y1"])], "then", [],
        [VALUE("y1", TensorProto.FLOAT, None)],
    )  # fmt: skip
    other = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["y2"])], "else", [], [VALUE("y2", TensorProto.FLOAT, None)]
    )
    node = helper.make_node("If", ["condition"], ["y"], then_branch=used, else_branch=other)
    tenth = np.float32([0.1])
    graph = helper.make_graph(
        [node], "branches", [VALUE("x", TensorProto.FLOAT, ["n", 1])], [VALUE("y", TensorProto.FLOAT, ["n", 1])],
        [numpy_helper.from_array(np.array(True), "condition"), numpy_helper.from_array(tenth, "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    found = DoubleModel(model, {}).run(np.array([[0.7]]))
    assert found.dtype == np.float64
    assert found[0, 0] == 0.7 * float(np.float32(1 / 3)) + float(tenth[0]), "in float64 throughout"
