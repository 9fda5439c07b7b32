# ONNX models that are not PyTorch's: channels-last input, inference batch-norm, other weight orientation, products over
# several positions.
# Never here: ONNX's node tests (test_onnx_node_cases.py), wrong models (test_bad_input.py).
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edgecl.export.onnx_front import from_onnx, graph_of_onnx
from edgecl.export.options import ExportOptions
from edgecl.export.pipeline import prepare
from edgecl.export.recipe import InputSpec
from numpy.typing import NDArray
from onnx import helper, numpy_helper

core = pytest.importorskip("edgecl._core")
GENERATOR = np.random.default_rng(7)


def weights(*shape: int) -> NDArray[np.float32]:
    return (GENERATOR.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)


def model_of(
    nodes: list[onnx.NodeProto], shape: list[Any], values: dict[str, NDArray[Any]], rank: int = 2
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", 1, shape)],
        [helper.make_tensor_value_info("y", 1, [f"d{axis}" for axis in range(rank)])],
        [numpy_helper.from_array(array, key) for key, array in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def image_network(batch: Any) -> onnx.ModelProto:
    """As a converter from a channels-last framework writes it."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "Conv", ["t", "conv/kernel"], ["c"], auto_pad="SAME_UPPER", strides=[2, 2], kernel_shape=[3, 3]
        ),
        helper.make_node(
            "BatchNormalization", ["c", "gamma", "beta", "mean", "variance"], ["n"], momentum=0.99, epsilon=0.001
        ),
        helper.make_node("Clip", ["n", "zero", "six"], ["a"]),
        helper.make_node("GlobalAveragePool", ["a"], ["p"]),
        helper.make_node("Squeeze", ["p", "axes"], ["f"]),
        helper.make_node("MatMul", ["f", "dense/kernel"], ["m"]),
        helper.make_node("Add", ["m", "dense/bias"], ["z"]),
        helper.make_node("Softmax", ["z"], ["y"]),
    ]
    values = {
        "conv/kernel": weights(8, 3, 3, 3),
        "gamma": np.abs(weights(8)) + 0.5,
        "beta": weights(8),
        "mean": weights(8),
        "variance": np.abs(weights(8)) + 0.5,
        "zero": np.float32(0),
        "six": np.float32(6),
        "axes": np.array([2, 3], np.int64),
        "dense/kernel": weights(8, 5),
        "dense/bias": weights(5),
    }
    return model_of(nodes, [batch, 9, 12, 3], {key: np.asarray(value) for key, value in values.items()})


@pytest.mark.parametrize("batch", ["N", 1, 4])
def test_channels_last_network(batch: Any, tmp_path: Path) -> None:
    path = tmp_path / "image.onnx"
    onnx.save(image_network(batch), path)
    rows = GENERATOR.integers(0, 256, (6, 9, 12, 3), dtype=np.uint8)
    report = from_onnx(
        path, out=tmp_path / "image.ecl", calibration=rows, input=InputSpec("u8", scale=1 / 255), max_classes=7
    )
    info = core.Model(path=str(tmp_path / "image.ecl")).describe()
    assert report.name == "image"
    assert report.parity.source.startswith("onnx")
    assert report.parity.reference_abs <= 1.0  # probabilities
    assert info["channels_last"]
    assert info["input_dims"][:3] == [9, 12, 3]
    assert info["class_capacity"] == 7
    assert [layer.name for layer in report.layers] == ["conv/kernel", "dense/kernel"]
    kinds = [op["kind"] for op in core.Model(data=report.bundle).ops()]
    assert kinds == ["conv", "batch_norm", "global_average_pool", "linear"]


def test_trainable_head_folds_and_names() -> None:
    graph, options, _ = graph_of_onnx(image_network("N"), ExportOptions(trainable="head"), "image")
    plan = prepare(graph, options, "test").plan
    assert [record["name"] for record in plan["params"] if record["trainable"]] == ["dense/kernel", "dense/bias"]
    assert [op["kind"] for op in plan["ops"]] == ["conv", "global_average_pool", "linear"]
    assert plan["ops"][0]["activation"] == "clip"
    head = plan["params"][plan["head_weight"]]
    assert head["dims"] == [8, 5]


@pytest.mark.parametrize("transposed", [0, 1])
def test_sparse_weights_in_either_orientation(transposed: int) -> None:
    shapes = ((16, 24), (24, 12)) if not transposed else ((24, 16), (12, 24))
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], transB=transposed),
        helper.make_node("Relu", ["h"], ["a"]),
        helper.make_node("Gemm", ["a", "w2"], ["y"], transB=transposed, alpha=0.5),
    ]
    model = model_of(nodes, ["N", 16], {"w1": weights(*shapes[0]), "w2": weights(*shapes[1]), "b1": weights(24)})
    report = from_onnx(model, density=0.25)
    assert [layer.density for layer in report.layers] == [0.25, 1.0]
    assert report.layers[0].dims == (24, 16)
    assert report.parity.max_abs <= report.parity.tolerance


def test_one_matrix_over_several_positions() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("MatMul", ["left", "m"], ["l"]),
        helper.make_node("Relu", ["l"], ["r"]),
        helper.make_node("Reshape", ["r", "shape"], ["f"]),
        helper.make_node("MatMul", ["f", "head"], ["y"]),
    ]
    values = {"w": weights(6, 4), "left": weights(5, 3), "shape": np.array([0, -1], np.int64), "head": weights(20, 3)}
    report = from_onnx(model_of(nodes, ["N", 3, 6], values))
    assert report.parity.max_abs <= report.parity.tolerance
    assert [layer.trainable for layer in report.layers] == [True, True, True]


def test_local_functions_are_inlined() -> None:
    body = [helper.make_node("MatMul", ["a", "b"], ["m"]), helper.make_node("Relu", ["m"], ["c"])]
    function = helper.make_function("local", "Block", ["a", "b"], ["c"], body, [helper.make_opsetid("", 17)])
    graph = helper.make_graph(
        [helper.make_node("Block", ["x", "w"], ["h"], domain="local"), helper.make_node("MatMul", ["h", "v"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", 1, ["N", 6])],
        [helper.make_tensor_value_info("y", 1, ["N", 3])],
        [numpy_helper.from_array(weights(6, 4), "w"), numpy_helper.from_array(weights(4, 3), "v")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    report = from_onnx(helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=9))
    assert [layer.kind for layer in report.layers] == ["linear", "linear"]


def test_dilated_pool_and_large_padding() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], pads=[3, 0, 2, 4]),
        helper.make_node("MaxPool", ["c"], ["p"], kernel_shape=[2, 2], dilations=[2, 3], ceil_mode=1, strides=[2, 2]),
        helper.make_node("GlobalMaxPool", ["p"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "w"], ["y"]),
    ]
    model = model_of(nodes, ["N", 2, 7, 6], {"k": weights(4, 2, 2, 2), "w": weights(4, 3)})
    report = from_onnx(model)
    assert report.parity.max_abs <= report.parity.tolerance
